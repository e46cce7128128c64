/**
 * Waits in a wait queue until an attempt succeeds.
 *
 * @module
 */
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import {
  type Deadline,
  FOREVER,
  sleep,
  TICK,
  type WaitSlot,
} from "./_sleep.ts";
import { isStopped, throwIfStopped } from "./_stop_word.ts";
import type { WaitQueue } from "./_wait_queue.ts";

/** What a wait tries: returns what it waits for, or `false`. */
export type Attempt<T> = () => T | false;

/** After this many silent ticks a waiter counts as ended. */
const SILENT_TICKS = 2;

/** One waiter, from its first failure to its end. */
class Waiter<T> {
  /** What it has got. */
  result: T | false = false;
  readonly #queue: WaitQueue;
  readonly #attempt: Attempt<T>;
  readonly #takes: boolean;
  readonly #ticket: number;
  #slot: WaitSlot | null = null;
  #overtaken = false;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  constructor(
    queue: WaitQueue,
    attempt: Attempt<T>,
    { sync, takes }: { sync: boolean; takes: boolean },
  ) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#takes = takes;
    this.#ticket = queue.takeTicket(sync);
  }

  get slot(): WaitSlot {
    return this.#slot!;
  }

  /**
   * Tries, after a wake-up or as a newcomer. Queues up if it fails, or if a
   * yield is due first: a thread that is terminated while it yields would keep
   * what it has taken.
   */
  enter(): void {
    throwIfStopped();
    const due = this.#takes && checkpointDue();
    if (this.#slot !== null) {
      this.#slot = null;
      if (!due && this.#isNext() && this.try()) return;
      this.#overtaken = true;
    }
    this.#slot = this.#queue.enrol(this.#ticket);
    if (this.#overtaken) this.#queue.reserve(this.#ticket);
    // A release before the slot was taken has woken nobody.
    if (!due && this.#isNext()) this.try();
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  tick(): boolean {
    throwIfStopped();
    const { reserved, beats } = this.#queue;
    if (reserved === this.#ticket) this.#queue.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#isNext() && !silent || !this.try()) return false;
    if (silent) this.#queue.unreserve(reserved);
    return true;
  }

  /** Tries, whoever is next. */
  try(): boolean {
    throwIfStopped();
    this.result = this.#attempt();
    return this.result !== false;
  }

  /** Leaves the queue, and hands on an unused wake-up. */
  leave(): void {
    const surplus = this.#slot !== null && !this.#queue.cancel(this.#slot);
    const released = this.#queue.unreserve(this.#ticket);
    if (surplus || (released && this.result === false)) this.#queue.wake(1);
  }

  /** Whether the next waiter has ended or is too busy to try. */
  #isSilent(reserved: number, beats: number): boolean {
    const silent = reserved !== 0 && reserved === this.#seen &&
      beats === this.#seenBeats;
    this.#silentTicks = silent ? this.#silentTicks + 1 : 0;
    this.#seen = reserved;
    this.#seenBeats = beats;
    return this.#silentTicks >= SILENT_TICKS;
  }

  #isNext(): boolean {
    const { reserved } = this.#queue;
    return reserved === 0 || (reserved - this.#ticket | 0) >= 0;
  }
}

/**
 * Waits on the event loop until an attempt succeeds. In a thread that was
 * terminated it never settles.
 *
 * @typeParam T The type of what is waited for.
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @param takes Whether a success takes something that a thread which was
 * terminated while it yields would keep. If not, it yields afterwards.
 * @returns What the attempt returned: at once if it need not wait.
 */
export function until<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline = FOREVER,
  takes: boolean = queue.fair,
): T | false | Promise<T | false> {
  // Saves an async call when nothing is in the way.
  if (mayTry(queue, deadline) && !checkpointDue()) {
    const result = attempt();
    if (result !== false || deadline.at === -Infinity) return result;
  }
  return untilLater(queue, attempt, deadline, takes);
}

function mayTry(queue: WaitQueue, { at, signal }: Deadline): boolean {
  if (isStopped() || signal?.aborted) return false;
  return at === -Infinity || queue.mayOvertake();
}

async function untilLater<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline,
  takes: boolean,
): Promise<T | false> {
  try {
    let result: T | false = false;
    if (!takes && mayTry(queue, deadline)) result = attempt();
    else if (deadline.at === -Infinity) await checkpoint();
    if (result === false) result = await wait(queue, attempt, deadline, takes);
    if (!takes && checkpointDue()) await checkpoint();
    return result;
  } catch (error) {
    if (isStopped()) await new Promise(() => {});
    // A loop may catch it
    if (checkpointDue()) await checkpoint();
    throw error;
  }
}

async function wait<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline,
  takes: boolean,
): Promise<T | false> {
  throwIfStopped();
  deadline.signal?.throwIfAborted();
  if (deadline.at === -Infinity) return attempt();
  const waiter = new Waiter(queue, attempt, { sync: false, takes });
  const onTick = (): boolean => waiter.tick();
  try {
    waiter.enter();
    while (waiter.result === false) {
      const outcome = await sleep(waiter.slot, deadline, onTick);
      if (outcome === "timed-out") {
        waiter.try();
        break;
      }
      if (outcome === "woken") waiter.enter();
    }
    return waiter.result;
  } finally {
    waiter.leave();
  }
}

/**
 * Blocks the thread until an attempt succeeds.
 *
 * @typeParam T The type of what is waited for.
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns What the attempt returned.
 * @throws {DOMException} An `AbortError` if the thread was terminated.
 */
export function untilSync<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline = FOREVER,
): T | false {
  throwIfStopped();
  const once = deadline.at === -Infinity;
  if (once || queue.mayOvertake()) {
    const result = attempt();
    if (once || result !== false) return result;
  }
  const waiter = new Waiter(queue, attempt, { sync: true, takes: false });
  try {
    waiter.enter();
    while (waiter.result === false) {
      const left = deadline.at - performance.now();
      if (left <= 0) {
        waiter.try();
        break;
      }
      const { words, index, ticket } = waiter.slot;
      Atomics.wait(words, index, ticket, Math.min(left, TICK));
      if (Atomics.load(words, index) === ticket) waiter.tick();
      else waiter.enter();
    }
    return waiter.result;
  } finally {
    waiter.leave();
  }
}
