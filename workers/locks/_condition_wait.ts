/**
 * What a condition does with its lock and its waiters.
 *
 * @module
 */
import {
  checkpoint,
  checkpointDue,
  forfeit,
  isStopped,
} from "./_checkpoint.ts";
import { type Deadline, sleep, TICK } from "./_until.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";

/** What a condition needs of its lock. */
export interface InnerLock {
  locked(): boolean;
  /** Only if it is reentrant. */
  owned?(): boolean;
  acquire(): Promise<boolean>;
  acquireSync(options?: { blocking: false }): boolean;
  release(): void;
}

/** Releases a lock at any depth; returns the depth. */
function releaseAll(lock: InnerLock): number {
  let depth = 0;
  do {
    lock.release();
    depth++;
  } while (lock.owned?.());
  return depth;
}

function takeAgain(lock: InnerLock, depth: number): void {
  for (let level = 0; level < depth; level++) lock.acquireSync();
}

/**
 * The number of notified waiters that do not have the lock again, if others
 * wait who would be notified in their place.
 */
const UNRECEIVED = OWN;

/** After this many ticks a notification counts as lost. */
const LOST_TICKS = 10;

/** The waiters of a condition. Their caller owns the lock. */
export class ConditionWaiters extends WaitQueue {
  /**
   * Makes a queue, or joins one.
   *
   * @param record The memory of a queue.
   */
  constructor(record?: WaitRecord) {
    super(record ?? 1, false);
  }

  /**
   * Wakes the oldest waiters.
   *
   * @param count Most waiters to wake.
   */
  notify(count: number): void {
    const woken = this.wake(count);
    this.#unreceived = this.size > 0 ? this.#unreceived + woken : 0;
  }

  /**
   * Releases the lock, waits on the event loop for a notification, and takes
   * the lock again.
   *
   * @param lock The lock.
   * @param deadline When to give up.
   * @returns Whether a notification has come.
   */
  async wait(lock: InnerLock, deadline: Deadline): Promise<boolean> {
    if (deadline.signal?.aborted && checkpointDue(true)) await checkpoint();
    deadline.signal?.throwIfAborted();
    const slot = this.enrol(this.takeTicket(false));
    // It sleeps before the lock is free, so that a notification can distinguish
    // this waiter from one whose thread has ended.
    const asleep = sleep(slot, deadline, this.#ticker(lock));
    const depth = releaseAll(lock);
    let aborted = true;
    let notified = false;
    try {
      await asleep;
      aborted = false;
    } finally {
      notified = !this.cancel(slot);
      await lock.acquire();
      takeAgain(lock, depth - 1);
      if (notified) this.#receive();
      if (notified && aborted) this.notify(1);
    }
    return notified;
  }

  /**
   * As `wait()`, blocking the thread.
   *
   * @param lock The lock.
   * @param deadline When to give up.
   * @returns Whether a notification has come.
   * @throws {DOMException} An `AbortError` if the thread was terminated. The
   * caller does not own the lock then.
   */
  waitSync(lock: InnerLock, deadline: Deadline): boolean {
    const slot = this.enrol(this.takeTicket(true));
    const { words, index, ticket } = slot;
    const onTick = this.#ticker(lock);
    const depth = releaseAll(lock);
    let notified = false;
    try {
      while (Atomics.load(words, index) === ticket && !isStopped()) {
        const left = deadline.at - performance.now();
        if (left <= 0) break;
        Atomics.wait(words, index, ticket, Math.min(left, TICK));
        onTick();
      }
      notified = !this.cancel(slot);
      takeAgain(lock, depth);
    } catch (error) {
      this.cancel(slot);
      // The thread was terminated: its guards must not release another's lock.
      forfeit(lock);
      throw error;
    }
    if (notified) this.#receive();
    return notified;
  }

  get #unreceived(): number {
    return Atomics.load(this.words, UNRECEIVED);
  }

  set #unreceived(count: number) {
    Atomics.store(this.words, UNRECEIVED, count);
  }

  #receive(): void {
    this.beat();
    this.#unreceived = Math.max(this.#unreceived - 1, 0);
  }

  /**
   * Makes what a waiter does at each tick: if a notified waiter does not take
   * the lock although it is free, its thread has ended or is busy. Then the
   * notification goes to the next waiter, too.
   */
  #ticker(lock: InnerLock): () => false {
    let lost = 0;
    let seen = this.beats;
    return () => {
      const { beats } = this;
      if (beats !== seen || this.#unreceived === 0) lost = 0;
      else if (!lock.locked()) lost++;
      seen = beats;
      if (lost >= LOST_TICKS && lock.acquireSync({ blocking: false })) {
        lost = 0;
        if (this.#unreceived > 0) {
          this.#receive();
          this.notify(1);
        }
        lock.release();
      }
      return false;
    };
  }
}
