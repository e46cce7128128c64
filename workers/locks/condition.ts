import { type InnerLock, innerLockOf } from "./_inner_lock.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, deadlineOf } from "./_deadline.ts";
import { Lock } from "./lock.ts";
import { pack, register, unpack } from "../codec/share.ts";
import type { RLock } from "./rlock.ts";
import { WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import { waitUnlocked, waitUnlockedSync } from "./_condition_wait.ts";
import type { ConditionOptions } from "./condition_options.ts";
import type {
  AcquireOptions,
  AcquireSyncOptions,
  WaitOptions,
  WaitSyncOptions,
} from "./wait_options.ts";

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
 * notification, and keep the program alive. A notification never goes to a waiter
 * whose time is over or whose thread has ended; one that is aborted meanwhile
 * hands it on.
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
   * Takes the condition's lock, as {@linkcode Lock.acquire} does.
   *
   * @param options Whether to wait, and for how long.
   * @returns `true`, or `false` if it could not be had in time.
   */
  async acquire(options?: AcquireOptions): Promise<boolean> {
    return await this.#lock.acquire(options);
  }

  /**
   * Takes the condition's lock, as {@linkcode Lock.acquireSync} does.
   *
   * @param options Whether to wait, and for how long.
   * @returns `true`, or `false` if it could not be had in time.
   */
  acquireSync(options?: AcquireSyncOptions): boolean {
    return this.#lock.acquireSync(options);
  }

  /**
   * Gives the condition's lock back.
   *
   * @throws {Error} If it is not locked, or owned by another thread.
   */
  release(): void {
    this.#lock.release();
  }

  /**
   * Takes the condition's lock for a block, as {@linkcode Lock.hold} does.
   *
   * @param options How long to wait for it.
   * @returns A guard that releases the lock when it goes out of scope.
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return await this.#lock.hold(options);
  }

  /**
   * Takes the condition's lock for a block, as {@linkcode Lock.holdSync} does.
   *
   * @param options How long to wait for it.
   * @returns A guard that releases the lock when it goes out of scope.
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
   */
  waitSync(options?: WaitSyncOptions): boolean {
    return this.#waitSync(deadlineOf("wait for the condition", options));
  }

  /**
   * Waits until a predicate is truthy; it is called with the lock taken.
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
    const deadline = deadlineOf("wait for the condition", options);
    this.#refuse("wait for");
    let value = predicate();
    while (!value) {
      const notified = await this.#wait(deadline);
      value = predicate();
      if (!notified) break;
    }
    if (checkpointDue(true)) await checkpoint();
    return value;
  }

  /**
   * As {@linkcode Condition.waitFor}, blocking the thread.
   *
   * @param predicate Tells, by a truthy value, that the wait is over.
   * @param options How long to wait in all.
   * @returns What the predicate returned last.
   */
  waitForSync<T>(predicate: () => T, options?: WaitSyncOptions): T {
    const deadline = deadlineOf("wait for the condition", options);
    this.#refuse("wait for");
    let value = predicate();
    while (!value) {
      const notified = this.#waitSync(deadline);
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
   * await condition.acquire();
   * ready = true;
   * condition.notifyAll();
   * condition.release();
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

  async #wait(deadline: Deadline): Promise<boolean> {
    this.#refuse("wait for");
    return await waitUnlocked(this.#waiters, this.#inner, deadline);
  }

  #waitSync(deadline: Deadline): boolean {
    this.#refuse("wait for");
    return waitUnlockedSync(this.#waiters, this.#inner, deadline);
  }
}
