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

/** After this many silent ticks a waiter counts as ended. */
const SILENT_TICKS = 2;

/** One waiter, from its first failure to its end. */
class Waiter {
  readonly #queue: WaitQueue;
  readonly #attempt: () => boolean;
  readonly #sync: boolean;
  readonly #ticket: number;
  #slot: WaitSlot | null = null;
  #overtaken = false;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  /**
   * Makes a waiter; `enter()` queues it up.
   *
   * @param queue The wait queue.
   * @param attempt Tries; returns `false` if it fails.
   * @param sync Whether it blocks its thread.
   */
  constructor(queue: WaitQueue, attempt: () => boolean, sync: boolean) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#sync = sync;
    this.#ticket = queue.takeTicket(sync);
  }

  /** Its slot. */
  get slot(): WaitSlot {
    return this.#slot!;
  }

  /**
   * Tries, after a wake-up or as a newcomer. Queues up if it fails, or if a
   * yield is due first: a thread that is terminated while it yields would keep
   * what it has taken.
   */
  enter(): boolean {
    throwIfStopped();
    const due = !this.#sync && this.#queue.fair && checkpointDue();
    if (this.#slot !== null) {
      this.#slot = null;
      if (!due && this.#isNext() && this.#attempt()) return true;
      this.#overtaken = true;
    }
    this.#slot = this.#queue.enrol(this.#ticket);
    if (this.#overtaken) this.#queue.reserve(this.#ticket);
    // A release before the slot was taken has woken nobody.
    return !due && this.#isNext() && this.#attempt();
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  tick(): boolean {
    throwIfStopped();
    const { reserved, beats } = this.#queue;
    if (reserved === this.#ticket) this.#queue.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#isNext() && !silent || !this.#attempt()) return false;
    if (silent) this.#queue.unreserve(reserved);
    return true;
  }

  /** Tries a last time. */
  expire(): boolean {
    throwIfStopped();
    return this.#attempt();
  }

  /** Leaves the queue, and hands on an unused wake-up. */
  leave(success: boolean): void {
    const surplus = this.#slot !== null && !this.#queue.cancel(this.#slot);
    const released = this.#queue.unreserve(this.#ticket);
    if (surplus || (released && !success)) this.#queue.wake(1);
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
 * Whether to try at once: no waiter comes first, and no yield is due.
 *
 * @param queue The wait queue.
 * @param deadline When to give up.
 * @param takes Whether a success takes something that a terminated thread would
 * keep. If not, the caller yields afterwards.
 * @returns If not, or the attempt fails, go on with `until()`.
 */
export function mayTry(
  queue: WaitQueue,
  deadline: Deadline = FOREVER,
  takes: boolean = queue.fair,
): boolean {
  if (isStopped() || deadline.signal?.aborted) return false;
  if (deadline.at !== -Infinity && !queue.mayOvertake()) return false;
  return !(takes && checkpointDue());
}

/**
 * Waits on the event loop until an attempt succeeds. In a thread that was
 * terminated it never settles.
 *
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns Whether an attempt succeeded.
 */
export async function until(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline = FOREVER,
): Promise<boolean> {
  try {
    if (deadline.at !== -Infinity) return await wait(queue, attempt, deadline);
    if (checkpointDue()) await checkpoint();
    deadline.signal?.throwIfAborted();
    throwIfStopped();
    return attempt();
  } catch (error) {
    if (isStopped()) await new Promise(() => {});
    // A loop may catch it
    if (checkpointDue()) await checkpoint();
    throw error;
  }
}

async function wait(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline,
): Promise<boolean> {
  deadline.signal?.throwIfAborted();
  const waiter = new Waiter(queue, attempt, false);
  let success = false;
  try {
    success = waiter.enter();
    while (!success) {
      const outcome = await sleep(waiter.slot, deadline, () => waiter.tick());
      if (outcome === "timed-out") return success = waiter.expire();
      success = outcome === "ticked" || waiter.enter();
    }
    return success;
  } finally {
    waiter.leave(success);
  }
}

/**
 * Blocks the thread until an attempt succeeds.
 *
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns Whether an attempt succeeded.
 * @throws {DOMException} An `AbortError` if the thread was terminated.
 */
export function untilSync(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline = FOREVER,
): boolean {
  throwIfStopped();
  const once = deadline.at === -Infinity;
  if ((once || queue.mayOvertake()) && attempt()) return true;
  if (once) return false;
  const waiter = new Waiter(queue, attempt, true);
  let success = false;
  try {
    success = waiter.enter();
    while (!success) {
      const left = deadline.at - performance.now();
      if (left <= 0) return success = waiter.expire();
      const { words, index, value } = waiter.slot;
      Atomics.wait(words, index, value, Math.min(left, TICK));
      success = Atomics.load(words, index) === value
        ? waiter.tick()
        : waiter.enter();
    }
    return success;
  } finally {
    waiter.leave(success);
  }
}
