import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock, RLock } from "../../workers/locks/lock.ts";
import {
  eventually,
  sharedWords,
  type Team,
  testTeams,
  testThreads,
  waiters,
  watch,
} from "./_teams.ts";

/** Has each wait, and sees to it that they do so in their order. */
async function queueUp(
  team: Team,
  condition: Condition,
  log: Int32Array,
): Promise<
  { promise: Promise<[boolean, number]>; readonly settled: boolean }[]
> {
  const waits = [];
  for (let member = 0; member < team.size; member++) {
    const wait = team.run(member, "waitForCondition", condition, log);
    waits.push(watch(wait));
    await eventually(() => waiters(condition) === member + 1);
  }
  return waits;
}

Deno.test("Condition: tasks of one event loop keep each other out", async () => {
  const condition = new Condition();
  let inside = 0;
  let ready = false;
  async function wait(): Promise<boolean> {
    using _held = await condition.hold();
    const value = await condition.waitFor(() => ready);
    assertEquals(++inside, 1);
    await Promise.resolve();
    inside--;
    return value;
  }
  const waits = [wait(), wait(), wait()];
  {
    using _held = await condition.hold();
    await Promise.resolve();
    ready = true;
    condition.notifyAll();
  }
  assertEquals(await Promise.all(waits), [true, true, true]);
});

testTeams(
  "Condition: notify(3) then notify(5) wake exactly 3, then the other 2, in their order",
  5,
  async (team) => {
    const condition = new Condition();
    const log = sharedWords(1);
    const waits = await queueUp(team, condition, log);
    {
      using _held = await condition.hold();
      condition.notify(3);
      assertEquals(waiters(condition), 2);
    }
    for (const wait of waits.slice(0, 3)) assert((await wait.promise)[0]);
    assertEquals(Atomics.load(log, 0), 3);
    assertFalse(waits[3]!.settled || waits[4]!.settled);
    {
      using _held = await condition.hold();
      condition.notify(5);
    }
    for (const wait of waits.slice(3)) assert((await wait.promise)[0]);
    assertEquals(Atomics.load(log, 0), 5);
  },
);

testTeams(
  "Condition: notifyAll() wakes all who wait, and nobody who comes later",
  5,
  async (team) => {
    const condition = new Condition();
    const log = sharedWords(1);
    const waits = await queueUp(team, condition, log);
    {
      using _held = condition.holdSync();
      condition.notifyAll();
    }
    for (const wait of waits) assert((await wait.promise)[0]);
    assertEquals(Atomics.load(log, 0), 5);
    assertEquals(
      await team.run(0, "waitForCondition", condition, log, { timeout: 20 }),
      [false, 5],
    );
  },
);

testTeams(
  "Condition: a time-out returns false, and its notification goes to another",
  2,
  async (team) => {
    const condition = new Condition();
    const log = sharedWords(1);
    const options = { timeout: 40 };
    const early = watch(
      team.run(0, "waitForCondition", condition, log, options),
    );
    await eventually(() => waiters(condition) === 1 || early.settled);
    const late = team.run(1, "waitForCondition", condition, log);
    assertFalse((await early.promise)[0]);
    await eventually(() => waiters(condition) === 1);
    {
      using _held = condition.holdSync();
      condition.notify();
    }
    assert((await late)[0]);
  },
);

testThreads(
  "Condition: waitFor() returns what its predicate said last, at any depth",
  1,
  async (team) => {
    const condition = new Condition({ lock: new RLock() });
    const word = sharedWords(1);
    const reached = team.run(0, "waitForValue", condition, word, 3);
    for (let value = 1; value <= 3; value++) {
      await eventually(() => waiters(condition) === 1);
      using _held = condition.holdSync();
      Atomics.store(word, 0, value);
      condition.notify();
    }
    assertEquals(await reached, 3);
    assertFalse(
      await team.run(0, "waitForValue", condition, word, 9, { timeout: 20 }),
    );
    assert(condition.acquireSync({ blocking: false }));
  },
);

testThreads(
  "Condition: who waits can be notified by any thread with the lock",
  2,
  async (team) => {
    const condition = new Condition();
    const log = sharedWords(1);
    const rounds = 50;
    for (let round = 0; round < rounds; round++) {
      const wait = team.run(round % 2, "waitForCondition", condition, log);
      await eventually(() => waiters(condition) === 1);
      using _held = await condition.hold();
      condition.notify();
      condition.notify();
      void wait;
    }
    await eventually(() => Atomics.load(log, 0) === rounds);
  },
);

Deno.test("Condition: every notification wakes one, under contention", async () => {
  const condition = new Condition();
  let items = 0;
  let taken = 0;
  async function consume(): Promise<void> {
    for (let item = 0; item < 50; item++) {
      using _held = await condition.hold();
      await condition.waitFor(() => items > 0);
      items--;
      taken++;
    }
  }
  async function produce(): Promise<void> {
    for (let item = 0; item < 50; item++) {
      using _held = await condition.hold();
      items++;
      condition.notify();
    }
  }
  await Promise.all([1, 2, 3, 4].flatMap(() => [consume(), produce()]));
  assertEquals([items, taken], [0, 200]);
});

Deno.test("Condition: an abort rejects with the lock taken, and hands a notification on", async () => {
  const lock = new Lock();
  const condition = new Condition({ lock });
  const controller = new AbortController();
  let owned = false;
  async function first(): Promise<void> {
    using _held = await condition.hold();
    try {
      await condition.wait({ signal: controller.signal });
    } finally {
      owned = lock.locked();
    }
  }
  async function second(): Promise<boolean> {
    using _held = await condition.hold();
    return await condition.wait();
  }
  const aborted = first();
  const other = second();
  await eventually(() => waiters(condition) === 2);
  {
    using _held = await condition.hold();
    condition.notify();
    controller.abort(new Error("Enough"));
  }
  await assertRejects(() => aborted, Error, "Enough");
  assert(owned);
  assert(await other);
  assertFalse(lock.locked());
});

Deno.test("Condition: a notification that only aborted waiters could get notifies nobody later", async () => {
  const condition = new Condition();
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = [1, 2].map(async () => {
    using _held = await condition.hold();
    await condition.wait({ signal });
  });
  await eventually(() => waiters(condition) === 2);
  await condition.acquire();
  condition.notify();
  condition.release();
  controller.abort();
  for (const wait of aborted) await assertRejects(() => wait);
  using _held = await condition.hold();
  assertFalse(await condition.wait({ timeout: 1_000 }));
});

Deno.test("Condition: a notification at the moment of the time-out counts, and an abort then hands it on", async () => {
  const block = new Int32Array(new SharedArrayBuffer(4));
  const condition = new Condition();
  const abort = new AbortController();
  const notifyLate = async (wait: Promise<boolean>, also?: () => void) => {
    // Its time is over before the event loop turns
    Atomics.wait(block, 0, 0, 20);
    condition.acquireSync();
    condition.notify();
    also?.();
    condition.release();
    return await wait;
  };
  await condition.acquire();
  assertEquals(await notifyLate(condition.wait({ timeout: 10 })), true);
  const { signal } = abort;
  const aborted = condition.wait({ timeout: 10, signal }).catch(() => false);
  condition.acquireSync();
  const other = condition.wait();
  assertEquals(await notifyLate(aborted, () => abort.abort()), false);
  condition.release();
  assertEquals(await other, true);
  condition.release();
});

Deno.test("Condition: it refuses to wait and to notify without the lock", async () => {
  for (const lock of [new Lock(), new RLock()]) {
    const condition = new Condition({ lock });
    await assertRejects(() => condition.wait(), Error, "acquire its lock");
    await assertRejects(
      () => condition.waitFor(() => true),
      Error,
      "acquire its lock",
    );
    assertThrows(() => condition.waitSync(), Error, "acquire its lock");
    assertThrows(() => condition.waitForSync(() => true), Error);
    assertThrows(() => condition.notify(), Error, "acquire its lock");
    assertThrows(() => condition.notifyAll(), Error, "acquire its lock");
    assertThrows(() => condition.release(), Error, "it is not locked");
    using _held = await condition.hold();
    assertThrows(() => condition.notify(-1), RangeError);
    assertThrows(() => condition.notify(0.5), RangeError);
    assertThrows(() => condition.waitSync({ timeout: -1 }), RangeError);
    assert(lock.locked());
  }
  assertThrows(
    () => new Condition({ lock: {} as unknown as Lock }),
    TypeError,
    "must be a Lock or an RLock",
  );
});

testThreads(
  "Condition: without the lock in this thread notify() is refused",
  1,
  async (team) => {
    const lock = new RLock();
    const condition = new Condition({ lock });
    await team.run(0, "acquire", lock);
    assertThrows(() => condition.notify(), Error, "acquire its lock");
  },
);

Deno.test("Condition: it refuses a lock that is no option", () => {
  for (const lock of [new Lock(), new RLock()]) {
    assertThrows(
      () => new Condition(lock as object),
      TypeError,
      "expected options such as { lock }",
    );
  }
  assertThrows(() => new Condition({ rlock: 1 } as object), TypeError, "rlock");
});

Deno.test("Condition: a predicate that throws, or is asynchronous, ends the wait with the lock taken", async () => {
  for (const lock of [new Lock(), new RLock()]) {
    const condition = new Condition({ lock });
    using _held = await condition.hold();
    const thrown = new Error("thrown");
    let calls = 0;
    const waiting = condition.waitFor(() => {
      if (++calls > 1) throw thrown;
    });
    assertFalse(lock.locked());
    condition.acquireSync();
    condition.notify();
    condition.release();
    assertStrictEquals(await waiting.catch((error) => error), thrown);
    assertEquals(calls, 2);
    // Its promise would count as true
    for (const predicate of [() => Promise.resolve(false), rejected]) {
      const what = "it is asynchronous";
      assertThrows(() => condition.waitForSync(predicate), TypeError, what);
      await assertRejects(() => condition.waitFor(predicate), TypeError, what);
    }
    assert(lock.locked());
    assertEquals(waiters(condition), 0);
  }
});

function rejected(): Promise<never> {
  return Promise.reject(new Error("rejected"));
}
