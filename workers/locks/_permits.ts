/**
 * A count of permits in shared memory, the core of locks and semaphores.
 *
 * Threads are anonymous: a permit that one of them took may be returned by
 * another. Processes are known by their ids, so that a dead one gives back
 * what it has: each permit that a process takes is a loan. The loans are in
 * the same memory, in the order in which they were made.
 *
 * A release returns a loan of the process that releases, or else a permit that
 * a thread has, or else the oldest loan, which its holder loses. So there are
 * never more loans than taken permits.
 *
 * Without loans, and while no more permits were returned than taken, a permit
 * costs one exchange of a word. Then the number of taken permits follows from
 * the number of free ones. Afterwards everything happens under the mutex; the
 * word is negative then, so an exchange that has begun before fails.
 *
 * @module
 */

import { deaths, isLiving } from "./_living.ts";
import { type Deadline, until, untilSync } from "./_until.ts";
import { isStopped, throwIfStopped } from "./_checkpoint.ts";
import {
  addNode,
  AFTER,
  BEFORE,
  OWN,
  removeNodes,
  TICKET,
  WaitQueue,
  type WaitRecord,
} from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";

/** The number of free permits; its complement if loans are possible. */
const FREE = OWN;
const MOST = OWN + 1;
const INITIAL = OWN + 2;
// From here on they count only if loans are possible
const TAKEN = OWN + 3;
const LOANS = OWN + 4;
const OLDEST = OWN + 5;
const NEWEST = OWN + 6;
const SETTLED = OWN + 7;

/** The first word that the owner of permits may use for itself. */
export const OWN_WITH_PERMITS = OWN + 8;

// A node stands for loans of one holder that nobody else's came between
const HOLDER = TICKET;
const COUNT = BEFORE;

/** The most permits that a word can hold. */
export const MOST_PERMITS = 2 ** 31 - 1;

/** A number of permits that threads take and return. */
export class Permits extends WaitQueue {
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
      Atomics.store(this.words, FREE, from);
      Atomics.store(this.words, MOST, most);
      Atomics.store(this.words, INITIAL, from);
    }
  }

  /** The number of available permits. */
  get available(): number {
    const free = Atomics.load(this.words, FREE);
    if (free >= 0) return free;
    if (this.#mustSettle()) this.#alone(() => {});
    return ~Atomics.load(this.words, FREE);
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
   * @param holder The id of the process that returns them.
   * @returns `false` if there would be too many. Nothing changes then.
   */
  give(count: number, holder = 0): boolean {
    const { words } = this;
    for (;;) {
      const free = Atomics.load(words, FREE);
      if (free < 0) {
        if (!this.#alone(() => this.#giveAlone(count, holder))) return false;
        break;
      }
      if (free > words[MOST]! - count) return false;
      if (free + count > words[INITIAL]!) this.allowLoans();
      else if (this.#swap(free, free + count)) break;
    }
    if (this.size > 0) this.wake(count);
    return true;
  }

  /**
   * Takes a permit if there is one.
   *
   * @param holder The id of the process that takes it.
   * @returns Whether there was.
   * @throws {DOMException} An `AbortError` if the thread was terminated.
   */
  take(holder = 0): boolean {
    for (;;) {
      let free = Atomics.load(this.words, FREE);
      if (free === 0) return false;
      if (free > 0) {
        if (holder !== 0) this.allowLoans();
        if (!this.#swap(free, free - 1)) continue;
        // Not before: the thread that terminated this one may return the permit.
        if (isStopped()) {
          this.give(1);
          throwIfStopped();
        }
      } else {
        free = this.#alone(() => this.#takeAlone(holder));
        if (free === 0) return false;
      }
      // A newcomer may have waited although there was one for it.
      if (free > 1 && this.size > 0) this.wake(1);
      return true;
    }
  }

  /** Prepares for loans. */
  allowLoans(): void {
    const { words } = this;
    this.alone(() => {
      for (;;) {
        const free = Atomics.load(words, FREE);
        if (free < 0) return;
        words[TAKEN] = words[INITIAL]! - free;
        if (this.#swap(free, ~free)) return;
      }
    });
  }

  /**
   * Ends loans of a process.
   *
   * @param holder The id of the process.
   * @param isReturned Whether its permits are free now. If not, they stay
   * taken, and any thread may return them.
   * @param most The number of loans to end.
   */
  endLoans(holder: number, isReturned: boolean, most = Infinity): void {
    const ended = this.#alone(() => {
      const count = this.#removeLoans((other) => other === holder, most);
      if (isReturned) this.#free(count);
      return count;
    });
    if (isReturned && ended > 0 && this.size > 0) this.wake(ended);
  }

  /** Returns the number of permits that were free. */
  #takeAlone(holder: number): number {
    const { words } = this;
    const free = ~words[FREE]!;
    if (free === 0) return 0;
    throwIfStopped();
    if (holder !== 0) this.#addLoan(holder);
    words[TAKEN]!++;
    Atomics.store(words, FREE, ~(free - 1));
    return free;
  }

  #giveAlone(count: number, holder: number): boolean {
    const { words } = this;
    if (~words[FREE]! > words[MOST]! - count) return false;
    if (holder !== 0) this.#removeLoans((other) => other === holder, count);
    this.#free(count);
    // Somebody has returned them for their holders
    const lost = words[LOANS]! - words[TAKEN]!;
    if (lost > 0) this.#removeLoans(() => true, lost);
    return true;
  }

  #free(count: number): void {
    const { words } = this;
    words[TAKEN] = Math.max(words[TAKEN]! - count, 0);
    Atomics.store(words, FREE, words[FREE]! - count);
  }

  #addLoan(holder: number): void {
    const { words, nodes } = this;
    const newest = words[NEWEST]!;
    if (newest !== 0 && nodes[newest + HOLDER] === holder) {
      nodes[newest + COUNT]!++;
    } else {
      const node = addNode(nodes, holder);
      nodes[node + AFTER] = 0;
      nodes[node + COUNT] = 1;
      if (newest === 0) words[OLDEST] = node;
      else nodes[newest + AFTER] = node;
      words[NEWEST] = node;
    }
    words[LOANS]!++;
  }

  /** Removes the oldest loans of some holders; returns their number. */
  #removeLoans(isOf: (holder: number) => boolean, most: number): number {
    const { words, nodes } = this;
    let removed = 0;
    words[NEWEST] = removeNodes(words, OLDEST, nodes, (node) => {
      const loans = nodes[node + COUNT]!;
      const count = isOf(nodes[node + HOLDER]!)
        ? Math.min(loans, most - removed)
        : 0;
      removed += count;
      nodes[node + COUNT] = loans - count;
      return loans > count;
    });
    words[LOANS]! -= removed;
    return removed;
  }

  #mustSettle(): boolean {
    return this.words[LOANS] !== 0 && this.words[SETTLED] !== deaths();
  }

  /** Does something under the mutex, after what the dead had is free. */
  #alone<T>(act: () => T): T {
    let freed = 0;
    const result = this.alone(() => {
      if (this.#mustSettle()) {
        this.words[SETTLED] = deaths();
        freed = this.#removeLoans((holder) => !isLiving(holder), Infinity);
        this.#free(freed);
      }
      return act();
    });
    if (freed > 0 && this.size > 0) this.wake(freed);
    return result;
  }

  #swap(from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, FREE, from, to) === from;
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
  { timeout }: WaitOptions = {},
): Disposable {
  if (!acquired) {
    throw new DOMException(
      `Cannot acquire the ${name} ` +
        (timeout === undefined ? "at once" : `within ${timeout} ms`),
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
