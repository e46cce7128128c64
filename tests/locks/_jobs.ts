/**
 * What threads and tasks do in the tests of locks. Each job is told whether it
 * is to block its thread or to wait on the event loop.
 *
 * @module
 */
import type { Barrier } from "../../workers/locks/barrier.ts";
import type { Condition } from "../../workers/locks/condition.ts";
import type { Lock, RLock } from "../../workers/locks/lock.ts";
import type { Semaphore } from "../../workers/locks/semaphore.ts";
import type { SharedQueue } from "../../workers/queue/shared_queue.ts";
import type { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { setStopWord } from "../../workers/locks/_checkpoint.ts";
import {
  endLiving,
  endThread,
  enterLiving,
  joinLiving,
} from "../../workers/locks/_living.ts";
import { type Arena, runChaos } from "./_chaos.ts";

export interface Limits {
  timeout?: number;
  blocking?: boolean;
}

type Acquirable = Lock | RLock | Semaphore;

export async function acquire(
  sync: boolean,
  lock: Acquirable,
  options?: Limits,
): Promise<boolean> {
  return sync ? lock.acquireSync(options) : await lock.acquire(options);
}

export function release(_sync: boolean, lock: Acquirable): void {
  lock.release();
}

/** Takes it, says so, and gives it back. */
export async function pass(
  sync: boolean,
  lock: Acquirable,
  log: Int32Array,
): Promise<number> {
  await acquire(sync, lock);
  const turn = Atomics.add(log, 0, 1);
  lock.release();
  return turn;
}

export async function failInside(sync: boolean, lock: Lock): Promise<void> {
  using _held = sync ? lock.holdSync() : await lock.hold();
  throw new Error("Failed inside the block");
}

/** Takes a lock to a depth, and gives it back but for the last time. */
export async function nest(
  sync: boolean,
  lock: RLock,
  depth: number,
): Promise<boolean> {
  for (let level = 0; level < depth; level++) await acquire(sync, lock);
  for (let level = 1; level < depth; level++) lock.release();
  return lock.owned();
}

/** Adds 1 many times, by reading and then writing. */
export async function increment(
  sync: boolean,
  lock: Lock,
  counter: Int32Array,
  times: number,
): Promise<void> {
  for (let time = 0; time < times; time++) {
    using _held = sync ? lock.holdSync() : await lock.hold();
    const before = counter[0]!;
    counter[0] = before + 1;
  }
}

/** Takes a semaphore twice without waiting, with all others in between. */
export async function tryTwice(
  sync: boolean,
  semaphore: Semaphore,
  barrier: Barrier,
): Promise<boolean[]> {
  const first = await acquire(sync, semaphore, { blocking: false });
  await meet(sync, barrier);
  return [first, await acquire(sync, semaphore, { blocking: false })];
}

export async function waitForEvent(
  sync: boolean,
  event: ThreadEvent,
  options?: Limits,
): Promise<boolean> {
  return sync ? event.waitSync(options) : await event.wait(options);
}

/** Waits to be notified; returns the result, and how many were before. */
export async function waitForCondition(
  sync: boolean,
  condition: Condition,
  log: Int32Array,
  options?: Limits,
): Promise<[boolean, number]> {
  using _held = sync ? condition.holdSync() : await condition.hold();
  const notified = sync
    ? condition.waitSync(options)
    : await condition.wait(options);
  return [notified, Atomics.add(log, 0, 1)];
}

/** Waits, at a depth, until a word has a value. */
export async function waitForValue(
  sync: boolean,
  condition: Condition,
  word: Int32Array,
  value: number,
  options?: Limits,
): Promise<number | false> {
  function reached(): number | false {
    const now = Atomics.load(word, 0);
    return now >= value && now;
  }
  using _outer = sync ? condition.holdSync() : await condition.hold();
  using _inner = sync ? condition.holdSync() : await condition.hold();
  return sync
    ? condition.waitForSync(reached, options)
    : await condition.waitFor(reached, options);
}

export async function meet(
  sync: boolean,
  barrier: Barrier,
  options?: Limits,
): Promise<number> {
  return sync ? barrier.waitSync(options) : await barrier.wait(options);
}

/** Meets with the others; each time all must be at the same step. */
export async function march(
  sync: boolean,
  barrier: Barrier,
  board: Int32Array,
  me: number,
  steps: number,
): Promise<number[]> {
  const indexes: number[] = [];
  for (let step = 1; step <= steps; step++) {
    Atomics.store(board, me, step);
    indexes.push(await meet(sync, barrier));
    if (board.some((at) => at !== step)) {
      throw new Error(`Out of step: ${board} at ${step}`);
    }
    await meet(sync, barrier);
  }
  return indexes;
}

/** Meets with the others, with an action that counts. */
export async function meetAndCount(
  sync: boolean,
  barrier: Barrier,
  counter: Int32Array,
): Promise<number> {
  function action(): void {
    Atomics.add(counter, 0, 1);
  }
  const index = sync
    ? barrier.waitSync({ action })
    : await barrier.wait({ action });
  return index * 100 + Atomics.load(counter, 0);
}

/** Meets with the others, with an action that throws. */
export async function meetAndFail(
  sync: boolean,
  barrier: Barrier,
): Promise<number> {
  function action(): void {
    throw new RangeError("Failed in the action");
  }
  return sync ? barrier.waitSync({ action }) : await barrier.wait({ action });
}

export async function produce(
  sync: boolean,
  queue: SharedQueue<number[]>,
  me: number,
  items: number,
): Promise<void> {
  for (let item = 0; item < items; item++) {
    if (sync) queue.putSync([me, item]);
    else await queue.put([me, item]);
  }
}

/** Takes all there is until the queue is closed. */
export async function consume(
  sync: boolean,
  queue: SharedQueue<number[]>,
): Promise<number[][]> {
  const items: number[][] = [];
  if (!sync) return await Array.fromAsync(queue);
  for (;;) {
    try {
      items.push(queue.getSync());
    } catch (error) {
      if ((error as Error).name === "QueueClosedError") return items;
      throw error;
    }
  }
}

export async function get(
  sync: boolean,
  queue: SharedQueue,
  options?: Limits,
): Promise<unknown> {
  return sync ? queue.getSync(options) : await queue.get(options);
}

export async function put(
  sync: boolean,
  queue: SharedQueue,
  value: unknown,
  options?: Limits,
): Promise<void> {
  if (sync) queue.putSync(value, options);
  else await queue.put(value, options);
}

/** Begins to wait for a lock, and leaves its event loop no time to get it. */
export function waitAndBeBusy(
  _sync: boolean,
  lock: Lock,
  waiting: Int32Array,
  until: Int32Array,
): void {
  lock.acquire().then(() => lock.release());
  Atomics.store(waiting, 0, 1);
  Atomics.notify(waiting, 0);
  while (Atomics.load(until, 0) === 0);
}

/** As `waitAndBeBusy()`, for a notification. */
export function waitForConditionAndBeBusy(
  _sync: boolean,
  condition: Condition,
  until: Int32Array,
): void {
  condition.acquireSync();
  void condition.wait();
  while (Atomics.load(until, 0) === 0);
}

/** Nests an `RLock` many times. */
export async function nestOften(
  sync: boolean,
  lock: RLock | Condition,
  times: number,
): Promise<void> {
  for (let time = 0; time < times; time++) {
    using _outer = sync ? lock.holdSync() : await lock.hold();
    using _inner = sync ? lock.holdSync() : await lock.hold();
  }
}

/** Hands a lock on as fast as it can until it is told to stop. */
export function hammer(
  _sync: boolean,
  lock: Lock | RLock,
  turns: Int32Array,
  stop: Int32Array,
): void {
  while (Atomics.load(stop, 0) === 0) {
    lock.acquireSync();
    Atomics.add(turns, 0, 1);
    lock.release();
  }
}

/** What a loop over a primitive does each time. */
const STEPS: Record<string, (primitive: never) => Promise<unknown>> = {
  async Lock(lock: Lock): Promise<void> {
    await lock.acquire();
    lock.release();
  },
  async LockTry(lock: Lock): Promise<void> {
    if (await lock.acquire({ blocking: false })) lock.release();
  },
  async LockHold(lock: Lock): Promise<void> {
    using _held = await lock.hold();
  },
  async RLock(lock: RLock): Promise<void> {
    await lock.acquire();
    await lock.acquire();
    lock.release();
    lock.release();
  },
  async Semaphore(semaphore: Semaphore): Promise<void> {
    await semaphore.acquire();
    semaphore.release();
  },
  async Condition(condition: Condition): Promise<void> {
    using _held = await condition.hold();
    condition.notify();
  },
  async ConditionWaitFor(condition: Condition): Promise<void> {
    await condition.acquire();
    await condition.waitFor(() => true);
    condition.release();
  },
  async ThreadEvent(event: ThreadEvent): Promise<void> {
    event.set();
    await event.wait();
  },
  async Barrier(barrier: Barrier): Promise<void> {
    await barrier.wait();
  },
  async SharedQueue(queue: SharedQueue): Promise<void> {
    await queue.put("an item");
    await queue.get();
  },
  async SharedQueueTry(queue: SharedQueue): Promise<void> {
    await queue.get({ blocking: false }).catch(() => {});
  },
};

/** Takes one step of a loop over a primitive. */
export async function step(
  _sync: boolean,
  name: string,
  primitive: object,
): Promise<void> {
  await STEPS[name]!(primitive as never);
}

/** Loops over a primitive for ever. */
export async function loop(
  sync: boolean,
  name: string,
  primitive: object,
  turns: Int32Array,
): Promise<void> {
  for (;;) {
    await step(sync, name, primitive);
    Atomics.add(turns, 0, 1);
  }
}

let kept: unknown;

/** Keeps an object of this thread. */
export function keep(_sync: boolean, object: object): void {
  kept = object;
}

/** Whether a condition's lock is the object that was kept. */
export function isKept(_sync: boolean, condition: Condition): boolean {
  condition.acquireSync();
  const isLocked = (kept as Lock).locked();
  condition.release();
  return isLocked;
}

/** Sets the word that stops this thread. */
/**
 * Leaves nearly all slots of the living as if this thread had started those
 * whose they were; then declares the thread dead again and again.
 */
export function dieAgain(
  _sync: boolean,
  all: Int32Array,
  id: number,
  words: Int32Array,
): void {
  joinLiving({ words: all, self: id });
  const entered = Array.from({ length: 4_000 }, enterLiving);
  for (const each of entered) endLiving(each);
  Atomics.store(words, 0, 1);
  while (Atomics.load(words, 1) === 0) endThread(id);
}

export function becomeStoppable(_sync: boolean, words: Int32Array): void {
  setStopWord(words);
}

/** Waits for something, blocking the thread, and would keep it. */
export function block(_sync: boolean, how: string, primitive: object): void {
  BLOCKS[how]!(primitive as never);
}

const BLOCKS: Record<string, (primitive: never) => void> = {
  Lock: (lock: Lock) => void lock.acquireSync(),
  RLock: (lock: RLock) => void lock.acquireSync(),
  Semaphore: (semaphore: Semaphore) => void semaphore.acquireSync(),
  SharedQueue: (queue: SharedQueue) => void queue.getSync(),
  Loop(lock: Lock) {
    for (;;) {
      lock.acquireSync();
      lock.release();
    }
  },
  Condition(condition: Condition) {
    using _held = condition.holdSync();
    condition.waitSync();
  },
  GivenCondition([condition, lock]: [Condition, Lock]) {
    using _held = lock.holdSync();
    condition.waitSync();
  },
  Nested([outer, inner]: [Lock, Lock]) {
    using _held = outer.holdSync();
    inner.acquireSync();
  },
};

/** Does whatever a seed says until it is over. */
export async function chaos(
  sync: boolean,
  seed: number,
  arena: Arena,
): Promise<void> {
  await runChaos(sync, seed, arena);
}
