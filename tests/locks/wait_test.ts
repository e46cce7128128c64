/** What becomes of waits when a thread ends, is busy, or gives up. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { TICK, until } from "../../workers/locks/_until.ts";
import { WaitQueue } from "../../workers/locks/_wait_queue.ts";
import { pause } from "../support/waiting.ts";
import { Semaphore } from "../../workers/locks/semaphore.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import {
  eventually,
  recordOf,
  sharedWords,
  testThreads,
  Threads,
  waiters,
} from "./_teams.ts";

const PATIENCE = { timeout: 20_000 };

Deno.test("Waiting keeps the program alive, and nothing does afterwards", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      new URL("./keep_alive_fixture.ts", import.meta.url).href,
    ],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  assertEquals(text.decode(stdout).trim().split("\n"), [
    "Lock",
    "ThreadEvent",
    "Condition",
    "Barrier",
    "SharedQueue",
  ], text.decode(stderr));
  assertEquals(code, 0);
});

Deno.test("A thread that is terminated while it waits does not disturb the others", async () => {
  using team = new Threads(2, false);
  const lock = new Lock();
  const semaphore = new Semaphore(0);
  const queue = new SharedQueue<string>();
  lock.acquireSync();
  for (const member of [0, 1]) {
    team.run(member, "acquire", lock);
    team.run(member, "acquire", semaphore);
    team.run(member, "get", queue);
  }
  await eventually(() =>
    waiters(lock) === 2 && waiters(semaphore) === 2 &&
    waiters(queue, "getters") === 2
  );
  const waits = Promise.all([
    lock.acquire(PATIENCE),
    semaphore.acquire(PATIENCE),
    queue.get(PATIENCE),
  ]);
  await Promise.all([team.terminate(0), team.terminate(1)]);
  lock.release();
  semaphore.release();
  queue.putSync("an item");
  assertEquals(await waits, [true, true, "an item"]);
  // The engine may have forgotten the first only after its wake-up.
  lock.release();
  assertEquals(waiters(lock), 0);
});

testThreads(
  "A notification goes to the next waiter if its thread ends without it",
  2,
  async (team) => {
    const condition = new Condition();
    const until = sharedWords(1);
    team.run(0, "waitForConditionAndBeBusy", condition, until);
    await eventually(() => waiters(condition) === 1);
    const next = team.run(
      1,
      "waitForCondition",
      condition,
      sharedWords(1),
      PATIENCE,
    );
    await eventually(() => waiters(condition) === 2);
    {
      using _held = await condition.hold();
      condition.notify();
      assertEquals(waiters(condition), 1);
    }
    const ended = team.terminate(0);
    Atomics.store(until, 0, 1);
    await ended;
    assertEquals(await next, [true, 0]);
  },
);

Deno.test("A notification passes over a thread that has ended", async () => {
  using team = new Threads(2, false);
  const condition = new Condition();
  const log = sharedWords(1);
  team.run(0, "waitForCondition", condition, log);
  await eventually(() => waiters(condition) === 1);
  const alive = team.run(1, "waitForCondition", condition, log);
  await eventually(() => waiters(condition) === 2);
  await team.terminate(0);
  {
    using _held = await condition.hold();
    condition.notify();
  }
  assertEquals(await alive, [true, 0]);
});

Deno.test("A thread that is blocked when it is terminated leaves the lock usable", async () => {
  using team = new Threads(1, true);
  const lock = new Lock();
  lock.acquireSync();
  team.run(0, "pass", lock, sharedWords(1));
  await eventually(() => waiters(lock) === 1);
  const ended = team.terminate(0);
  lock.release();
  assert(await lock.acquire(PATIENCE));
  // It goes on when it gets the lock, and only then it ends.
  lock.release();
  await eventually(() => waiters(lock) === 0 && !lock.locked());
  await ended;
});

Deno.test("Threads that are terminated while they contend leave the lock usable", async () => {
  for (let round = 0; round < 5; round++) {
    using team = new Threads(3, false);
    const lock = new Lock();
    const counter = sharedWords(1);
    team.all("increment", lock, counter, 2 ** 30);
    for (const member of [0, 1, 2]) {
      const before = Atomics.load(counter, 0);
      await eventually(() => Atomics.load(counter, 0) > before + 100);
      await team.terminate(member);
      assert(await lock.acquire(PATIENCE));
      lock.release();
    }
  }
});

Deno.test("A thread that is too busy to take its turn is passed over", async () => {
  using team = new Threads(1, false);
  const lock = new Lock();
  const waiting = sharedWords(1);
  const until = sharedWords(1);
  lock.acquireSync();
  const busy = team.run(0, "waitAndBeBusy", lock, waiting, until);
  await eventually(() => Atomics.load(waiting, 0) === 1);
  const next = lock.acquire(PATIENCE);
  lock.release();
  assert(await next);
  lock.release();
  Atomics.store(until, 0, 1);
  await busy;
  await eventually(() => waiters(lock) === 0 && !lock.locked());
});

Deno.test("A wait that gives up leaves no waiter in the engine", async () => {
  const lock = new Lock();
  lock.acquireSync();
  for (let time = 0; time < 20; time++) {
    assertFalse(await lock.acquire({ timeout: 1 }));
    const controller = new AbortController();
    const wait = lock.acquire({ signal: controller.signal });
    controller.abort();
    await wait.catch(() => {});
  }
  assertEquals(engineWaiters(lock), 0);
});

/** Counts, by waking them for nothing, those who sleep. */
function engineWaiters(shared: object): number {
  const nodes = new Int32Array(recordOf(shared).nodes);
  let count = 0;
  for (let index = 0; index < 10_000; index++) {
    count += Atomics.notify(nodes, index);
  }
  return count;
}

Deno.test("Waiting costs little, however many wait", async () => {
  const count = 4_000;
  const controller = new AbortController();
  let attempts = 0;
  function attempt(): false {
    attempts++;
    return false;
  }
  const deadline = { at: Infinity, signal: controller.signal };
  const queue = new WaitQueue(0, false);
  const waits = Array.from(
    { length: count },
    async () => void await until(queue, attempt, deadline),
  );
  attempts = 0;
  const begun = performance.now();
  await pause(8 * TICK);
  const ticks = Math.ceil((performance.now() - begun) / TICK) + 1;
  assert(attempts <= ticks * count / 4, `${attempts} attempts`);
  controller.abort();
  await Promise.allSettled(waits);
});

Deno.test("Waits refuse options that they do not have", async () => {
  const [lock, semaphore] = [new Lock(), new Semaphore(1)];
  const [event, queue] = [new ThreadEvent(), new SharedQueue<number>()];
  const condition = new Condition();
  const { signal } = new AbortController();
  using _held = condition.holdSync();
  const unknown = { timeOut: 1 } as object;
  for (const options of [unknown, { signal }]) {
    assertThrows(() => lock.acquireSync(options), TypeError);
    assertThrows(() => semaphore.acquireSync(options), TypeError);
    assertThrows(() => queue.getSync(options), TypeError);
  }
  for (const options of [unknown, { blocking: false }]) {
    await assertRejects(() => event.wait(options), TypeError);
    await assertRejects(() => queue.join(options), TypeError);
    await assertRejects(() => condition.wait(options), TypeError);
    for (const more of [options, { signal }]) {
      assertThrows(() => event.waitSync(more), TypeError);
      assertThrows(() => queue.joinSync(more), TypeError);
      assertThrows(() => condition.waitSync(more), TypeError);
    }
  }
  await assertRejects(() => lock.acquire(unknown), TypeError);
  await assertRejects(() => queue.put(1, unknown), TypeError);
  const wrong = { signal: {} as AbortSignal };
  await assertRejects(() => lock.acquire(wrong), TypeError, "an AbortSignal");
});
