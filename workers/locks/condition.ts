import { type InnerLock, innerLockOf } from "./_inner_lock.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, deadlineOf } from "./_deadline.ts";
import { Lock } from "./lock.ts";
import { pack, register, unpack } from "../codec/share.ts";
import type { RLock } from "./rlock.ts";
import { sleep, TICK, type WaitSlot } from "./_async_wait.ts";
import { forfeit, isStopped } from "./_stop_word.ts";
import { WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import type {
  AcquireOptions,
  AcquireSyncOptions,
  WaitOptions,
  WaitSyncOptions,
} from "./wait_options.ts";

/** Options of a {@linkcode Condition}. */
export interface ConditionOptions {
  /**
   * The lock that guards what the condition is about. With an `RLock`, the
   * default in Python, `wait()` releases what the thread holds: also what its
   * other tasks hold. It is for threads that do not share their event loop.
   *
   * @default {new Lock()}
   */
  lock?: Lock | RLock;
}

interface ConditionRecord {
  waiters: WaitRecord;
  lock: unknown;
}

/**
 * Lets those who have a lock wait, without it, until somebody who has it tells
 * them that something has changed.
 *
 * `wait()` releases the lock, an `RLock` at any depth, and has it again when it
 * returns.
 * Waiters are notified in the order in which they came, each by one
 * notification, and keep the program alive. A notification never goes to one
 * whose time is over or whose thread has ended; who gets one while it is being
 * aborted hands it on.
 *
 * @example Usage
 * ```ts
 * import { Condition } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const condition = new Condition();
 * const items: string[] = [];
 *
 * async function consume(): Promise<string> {
 *   using _held = await condition.hold();
 *   await condition.waitFor(() => items.length > 0);
 *   return items.shift()!;
 * }
 *
 * const item = consume();
 * {
 *   using _held = await condition.hold();
 *   items.push("an item");
 *   condition.notify();
 * }
 * assertEquals(await item, "an item");
 * ```
 */
export class Condition {
  #waiters = new WaitQueue(0, false);
  #lock: Lock | RLock;
  #inner: InnerLock;

  static {
    register<Condition>({
      tag: "Condition",
      type: Condition,
      blank: () => new Condition(),
      record: (condition): ConditionRecord => ({
        waiters: condition.#waiters.record,
        lock: pack(condition.#lock),
      }),
      fill: (condition, record: ConditionRecord) => {
        condition.#waiters = new WaitQueue(record.waiters, false);
        condition.#lock = unpack(record.lock) as Lock | RLock;
        condition.#inner = innerLockOf(condition.#lock);
      },
    });
  }

  /**
   * Makes a condition.
   *
   * @param options The lock that it is to stand on.
   * @throws {TypeError} If `lock` is neither a `Lock` nor an `RLock`.
   */
  constructor(options: ConditionOptions = {}) {
    this.#lock = options.lock ?? new Lock();
    this.#inner = innerLockOf(this.#lock);
  }

  /**
   * Takes the condition's lock.
   *
   * @param options Whether to wait, and for how long.
   * @returns `true`, or `false` if it could not be had in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * assert(await new Condition().acquire());
   * ```
   */
  async acquire(options?: AcquireOptions): Promise<boolean> {
    return await this.#lock.acquire(options);
  }

  /**
   * Takes the condition's lock, blocking the thread if need be.
   *
   * @param options Whether to wait, and for how long.
   * @returns `true`, or `false` if it could not be had in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * assert(new Condition().acquireSync());
   * ```
   */
  acquireSync(options?: AcquireSyncOptions): boolean {
    return this.#lock.acquireSync(options);
  }

  /**
   * Gives the condition's lock back.
   *
   * @throws {Error} If it is not locked, or owned by another thread.
   *
   * @example Usage
   * ```ts
   * import { Condition, Lock } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const lock = new Lock();
   * const condition = new Condition({ lock });
   * await condition.acquire();
   * condition.release();
   * assertFalse(lock.locked());
   * ```
   */
  release(): void {
    this.#lock.release();
  }

  /**
   * Takes the condition's lock for the rest of a block.
   *
   * @param options How long to wait for it.
   * @returns A guard that releases the lock when it goes out of scope.
   * @throws {DOMException} A `TimeoutError` if it could not be had in time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition, Lock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new Lock();
   * using _held = await new Condition({ lock }).hold();
   * assert(lock.locked());
   * ```
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return await this.#lock.hold(options);
  }

  /**
   * Takes the condition's lock for the rest of a block, blocking the thread if
   * need be.
   *
   * @param options How long to wait for it.
   * @returns A guard that releases the lock when it goes out of scope.
   * @throws {DOMException} A `TimeoutError` if it could not be had in time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition, Lock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new Lock();
   * using _held = new Condition({ lock }).holdSync();
   * assert(lock.locked());
   * ```
   */
  holdSync(options?: WaitSyncOptions): Disposable {
    return this.#lock.holdSync(options);
  }

  /**
   * Releases the lock, waits to be notified, and takes the lock again.
   *
   * @param options How long to wait; an abort rejects, with the lock taken.
   * @returns `true`, or `false` if the time was over first.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = await condition.hold();
   * assertFalse(await condition.wait({ timeout: 10 }));
   * ```
   */
  async wait(options?: WaitOptions): Promise<boolean> {
    return await this.#wait(deadlineOf("wait for the condition", options));
  }

  /**
   * As {@linkcode Condition.wait}, blocking the thread.
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time was over first.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = condition.holdSync();
   * assertFalse(condition.waitSync({ timeout: 10 }));
   * ```
   */
  waitSync(options?: WaitSyncOptions): boolean {
    return this.#waitSync(deadlineOf("wait for the condition", options));
  }

  /**
   * Waits until a predicate holds, which is looked at with the lock taken.
   *
   * @typeParam T What the predicate returns.
   * @param predicate Tells, by a truthy value, that the wait is over.
   * @param options How long to wait in all.
   * @returns What the predicate returned last.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = await condition.hold();
   * assertFalse(await condition.waitFor(() => false, { timeout: 10 }));
   * ```
   */
  async waitFor<T>(predicate: () => T, options?: WaitOptions): Promise<T> {
    const limit = deadlineOf("wait for the condition", options);
    this.#refuse("wait for");
    let value = predicate();
    while (!value) {
      const notified = await this.#wait(limit);
      value = predicate();
      if (!notified) break;
    }
    if (checkpointDue(true)) await checkpoint();
    return value;
  }

  /**
   * As {@linkcode Condition.waitFor}, blocking the thread.
   *
   * @typeParam T What the predicate returns.
   * @param predicate Tells, by a truthy value, that the wait is over.
   * @param options How long to wait in all.
   * @returns What the predicate returned last.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = condition.holdSync();
   * assertEquals(condition.waitForSync(() => 3), 3);
   * ```
   */
  waitForSync<T>(predicate: () => T, options?: WaitSyncOptions): T {
    const limit = deadlineOf("wait for the condition", options);
    this.#refuse("wait for");
    let value = predicate();
    while (!value) {
      const notified = this.#waitSync(limit);
      value = predicate();
      if (!notified) break;
    }
    return value;
  }

  /**
   * Wakes those who have waited longest.
   *
   * @param count How many at most.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `count` is not a whole number of 0 or more.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = await condition.hold();
   * const notified = condition.wait();
   * condition.acquireSync();
   * condition.notify();
   * condition.release();
   * assert(await notified);
   * ```
   */
  notify(count = 1): void {
    if (!(Number.isInteger(count) && count >= 0)) {
      throw new RangeError(
        `Cannot notify "${count}" waiters: expected a whole number of 0 or more`,
      );
    }
    this.#refuse("notify");
    this.#waiters.wake(count);
  }

  /**
   * Wakes everybody who waits.
   *
   * @throws {Error} If the lock is not owned.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * let ready = false;
   * async function wait(): Promise<boolean> {
   *   using _held = await condition.hold();
   *   return await condition.waitFor(() => ready);
   * }
   * const waits = [wait(), wait()];
   * {
   *   using _held = await condition.hold();
   *   ready = true;
   *   condition.notifyAll();
   * }
   * assertEquals(await Promise.all(waits), [true, true]);
   * ```
   */
  notifyAll(): void {
    this.#refuse("notify");
    this.#waiters.wake(Infinity);
  }

  #refuse(doing: string): void {
    if (this.#inner.owned()) return;
    throw new Error(
      `Cannot ${doing} the condition: acquire its lock first`,
    );
  }

  async #wait(limit: Deadline): Promise<boolean> {
    this.#refuse("wait for");
    limit.signal?.throwIfAborted();
    const slot = this.#waiters.enrol(this.#waiters.takeTicket(false));
    // Asleep before the lock is free, so that a notification can tell this
    // waiter from one whose thread has ended.
    const asleep = sleep(slot, limit);
    const depth = this.#inner.releaseAll();
    try {
      await asleep;
    } catch (reason) {
      await this.#getUp(slot, depth) && this.#waiters.wake(1);
      throw reason;
    }
    return await this.#getUp(slot, depth);
  }

  /** Takes the lock again, and tells whether a notification has come. */
  async #getUp(slot: WaitSlot, depth: number): Promise<boolean> {
    const notified = !this.#waiters.cancel(slot);
    await this.#inner.restore(depth);
    return notified;
  }

  #waitSync({ deadline }: Deadline): boolean {
    this.#refuse("wait for");
    const slot = this.#waiters.enrol(this.#waiters.takeTicket(true));
    const { words, index, value } = slot;
    const depth = this.#inner.releaseAll();
    let notified = false;
    try {
      while (Atomics.load(words, index) === value && !isStopped()) {
        const left = deadline - performance.now();
        if (left <= 0) break;
        Atomics.wait(words, index, value, Math.min(left, TICK));
      }
      notified = !this.#waiters.cancel(slot);
      this.#inner.restoreSync(depth);
      return notified;
    } catch (error) {
      // The thread was terminated.
      forfeit(this.#lock);
      if (notified) this.#waiters.wake(1);
      throw error;
    }
  }
}
