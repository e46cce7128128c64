/**
 * What a condition does with its lock and its waiters.
 *
 * @module
 */
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, sleep, TICK } from "./_sleep.ts";
import { forfeit, isStopped } from "./_stop_word.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";

/** The operations of a condition on its lock. */
export interface InnerLock {
  /** The lock. */
  lock: {
    locked(): boolean;
    acquireSync(options: { blocking: false }): boolean;
    release(): void;
  };
  /** Whether the caller counts as its owner. */
  owned(): boolean;
  /** Releases it at any depth. Returns the depth. */
  releaseAll(): number;
  /** Takes it again at that depth. */
  restore(depth: number): boolean | Promise<boolean>;
  /** As `restore()`, blocking the thread. */
  restoreSync(depth: number): boolean;
}

type Constructor<T> = abstract new (...args: never[]) => T;

const openers: [Constructor<object>, (lock: never) => InnerLock][] = [];

/**
 * Registers a kind of lock for conditions.
 *
 * @param type The lock's class.
 * @param open Returns the operations of an instance.
 */
export function registerInnerLock<T extends object>(
  type: Constructor<T>,
  open: (lock: T) => InnerLock,
): void {
  openers.push([type, open]);
}

/**
 * Returns the operations of a lock.
 *
 * @param lock A lock of a registered kind.
 * @returns Its operations.
 */
export function innerLockOf(lock: object): InnerLock {
  for (const [type, open] of openers) {
    if (lock instanceof type) return open(lock as never);
  }
  throw new TypeError(
    'Cannot make a condition: "lock" must be a Lock or an RLock',
  );
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
   * @param inner The lock.
   * @param deadline When to give up.
   * @returns Whether a notification has come.
   */
  async wait(inner: InnerLock, deadline: Deadline): Promise<boolean> {
    if (deadline.signal?.aborted && checkpointDue(true)) await checkpoint();
    deadline.signal?.throwIfAborted();
    const slot = this.enrol(this.takeTicket(false));
    // It sleeps before the lock is free, so that a notification can distinguish
    // this waiter from one whose thread has ended.
    const asleep = sleep(slot, deadline, this.#ticker(inner));
    const depth = inner.releaseAll();
    let aborted = true;
    let notified = false;
    try {
      await asleep;
      aborted = false;
    } finally {
      notified = !this.cancel(slot);
      await inner.restore(depth);
      if (notified) this.#receive();
      if (notified && aborted) this.notify(1);
    }
    return notified;
  }

  /**
   * As `wait()`, blocking the thread.
   *
   * @param inner The lock.
   * @param deadline When to give up.
   * @returns Whether a notification has come.
   * @throws {DOMException} An `AbortError` if the thread was terminated. The
   * caller does not own the lock then.
   */
  waitSync(inner: InnerLock, deadline: Deadline): boolean {
    const slot = this.enrol(this.takeTicket(true));
    const { words, index, ticket } = slot;
    const onTick = this.#ticker(inner);
    const depth = inner.releaseAll();
    let notified = false;
    try {
      while (Atomics.load(words, index) === ticket && !isStopped()) {
        const left = deadline.at - performance.now();
        if (left <= 0) break;
        Atomics.wait(words, index, ticket, Math.min(left, TICK));
        onTick();
      }
      notified = !this.cancel(slot);
      inner.restoreSync(depth);
    } catch (error) {
      this.cancel(slot);
      // The thread was terminated: its guards must not release another's lock.
      forfeit(inner.lock);
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
  #ticker({ lock }: InnerLock): () => false {
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
