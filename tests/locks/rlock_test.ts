import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Condition } from "../../workers/locks/condition.ts";
import { RLock } from "../../workers/locks/lock.ts";
import { WaitQueue } from "../../workers/locks/_wait_queue.ts";
import {
  eventually,
  recordOf,
  sharedWords,
  testThreads,
  Threads,
  waiters,
} from "./_teams.ts";

testThreads(
  "RLock: its owner takes it again, and frees it at the last release",
  1,
  async (team) => {
    const lock = new RLock();
    assert(await team.run(0, "nest", lock, 5));
    assert(lock.locked());
    assertFalse(lock.owned());
    assertFalse(lock.acquireSync({ blocking: false }));
    await team.run(0, "release", lock);
    assertFalse(lock.locked());
    assert(lock.acquireSync({ blocking: false }));
    assert(lock.owned());
    assertFalse(await team.run(0, "acquire", lock, { blocking: false }));
    lock.release();
  },
);

testThreads(
  "RLock: a thread that does not own it can't release it",
  1,
  async (team) => {
    const lock = new RLock();
    lock.acquireSync();
    await assertRejects(
      () => team.run(0, "release", lock),
      Error,
      "another thread owns it",
    );
    assert(lock.owned());
    lock.release();
    assertThrows(() => lock.release(), Error, "it is not locked");
  },
);

testThreads(
  "RLock: five contenders all go on after the last release",
  5,
  async (team) => {
    const lock = new RLock();
    const log = sharedWords(1);
    lock.acquireSync();
    await lock.acquire();
    const all = team.all("pass", lock, log);
    await eventually(() => waiters(lock) === 5);
    lock.release();
    assertEquals(waiters(lock), 5);
    lock.release();
    assertEquals((await all).sort(), [0, 1, 2, 3, 4]);
    assertFalse(lock.locked());
  },
);

Deno.test("RLock.hold(): nested blocks release at the end of the outer one", async () => {
  const lock = new RLock();
  {
    using _outer = await lock.hold();
    {
      using _inner = lock.holdSync();
    }
    assert(lock.owned());
  }
  assertFalse(lock.locked());
});

Deno.test("RLock: it refuses what cannot work", async () => {
  const lock = new RLock();
  assertThrows(() => lock.release(), Error, "it is not locked");
  assertThrows(() => lock.acquireSync({ timeout: -1 }), RangeError);
  await assertRejects(
    () => lock.acquire({ blocking: false, timeout: 1 }),
    TypeError,
  );
});

testThreads(
  "RLock: threads that nest it don't stop each other",
  2,
  async (team) => {
    await team.all("nestOften", new RLock(), 10_000);
  },
);

testThreads(
  "Condition: threads that nest its RLock don't stop each other",
  2,
  async (team) => {
    const condition = new Condition({ lock: new RLock() });
    await team.all("nestOften", condition, 10_000);
  },
);

Deno.test("RLock: its owner does not queue up behind one that was overtaken", async () => {
  using team = new Threads(1, true);
  const lock = new RLock();
  const turns = sharedWords(1);
  const stop = sharedWords(1);
  const hammered = team.run(0, "hammer", lock, turns, stop);
  try {
    await eventually(() => Atomics.load(turns, 0) > 0);
    const queue = new WaitQueue(recordOf(lock));
    for (let overtaken = false; !overtaken;) {
      lock.acquireSync();
      overtaken = queue.reserved !== 0;
      if (overtaken) assert(lock.acquireSync({ timeout: 20_000 }));
      if (overtaken) lock.release();
      lock.release();
    }
  } finally {
    Atomics.store(stop, 0, 1);
  }
  await hammered;
});
