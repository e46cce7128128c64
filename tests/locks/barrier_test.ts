import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Barrier } from "../../workers/locks/barrier.ts";
import {
  BrokenBarrierError,
  SocketServerError,
} from "../../workers/base/errors.ts";
import { eventually, sharedWords, type Team, testTeams } from "./_teams.ts";

async function march(team: Team, barrier: Barrier): Promise<number[][]> {
  const board = sharedWords(team.size);
  return await Promise.all(
    Array.from(
      { length: team.size },
      (_, me) => team.run(me, "march", barrier, board, me, 10),
    ),
  );
}

/** The names of the errors of all, or their indexes. */
async function outcomes(all: Promise<number>[]): Promise<unknown[]> {
  return (await Promise.allSettled(all)).map((result) =>
    result.status === "rejected" ? result.reason.name : result.value
  );
}

testTeams("Barrier: all are in lockstep, ten times", 5, async (team) => {
  const barrier = new Barrier(5);
  const indexes = await march(team, barrier);
  for (let step = 0; step < 10; step++) {
    assertEquals(indexes.map((all) => all[step]!).sort(), [0, 1, 2, 3, 4]);
  }
  assertEquals([barrier.nWaiting, barrier.broken], [0, false]);
});

testTeams(
  "Barrier: the action runs once, before anybody goes on",
  5,
  async (team) => {
    const counter = sharedWords(1);
    const barrier = new Barrier(5);
    for (let time = 1; time <= 3; time++) {
      const all = await team.all("meetAndCount", barrier, counter);
      assertEquals(
        all.sort((a, b) => a - b),
        [0, 100, 200, 300, 400].map((index) => index + time),
      );
    }
  },
);

testTeams(
  "Barrier: abort() breaks it for those who wait and those who come",
  4,
  async (team) => {
    const barrier = new Barrier(5);
    const all = [0, 1, 2, 3].map((me) => team.run(me, "meet", barrier));
    await eventually(() => barrier.nWaiting === 4);
    barrier.abort();
    assertEquals(await outcomes(all), Array(4).fill("BrokenBarrierError"));
    assert(barrier.broken);
    assertEquals(barrier.nWaiting, 0);
    assertEquals(await outcomes([team.run(0, "meet", barrier)]), [
      "BrokenBarrierError",
    ]);
  },
);

testTeams(
  "Barrier: reset() breaks it for those who wait, and then it is as new",
  5,
  async (team) => {
    const barrier = new Barrier(5);
    const all = [0, 1, 2].map((me) => team.run(me, "meet", barrier));
    await eventually(() => barrier.nWaiting === 3);
    barrier.reset();
    assertFalse(barrier.broken);
    assertEquals(await outcomes(all), Array(3).fill("BrokenBarrierError"));
    await march(team, barrier);
  },
);

testTeams(
  "Barrier: after abort() and reset() it is as new",
  5,
  async (team) => {
    const barrier = new Barrier(5);
    const all = [0, 1, 2].map((me) => team.run(me, "meet", barrier));
    await eventually(() => barrier.nWaiting === 3);
    barrier.abort();
    barrier.reset();
    assertEquals(await outcomes(all), Array(3).fill("BrokenBarrierError"));
    assertFalse(barrier.broken);
    await march(team, barrier);
  },
);

testTeams("Barrier: a time-out breaks it for all", 3, async (team) => {
  const barrier = new Barrier(4);
  const all = [0, 1].map((me) => team.run(me, "meet", barrier));
  await eventually(() => barrier.nWaiting === 2);
  all.push(team.run(2, "meet", barrier, { timeout: 20 }));
  assertEquals(await outcomes(all), Array(3).fill("BrokenBarrierError"));
  assert(barrier.broken);
});

testTeams(
  "Barrier: its own time-out holds where none is given",
  1,
  async (team) => {
    const barrier = new Barrier(2, { timeout: 20 });
    assertEquals(await outcomes([team.run(0, "meet", barrier)]), [
      "BrokenBarrierError",
    ]);
  },
);

testTeams(
  "Barrier: an action that throws breaks it, and reaches its own caller",
  3,
  async (team) => {
    const barrier = new Barrier(3);
    const names = await outcomes(
      [0, 1, 2].map((me) => team.run(me, "meetAndFail", barrier)),
    );
    assertEquals(names.sort(), [
      "BrokenBarrierError",
      "BrokenBarrierError",
      "RangeError",
    ]);
    assert(barrier.broken);
  },
);

Deno.test("Barrier: an asynchronous action is awaited, and only the last one's runs", async () => {
  const log: string[] = [];
  const barrier = new Barrier(2, {
    action: async () => {
      await Promise.resolve();
      log.push("own");
    },
  });
  await Promise.all([barrier.wait(), barrier.wait()]);
  await Promise.all([
    barrier.wait({ action: () => void log.push("first") }),
    barrier.wait({ action: () => void log.push("last") }),
  ]);
  assertEquals(log, ["own", "last"]);
});

Deno.test("Barrier: one who comes during the action waits for the next round", async () => {
  const gate = Promise.withResolvers<void>();
  const barrier = new Barrier(2, { action: () => gate.promise });
  const round = [barrier.wait(), barrier.wait()];
  const next = barrier.wait();
  gate.resolve();
  assertEquals(await Promise.all(round), [0, 1]);
  assertEquals(await Promise.all([next, barrier.wait()]), [0, 1]);
});

Deno.test("Barrier: one without a place breaks nothing when it gives up", async () => {
  const gate = Promise.withResolvers<void>();
  const barrier = new Barrier(2, { action: () => gate.promise });
  const round = [barrier.wait(), barrier.wait()];
  const controller = new AbortController();
  const aborted = barrier.wait({ signal: controller.signal });
  await assertRejects(
    () => barrier.wait({ timeout: 5 }),
    BrokenBarrierError,
    "the last round is not over",
  );
  assertThrows(() => barrier.waitSync({ timeout: 5 }), BrokenBarrierError);
  controller.abort(new Error("Enough"));
  await assertRejects(() => aborted, Error, "Enough");
  assertFalse(barrier.broken);
  gate.resolve();
  assertEquals(await Promise.all(round), [0, 1]);
  assertEquals(await Promise.all([barrier.wait(), barrier.wait()]), [0, 1]);
});

Deno.test("Barrier: an abort breaks it, and rejects with its reason", async () => {
  const barrier = new Barrier(3);
  const controller = new AbortController();
  const aborted = barrier.wait({ signal: controller.signal });
  const other = barrier.wait();
  controller.abort(new Error("Enough"));
  await assertRejects(() => aborted, Error, "Enough");
  await assertRejects(() => other, BrokenBarrierError);
});

Deno.test("Barrier.reset() breaks a round for one who looks many rounds later", async () => {
  const barrier = new Barrier(2);
  const broken = assertRejects(() => barrier.wait(), BrokenBarrierError);
  barrier.reset();
  const passed: Promise<number>[] = [];
  for (let round = 0; round < 40; round++) {
    passed.push(barrier.wait(), barrier.wait());
  }
  await broken;
  await Promise.all(passed);
});

Deno.test("Barrier.reset() breaks a round for one who looks many resets later", async () => {
  const barrier = new Barrier(9);
  const broken: Promise<unknown>[] = [];
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 8; i++) {
      broken.push(assertRejects(() => barrier.wait(), BrokenBarrierError));
    }
    barrier.reset();
  }
  await Promise.all(broken);
  assertEquals([barrier.broken, barrier.nWaiting], [false, 0]);
});

Deno.test("Barrier refuses options that it does not have, and what is none", async () => {
  for (const options of [{ timeOut: 10 }, { blocking: false }, { action: 1 }]) {
    assertThrows(() => new Barrier(2, options as object), TypeError);
  }
  const barrier = new Barrier(2);
  const wrong = [50, true, "50", null, { blocking: false }, { timeOut: 1 }];
  for (const options of wrong as object[]) {
    await assertRejects(() => barrier.wait(options), TypeError);
    assertThrows(() => barrier.waitSync(options), TypeError);
  }
  assertEquals([barrier.broken, barrier.nWaiting], [false, 0]);
});

Deno.test("Barrier: waitSync() refuses an asynchronous action, and breaks", () => {
  const barrier = new Barrier(1, { action: () => Promise.resolve() });
  assertThrows(() => barrier.waitSync(), TypeError, "it is asynchronous");
  assert(barrier.broken);
});

Deno.test("Barrier: it refuses what cannot work", async () => {
  assertThrows(() => new Barrier(0), RangeError);
  assertThrows(() => new Barrier(-1), RangeError);
  assertThrows(() => new Barrier(1.5), RangeError);
  assertThrows(() => new Barrier(2 ** 16), RangeError);
  assertThrows(() => new Barrier(1, { timeout: -1 }), RangeError);
  const barrier = new Barrier(2);
  await assertRejects(() => barrier.wait({ timeout: -1 }), RangeError);
  assertFalse(barrier.broken);
  assertInstanceOf(new BrokenBarrierError(), SocketServerError);
});
