import { typeOf } from "../../workers/codec/share.ts";
import { createRandom } from "../runners/_values.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Barrier } from "../../workers/locks/barrier.ts";
import type { Permits } from "../../workers/locks/_permits.ts";
import { BoundedSemaphore, Semaphore } from "../../workers/locks/semaphore.ts";
import { eventually, testTeams, waiters } from "./_teams.ts";

testTeams(
  "Semaphore: phased releases let exactly as many go on",
  6,
  async (team) => {
    const semaphore = new Semaphore(2);
    const all = team.all("acquire", semaphore);
    await eventually(() => waiters(semaphore) === 4);
    for (const left of [3, 2]) {
      semaphore.release();
      await eventually(() =>
        semaphore.value === 0 && waiters(semaphore) === left
      );
    }
    semaphore.release(2);
    assertEquals(await all, Array(6).fill(true));
    assertEquals(semaphore.value, 0);
    assertFalse(semaphore.acquireSync({ blocking: false }));
  },
);

testTeams(
  "Semaphore: release(n) wakes n, and keeps what nobody waits for",
  5,
  async (team) => {
    const semaphore = new Semaphore(0);
    const all = team.all("acquire", semaphore);
    await eventually(() => waiters(semaphore) === 5);
    semaphore.release(8);
    await all;
    assertEquals(semaphore.value, 3);
  },
);

testTeams(
  "Semaphore: 5 threads with 2 tries at 3 permits get 3 true, 7 false",
  5,
  async (team) => {
    const semaphore = new Semaphore(3);
    const tries = await team.all("tryTwice", semaphore, new Barrier(5));
    const outcomes = tries.flat();
    assertEquals(outcomes.filter((had) => had).length, 3);
    assertEquals(outcomes.filter((had) => !had).length, 7);
  },
);

testTeams(
  "Semaphore: a time-out returns false and takes nothing",
  1,
  async (team) => {
    const semaphore = new Semaphore(0);
    assertFalse(await team.run(0, "acquire", semaphore, { timeout: 20 }));
    semaphore.release();
    assertEquals(semaphore.value, 1);
  },
);

testTeams(
  "BoundedSemaphore: one release too many fails, and changes nothing",
  1,
  async (team) => {
    const semaphore = new BoundedSemaphore(2);
    await assertRejects(() => team.run(0, "release", semaphore), Error);
    assertEquals(semaphore.value, 2);
    await team.run(0, "acquire", semaphore);
    assertThrows(() => semaphore.release(2), RangeError);
    assertEquals(semaphore.value, 1);
    semaphore.release();
    assertEquals(semaphore.value, 2);
  },
);

Deno.test("Semaphore.hold(): it gives back when the block throws", async () => {
  const semaphore = new Semaphore(1);
  await assertRejects(async () => {
    using _held = await semaphore.hold();
    assertEquals(semaphore.value, 0);
    throw new Error("Failed inside the block");
  });
  assertThrows(() => {
    using _held = semaphore.holdSync();
    throw new Error("Failed inside the block");
  });
  assertEquals(semaphore.value, 1);
});

Deno.test("Semaphore: it refuses what cannot work", async () => {
  assertThrows(() => new Semaphore(1, 5 as never), TypeError, "an object");
  assertThrows(() => new Semaphore(-1), RangeError);
  assertThrows(() => new Semaphore(0.5), RangeError);
  assertThrows(() => new Semaphore(2 ** 31), RangeError);
  assertThrows(() => new Semaphore(3, { max: 2 }), RangeError);
  assertThrows(() => new BoundedSemaphore(-1), RangeError);
  const semaphore = new Semaphore(1);
  assertThrows(() => semaphore.release(0), RangeError);
  assertThrows(() => semaphore.release(-1), RangeError);
  assertThrows(() => semaphore.release(1.5), RangeError);
  assertThrows(() => semaphore.release(2 ** 31 - 1), RangeError);
  await assertRejects(() => semaphore.acquire({ timeout: -1 }), RangeError);
  assertThrows(
    () => semaphore.acquireSync({ blocking: false, timeout: 1 }),
    TypeError,
  );
  assert(semaphore.value === 1);
});

Deno.test("Semaphore: dead processes return what they had, and nothing of others", () => {
  const random = createRandom(11);
  for (let round = 0; round < 200; round++) {
    const most = 1 + random(6);
    const semaphore = new Semaphore(most);
    const permits = typeOf(semaphore)!.inner!(semaphore) as Permits;
    // The first is a thread, the others are processes
    const held = [0, 0, 0, 0];
    for (let step = 0; step < 60; step++) {
      const who = random(held.length);
      const count = 1 + random(held[who]! || 1);
      if (random(2) === 0) {
        if (!permits.take(who)) continue;
        held[who]!++;
      } else if (held[who]! > 0) {
        assert(permits.give(count, who));
        held[who]! -= count;
      }
      const sum = held.reduce((a, b) => a + b);
      assertEquals(semaphore.value, most - sum);
    }
    // Somebody else returns some of what the processes have
    const lent = held[1]! + held[2]! + held[3]!;
    const others = held[0]! + random(lent + 1);
    if (others > 0) semaphore.release(others);
    for (const who of [1, 2, 3]) permits.endLoans(who, true);
    assertEquals(semaphore.value, most);
  }
});

Deno.test("Semaphore: what a process took is known when more permits were returned than there were first", () => {
  const semaphore = new Semaphore(0);
  const permits = typeOf(semaphore)!.inner!(semaphore) as Permits;
  semaphore.release(3);
  assert(permits.take(1) && permits.take(1) && permits.take());
  permits.endLoans(1, true);
  assertEquals(semaphore.value, 2);
});

Deno.test("BoundedSemaphore: a release by somebody else ends the oldest loans, and no newer one", () => {
  const semaphore = new BoundedSemaphore(3);
  const permits = typeOf(semaphore)!.inner!(semaphore) as Permits;
  for (let i = 0; i < 3; i++) assert(permits.take(1));
  semaphore.release(3);
  for (let i = 0; i < 3; i++) assert(permits.take(2));
  permits.endLoans(1, true);
  assertEquals(semaphore.value, 0);
  permits.endLoans(2, true);
  assertEquals(semaphore.value, 3);
});
