/** Whoever is terminated takes nothing any more. */
import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { stop } from "../../workers/locks/_checkpoint.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock, RLock } from "../../workers/locks/lock.ts";
import { Semaphore } from "../../workers/locks/semaphore.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { ThreadPool } from "../../workers/pool/pool.ts";
import { keep } from "./_stop_targets.ts";
import { eventually, sharedWords, Threads, waiters } from "./_teams.ts";

/** Has a thread block, terminates it there, and waits until it is gone. */
async function terminateBlocked(
  how: string,
  primitive: object,
  blocked: () => boolean,
  afterwards: () => void = () => {},
): Promise<void> {
  using team = new Threads(1, true);
  const words = sharedWords(1);
  await team.run(0, "becomeStoppable", words);
  team.run(0, "block", how, primitive);
  await eventually(blocked);
  stop(words);
  const ended = team.terminate(0);
  afterwards();
  await ended;
}

Deno.test("Lock is not taken by a thread that was terminated while it blocked", async () => {
  const lock = new Lock();
  lock.acquireSync();
  await terminateBlocked(
    "Lock",
    lock,
    () => waiters(lock) === 1,
    () => lock.release(),
  );
  assertFalse(lock.locked());
  assertEquals(waiters(lock), 0);
});

Deno.test("RLock is not taken by a thread that was terminated while it blocked", async () => {
  const lock = new RLock();
  lock.acquireSync();
  await terminateBlocked(
    "RLock",
    lock,
    () => waiters(lock) === 1,
    () => lock.release(),
  );
  assertFalse(lock.locked());
});

Deno.test("Semaphore keeps its permit when a thread was terminated that waited for it", async () => {
  const semaphore = new Semaphore(0);
  await terminateBlocked(
    "Semaphore",
    semaphore,
    () => waiters(semaphore) === 1,
    () => semaphore.release(),
  );
  assertEquals(semaphore.value, 1);
});

Deno.test("SharedQueue keeps its item when a thread was terminated that waited for it", async () => {
  const queue = new SharedQueue<number>();
  await terminateBlocked(
    "SharedQueue",
    queue,
    () => waiters(queue) === 1,
    () => queue.putSync(1),
  );
  assertEquals(queue.getNowait(), 1);
});

Deno.test("Lock is free when a thread was terminated that took it in a loop", async () => {
  const lock = new Lock();
  await terminateBlocked("Loop", lock, () => lock.locked());
  assertFalse(lock.locked());
});

Deno.test("Lock.holdSync() releases in a thread that was terminated further in", async () => {
  const outer = new Lock();
  const inner = new Lock();
  inner.acquireSync();
  await terminateBlocked("Nested", [outer, inner], () => waiters(inner) === 1);
  assertFalse(outer.locked());
});

for (const make of [() => new Lock(), () => new RLock()]) {
  const name = make().constructor.name;
  Deno.test(`Condition over ${name} keeps another's hold when a thread was terminated that waited`, async () => {
    const lock = make();
    const condition = new Condition({ lock });
    await terminateBlocked(
      "Condition",
      condition,
      () => waiters(condition) === 1 && lock.acquireSync(),
    );
    assert(lock.locked());
    condition.notify();
    lock.release();
  });
}

Deno.test("Condition keeps another's hold of a lock that was passed beside it when a thread was terminated that waited", async () => {
  const lock = new Lock();
  const condition = new Condition({ lock });
  await terminateBlocked(
    "GivenCondition",
    [condition, lock],
    () => waiters(condition) === 1 && lock.acquireSync(),
  );
  assert(lock.locked());
});

Deno.test("ThreadPool.terminate() ends a task that blocks for a Lock", async () => {
  const module = new URL("./_stop_targets.ts", import.meta.url);
  const pool = new ThreadPool({ workers: 1, module });
  const lock = new Lock();
  lock.acquireSync();
  const kept = pool.submit(keep, lock);
  await eventually(() => waiters(lock) === 1);
  const terminated = pool.terminate();
  await assertRejects(() => kept);
  lock.release();
  await terminated;
  // The lock would be taken at the next tick.
  assert(await lock.acquire());
  await eventually(() => waiters(lock) === 0);
});
