/**
 * A count of permits in shared memory, the core of locks and semaphores.
 *
 * @module
 */

import type { Loans } from "../codec/share.ts";
import type { Deadline } from "./_sleep.ts";
import { isStopped, throwIfStopped } from "./_stop_word.ts";
import { until, untilSync } from "./_until.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import type { WaitSyncOptions } from "./wait_options.ts";

const AVAILABLE = OWN;
const MOST = OWN + 1;
const INITIAL = OWN + 2;
const LENT = OWN + 3;

/** The first word that the owner of permits may use for itself. */
export const OWN_WITH_PERMITS = OWN + 4;

/** The most permits that a word can hold. */
export const MOST_PERMITS = 2 ** 31 - 1;

/** A number of permits that threads take and return. */
export class Permits extends WaitQueue implements Loans {
  /**
   * Makes permits, or joins some.
   *
   * @param from The number of permits, or the memory.
   * @param most The maximum.
   * @param more Extra words for the owner.
   */
  constructor(from: number | WaitRecord, most = MOST_PERMITS, more = 0) {
    super(typeof from === "number" ? OWN_WITH_PERMITS - OWN + more : from);
    if (typeof from === "number") {
      Atomics.store(this.words, AVAILABLE, from);
      Atomics.store(this.words, MOST, most);
      Atomics.store(this.words, INITIAL, from);
    }
  }

  /** The number of available permits. */
  get available(): number {
    return Atomics.load(this.words, AVAILABLE);
  }

  /**
   * Takes a permit, waiting on the event loop.
   *
   * @param deadline When to give up.
   * @returns Whether it did: at once if it need not wait.
   */
  acquire(deadline?: Deadline): boolean | Promise<boolean> {
    return until(this, () => this.take(), deadline);
  }

  /**
   * Takes a permit, blocking the thread.
   *
   * @param deadline When to give up.
   * @returns Whether it did.
   */
  acquireSync(deadline?: Deadline): boolean {
    return untilSync(this, () => this.take(), deadline);
  }

  /**
   * Returns permits.
   *
   * @param count The number of permits.
   * @returns `false` if there would be too many. Nothing changes then.
   */
  give(count: number): boolean {
    const most = this.words[MOST]!;
    for (;;) {
      const { available } = this;
      if (available > most - count) return false;
      // A plain read costs less, and does not miss what happened before.
      if (this.words[LENT] !== 0) this.#noteReturned(available + count);
      if (this.#swap(AVAILABLE, available, available + count)) break;
    }
    if (this.size > 0) this.wake(count);
    return true;
  }

  /** A process has taken a permit. */
  lend(): void {
    Atomics.add(this.words, LENT, 1);
  }

  /**
   * A process has lost, or is about to return, permits that it took.
   *
   * @param count The number of permits.
   * @returns How many of them nobody else has returned for it.
   */
  repay(count: number): number {
    const lent = this.#lent;
    const repaid = Math.min(lent, count);
    return this.#swap(LENT, lent, lent - repaid) ? repaid : this.repay(count);
  }

  /**
   * Takes a permit if there is one.
   *
   * @returns Whether there was.
   * @throws {DOMException} An `AbortError` if the thread was terminated.
   */
  take(): boolean {
    for (;;) {
      const { available } = this;
      if (available === 0) return false;
      if (!this.#swap(AVAILABLE, available, available - 1)) continue;
      // Not before: the thread that terminated this one may return the permit.
      if (isStopped()) {
        this.give(1);
        throwIfStopped();
      }
      // A newcomer may have waited although there was one for it.
      if (available > 1 && this.size > 0) this.wake(1);
      return true;
    }
  }

  get #lent(): number {
    return Atomics.load(this.words, LENT);
  }

  /**
   * When fewer permits are taken than processes have, somebody else returned
   * theirs. This is noted before the permits can be taken again.
   */
  #noteReturned(available: number): void {
    for (let lent = this.#lent; lent > 0; lent = this.#lent) {
      const taken = Math.max(this.words[INITIAL]! - available, 0);
      if (lent <= taken || this.#swap(LENT, lent, taken)) return;
    }
  }

  #swap(index: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, index, from, to) === from;
  }
}

/**
 * Makes a guard for `using`, which releases once.
 *
 * @param lock What it releases at the end of the block.
 * @param acquired Whether the lock was acquired.
 * @param name The kind of lock, for the message.
 * @param options The time-out.
 * @returns The guard.
 * @throws {DOMException} A `TimeoutError`, as of `AbortSignal.timeout()`, if it
 * was not acquired.
 */
export function guardOf(
  lock: { release(): void },
  acquired: boolean,
  name: string,
  { timeout }: WaitSyncOptions = {},
): Disposable {
  if (!acquired) {
    throw new DOMException(
      `Cannot acquire the ${name} within ${timeout} ms`,
      "TimeoutError",
    );
  }
  let held = true;
  return {
    [Symbol.dispose](): void {
      if (!held) return;
      held = false;
      lock.release();
    },
  };
}
