import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Lock } from "../../workers/locks/lock.ts";
import {
  eventually,
  sharedWords,
  testTeams,
  testThreads,
  Threads,
  waiters,
} from "./_teams.ts";

testTeams(
  "Lock: a try fails while another has it, and then succeeds",
  1,
  async (team) => {
    const lock = new Lock();
    assert(lock.acquireSync());
    assert(lock.locked());
    assertFalse(await team.run(0, "acquire", lock, { blocking: false }));
    lock.release();
    assertFalse(lock.locked());
    assert(await team.run(0, "acquire", lock, { blocking: false }));
    assertFalse(lock.acquireSync({ blocking: false }));
  },
);

testTeams(
  "Lock: five contenders all go on after the release",
  5,
  async (team) => {
    const lock = new Lock();
    const log = sharedWords(1);
    lock.acquireSync();
    const all = team.all("pass", lock, log);
    await eventually(() => waiters(lock) === 5);
    assertEquals(Atomics.load(log, 0), 0);
    lock.release();
    assertEquals((await all).sort(), [0, 1, 2, 3, 4]);
    assertFalse(lock.locked());
    assertEquals(waiters(lock), 0);
  },
);

testTeams("Lock: it is released when the block throws", 1, async (team) => {
  const lock = new Lock();
  await assertRejects(
    () => team.run(0, "failInside", lock),
    Error,
    "Failed inside the block",
  );
  assertFalse(lock.locked());
});

testTeams(
  "Lock: a time-out returns false, and not before its time",
  1,
  async (team) => {
    const lock = new Lock();
    lock.acquireSync();
    const start = performance.now();
    assertFalse(await team.run(0, "acquire", lock, { timeout: 60 }));
    assertGreaterOrEqual(performance.now() - start, 58);
    assertFalse(await team.run(0, "acquire", lock, { timeout: 0 }));
    assertEquals(waiters(lock), 0);
    lock.release();
    assert(await team.run(0, "acquire", lock, { timeout: 60 }));
  },
);

testTeams("Lock: whoever wants may release it", 1, async (team) => {
  const lock = new Lock();
  lock.acquireSync();
  await team.run(0, "release", lock);
  assertFalse(lock.locked());
});

testThreads(
  "Lock: 4 threads x 10,000 increments under it lose none",
  4,
  async (team) => {
    const lock = new Lock();
    const counter = sharedWords(1);
    await team.all("increment", lock, counter, 10_000);
    assertEquals(counter[0], 40_000);
    assertEquals(waiters(lock), 0);
  },
);

Deno.test("Lock: tasks of one event loop lose no increment across an await", async () => {
  const lock = new Lock();
  let counter = 0;
  async function task(): Promise<void> {
    for (let time = 0; time < 100; time++) {
      using _held = await lock.hold();
      const before = counter;
      await Promise.resolve();
      counter = before + 1;
    }
  }
  await Promise.all(Array.from({ length: 20 }, task));
  assertEquals(counter, 2_000);
});

Deno.test("Lock: waiters are served in the order in which they came", async () => {
  const lock = new Lock();
  lock.acquireSync();
  const order: number[] = [];
  const all = Array.from({ length: 50 }, async (_, index) => {
    await lock.acquire();
    order.push(index);
    lock.release();
  });
  lock.release();
  await Promise.all(all);
  assertEquals(order, Array.from({ length: 50 }, (_, index) => index));
});

Deno.test("Lock: two threads that hammer it don't starve a task that waits", async () => {
  using team = new Threads(2, true);
  const lock = new Lock();
  const turns = sharedWords(1);
  const stop = sharedWords(1);
  const hammers = team.all("hammer", lock, turns, stop);
  try {
    await eventually(() => Atomics.load(turns, 0) > 1_000);
    for (let time = 0; time < 20; time++) {
      assert(await lock.acquire({ timeout: 10_000 }));
      lock.release();
    }
  } finally {
    Atomics.store(stop, 0, 1);
  }
  await hammers;
});

Deno.test("Lock: a thousand waiters that give up leave it usable", async () => {
  const lock = new Lock();
  lock.acquireSync();
  const controller = new AbortController();
  const reason = new Error("Enough");
  const all = Promise.allSettled(
    Array.from({ length: 1_000 }, (_, index) =>
      lock.acquire(
        index % 2 === 0 ? { timeout: 20 } : { signal: controller.signal },
      )),
  );
  assertEquals(waiters(lock), 1_000);
  controller.abort(reason);
  for (const [index, result] of (await all).entries()) {
    if (result.status === "rejected") {
      assertStrictEquals(result.reason, reason);
    } else assertEquals([index % 2, result.value], [0, false]);
  }
  assertEquals(waiters(lock), 0);
  lock.release();
  assert(await lock.acquire());
});

Deno.test("Lock: an aborted signal rejects, even if the lock is free", async () => {
  const lock = new Lock();
  const signal = AbortSignal.abort(new Error("Before"));
  await assertRejects(() => lock.acquire({ signal }), Error, "Before");
  assertFalse(lock.locked());
});

Deno.test("Lock: a wake-up that meets an abort goes to the next", async () => {
  const lock = new Lock();
  lock.acquireSync();
  const controller = new AbortController();
  const first = lock.acquire({ signal: controller.signal });
  const second = lock.acquire();
  lock.release();
  controller.abort(new Error("Too late for it"));
  await assertRejects(() => first, Error, "Too late for it");
  assert(await second);
});

Deno.test("Lock: it refuses what cannot work", async () => {
  const lock = new Lock();
  assertThrows(() => lock.release(), Error, "it is not locked");
  assertThrows(
    () => lock.acquireSync({ blocking: false, timeout: 1 }),
    TypeError,
    'Cannot use "timeout" in acquireSync(): it has no meaning',
  );
  assertThrows(() => lock.acquireSync({ timeout: -1 }), RangeError);
  for (const options of [false, 5, null]) {
    await assertRejects(
      () => lock.acquire(options as never),
      TypeError,
      `Cannot use ${options} as the options of acquire(): expected an object such as { timeout: 1_000 }`,
    );
  }
  await assertRejects(() => lock.acquire({ timeout: -1 }), RangeError);
  await assertRejects(() => lock.acquire({ timeout: NaN }), TypeError);
  await assertRejects(
    () => lock.acquire({ timeout: "1" as unknown as number }),
    TypeError,
  );
  await assertRejects(
    () => lock.acquire({ blocking: false, timeout: 1 }),
    TypeError,
  );
  assertFalse(lock.locked());
});

Deno.test("Lock.hold(): it rejects with a TimeoutError in time", async () => {
  const lock = new Lock();
  using _held = lock.holdSync();
  const error = await assertRejects(
    () => lock.hold({ timeout: 10 }),
    DOMException,
  );
  assertEquals(error.name, "TimeoutError");
  assertThrows(() => lock.holdSync({ timeout: 10 }), DOMException);
});

Deno.test("Lock.hold(): a guard releases once", async () => {
  const lock = new Lock();
  const guard = await lock.hold();
  guard[Symbol.dispose]();
  await lock.acquire();
  guard[Symbol.dispose]();
  assert(lock.locked());
});
