/**
 * Waits in a wait queue until an attempt succeeds.
 *
 * @module
 */
import {
  checkpoint,
  checkpointDue,
  isStopped,
  throwIfStopped,
} from "./_checkpoint.ts";
import { type Deadline, FOREVER, sleep, TICK } from "./_sleep.ts";
import type { WaitQueue, WaitSlot } from "./_wait_queue.ts";

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
  readonly #yields: boolean;
  #ticket = 0;
  #slot: WaitSlot | null = null;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  constructor(queue: WaitQueue, attempt: Attempt<T>, yields: boolean) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#yields = yields;
  }

  /** Tries, whoever is next. */
  try(): boolean {
    throwIfStopped();
    this.result = this.#attempt();
    return this.result !== false;
  }

  async wait(deadline: Deadline): Promise<void> {
    const onTick = (): boolean => this.#tick();
    // A task that only waits for its turn is not woken: it looks each turn.
    const onTurn = (): boolean => this.#isNext() && this.try();
    try {
      this.#ticket = this.#queue.takeTicket(false);
      let due = this.#enter(false);
      while (this.result === false) {
        // A task that yields sleeps, too: a waker distinguishes it from one
        // whose thread has ended, which others overtake.
        const outcome = await sleep(
          this.#slot!,
          deadline,
          onTick,
          due ? onTurn : undefined,
        );
        if (outcome === "timed-out") return void this.try();
        due = outcome === "woken" && this.#enter(true);
      }
    } finally {
      this.#leave();
    }
  }

  waitSync(deadline: Deadline): void {
    try {
      this.#ticket = this.#queue.takeTicket(true);
      this.#enter(false);
      while (this.result === false) {
        const left = deadline.at - performance.now();
        if (left <= 0) return void this.try();
        const { words, index, ticket } = this.#slot!;
        Atomics.wait(words, index, ticket, Math.min(left, TICK));
        if (Atomics.load(words, index) === ticket) this.#tick();
        else this.#enter(true);
      }
    } finally {
      this.#leave();
    }
  }

  /**
   * Tries, after a wake-up or as a newcomer. Queues up if it fails, or if a
   * yield is due first: a thread that is terminated while it yields would keep
   * what it has taken.
   *
   * @returns Whether a yield is due.
   */
  #enter(woken: boolean): boolean {
    throwIfStopped();
    const due = this.#yields && checkpointDue();
    this.#slot = null;
    if (woken && !due && this.#isNext() && this.try()) return due;
    this.#slot = this.#queue.enrol(this.#ticket);
    if (woken) this.#queue.reserve(this.#ticket);
    // A release before it was enrolled has woken nobody.
    if (!due && this.#isNext()) this.try();
    return due;
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  #tick(): boolean {
    throwIfStopped();
    const { reserved, beats } = this.#queue;
    if (reserved === this.#ticket) this.#queue.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#isNext() && !silent || !this.try()) return false;
    if (silent) this.#queue.unreserve(reserved);
    return true;
  }

  /** Leaves the queue, and hands on an unused wake-up. */
  #leave(): void {
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
  const waiter = new Waiter(queue, attempt, takes);
  const once = deadline.at === -Infinity;
  try {
    if (!takes && mayTry(queue, deadline)) waiter.try();
    else if (once) await checkpoint();
    throwIfStopped();
    deadline.signal?.throwIfAborted();
    if (waiter.result === false && !once) await waiter.wait(deadline);
    else if (waiter.result === false) waiter.try();
    if (!takes && checkpointDue()) await checkpoint();
    return waiter.result;
  } catch (error) {
    if (isStopped()) await new Promise(() => {});
    // A loop may catch it
    if (checkpointDue()) await checkpoint();
    throw error;
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
  const waiter = new Waiter(queue, attempt, false);
  waiter.waitSync(deadline);
  return waiter.result;
}
