/**
 * The condition variable.
 *
 * @module
 */

import { assertInteger, assertOptions } from "../base/check.ts";
import { pack, register, unpack } from "../codec/share.ts";
import { checkpoint, checkpointDue, forfeit } from "./_checkpoint.ts";
import {
  type Attempt,
  type Deadline,
  deadlineOf,
  until,
  untilSync,
  WAIT,
  WAIT_SYNC,
} from "./_until.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import { Lock, RLock } from "./lock.ts";
import type { WaitOptions } from "./wait_options.ts";

/** Options of a {@linkcode Condition}. */
export interface ConditionOptions {
  /**
   * The lock that guards the shared state. With an `RLock`, the default in
   * Python, `wait()` also releases what the thread's other tasks hold: use it
   * between threads, not between tasks of one event loop.
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
 * Lets the owners of a lock wait, without the lock, until another owner
 * notifies them of a change.
 *
 * `wait()` releases the lock, an `RLock` at any depth, and takes it again
 * before it returns. Waiters are notified in the order in which they came, each
 * by one notification. They keep the program alive. A notification never goes
 * to a waiter that timed out. An aborted waiter hands it on. If a notified
 * waiter does not take the free lock for half a second, its thread has ended or
 * is busy, and the next waiter is notified, too: use `waitFor()`.
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
  #waiters = new ConditionWaiters();
  #lock: Lock | RLock;

  static {
    register<Condition>(Condition, {
      blank: () => new Condition(),
      record: (condition): ConditionRecord => ({
        waiters: condition.#waiters.record,
        lock: pack(condition.#lock),
      }),
      fill: (condition, record: ConditionRecord) => {
        condition.#waiters = new ConditionWaiters(record.waiters);
        condition.#lock = unpack(record.lock) as Lock | RLock;
      },
    });
  }

  /**
   * Makes a condition.
   *
   * @param options The lock to use.
   * @throws {TypeError} If an option is unknown, or `lock` is neither a `Lock` nor an `RLock`.
   */
  constructor(options: ConditionOptions = {}) {
    if (options instanceof Lock || options instanceof RLock) {
      throw new TypeError(
        "Cannot make a condition: expected options such as { lock }, " +
          "received a lock",
      );
    }
    assertOptions(options, "a Condition", ["lock"]);
    this.#lock = options.lock ?? new Lock();
    if (this.#lock instanceof Lock || this.#lock instanceof RLock) return;
    throw new TypeError(
      'Cannot make a condition: "lock" must be a Lock or an RLock',
    );
  }

  /**
   * Takes the condition's lock, as {@linkcode Lock.acquire} does.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * assertEquals(await condition.acquire(), true);
   * assertEquals(await condition.acquire({ timeout: 10 }), false);
   * condition.release();
   * ```
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   */
  async acquire(options?: WaitOptions): Promise<boolean> {
    return await this.#lock.acquire(options);
  }

  /**
   * Takes the condition's lock, as {@linkcode Lock.acquireSync} does.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * assertEquals(condition.acquireSync(), true);
   * condition.release();
   * ```
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   */
  acquireSync(options?: WaitOptions): boolean {
    return this.#lock.acquireSync(options);
  }

  /**
   * Releases the condition's lock.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * const condition = new Condition();
   * condition.acquireSync();
   * condition.release();
   * assertThrows(() => condition.release(), Error, "not locked");
   * ```
   *
   * @throws {Error} If it is not locked, or another thread owns it.
   */
  release(): void {
    this.#lock.release();
  }

  /**
   * Takes the condition's lock for a block, as {@linkcode Lock.hold} does.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * {
   *   using _held = await condition.hold();
   *   assertEquals(await condition.acquire({ blocking: false }), false);
   * }
   * assertEquals(await condition.acquire(), true);
   * ```
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return await this.#lock.hold(options);
  }

  /**
   * Takes the condition's lock for a block, as {@linkcode Lock.holdSync} does.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * {
   *   using _held = condition.holdSync();
   *   assertEquals(condition.acquireSync({ blocking: false }), false);
   * }
   * assertEquals(condition.acquireSync(), true);
   * ```
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   */
  holdSync(options?: WaitOptions): Disposable {
    return this.#lock.holdSync(options);
  }

  /**
   * Releases the lock, waits to be notified, and takes the lock again.
   *
   * @param options How long to wait. An aborted wait rejects, with the lock
   * taken.
   * @returns `true`, or `false` if the time-out came first.
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
    const deadline = deadlineOf("wait()", options, WAIT);
    this.#refuse("wait for");
    return await this.#waiters.wait(this.#lock, deadline);
  }

  /**
   * Blocks the thread as {@linkcode Condition.wait} waits.
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
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time-out came first.
   * @throws {Error} If the lock is not owned.
   * @throws {RangeError} If `timeout` is negative.
   */
  waitSync(options?: WaitOptions): boolean {
    const deadline = deadlineOf("waitSync()", options, WAIT_SYNC);
    this.#refuse("wait for");
    return this.#waiters.waitSync(this.#lock, deadline);
  }

  /**
   * Waits until a predicate returns a truthy value. It is called with the lock
   * taken.
   *
   * @typeParam T The type of the predicate's result.
   * @param predicate Ends the wait by a truthy result.
   * @param options How long to wait in all.
   * @returns The predicate's last result.
   * @throws {Error} If the lock is not owned.
   * @throws {TypeError} If the predicate is asynchronous.
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
    const deadline = deadlineOf("waitFor()", options, WAIT);
    this.#refuse("wait for");
    let value = askedOf(predicate);
    while (!value) {
      const notified = await this.#waiters.wait(this.#lock, deadline);
      value = askedOf(predicate);
      if (!notified) break;
    }
    if (checkpointDue(true)) await checkpoint();
    return value;
  }

  /**
   * Blocks the thread as {@linkcode Condition.waitFor} waits.
   *
   * @example Usage
   * ```ts
   * import { Condition } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const condition = new Condition();
   * using _held = condition.holdSync();
   * assertEquals(condition.waitForSync(() => "ready"), "ready");
   * ```
   *
   * @typeParam T The type of the predicate's result.
   * @param predicate Ends the wait by a truthy result.
   * @param options How long to wait in all.
   * @returns The predicate's last result.
   * @throws {Error} If the lock is not owned.
   * @throws {TypeError} If the predicate is asynchronous.
   * @throws {RangeError} If `timeout` is negative.
   */
  waitForSync<T>(predicate: () => T, options?: WaitOptions): T {
    const deadline = deadlineOf("waitForSync()", options, WAIT_SYNC);
    this.#refuse("wait for");
    let value = askedOf(predicate);
    while (!value) {
      const notified = this.#waiters.waitSync(this.#lock, deadline);
      value = askedOf(predicate);
      if (!notified) break;
    }
    return value;
  }

  /**
   * Wakes the waiters that have waited longest.
   *
   * @param count Most waiters to wake.
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
    assertInteger("count", count, 0);
    this.#refuse("notify");
    this.#waiters.notify(count);
  }

  /**
   * Wakes all waiters.
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
    this.#waiters.notify(Infinity);
  }

  #refuse(doing: string): void {
    const lock = this.#lock;
    if (lock instanceof RLock ? lock.owned() : lock.locked()) return;
    throw new Error(
      `Cannot ${doing} the condition: acquire its lock first`,
    );
  }
}

/** A promise would count as true, whatever becomes of it. */
function askedOf<T>(predicate: () => T): T {
  const value = predicate();
  if (!(value instanceof Promise)) return value;
  value.catch(() => {});
  throw new TypeError(
    "Cannot wait for the predicate: it is asynchronous; " +
      "let it look at what the lock guards, and await before",
  );
}

/** Releases a lock at any depth; returns the depth. */
function releaseAll(lock: Lock | RLock): number {
  let depth = 0;
  do {
    lock.release();
    depth++;
  } while (lock instanceof RLock && lock.owned());
  return depth;
}

function takeAgain(lock: Lock | RLock, depth: number): void {
  for (let level = 0; level < depth; level++) lock.acquireSync();
}

/** A wait without time releases the lock nevertheless. */
function afterRelease({ at, signal }: Deadline): Deadline {
  return { at: Math.max(at, 0), signal };
}

/**
 * The number of notified waiters that do not have the lock again, if others
 * wait who would be notified in their place.
 */
const UNRECEIVED = OWN;

/** After this many ticks a notification counts as lost. */
const LOST_TICKS = 10;

/** The waiters of a condition. Their caller owns the lock. */
class ConditionWaiters extends WaitQueue {
  /** Makes a queue, or joins one. */
  constructor(record?: WaitRecord) {
    super(record ?? 1, false);
  }

  /** Wakes the oldest waiters, at most as many. */
  notify(count: number): void {
    const woken = this.wake(count);
    if (this.size > 0) this.#unreceived += woken;
  }

  /** Also hands on what an aborted waiter got; if nobody waits, it is over. */
  override wake(count: number): number {
    const woken = super.wake(count);
    if (this.size === 0) this.#unreceived = 0;
    return woken;
  }

  /**
   * Releases the lock, waits on the event loop for a notification, and takes
   * the lock again. Returns whether a notification has come.
   */
  async wait(lock: Lock | RLock, deadline: Deadline): Promise<boolean> {
    if (deadline.signal?.aborted && checkpointDue(true)) await checkpoint();
    deadline.signal?.throwIfAborted();
    // It sleeps before the lock is free, so that a notification can distinguish
    // this waiter from one whose thread has ended.
    const waiting = until(this, this.#attempt(lock), afterRelease(deadline));
    const depth = releaseAll(lock);
    let notified = false;
    try {
      return notified = await waiting;
    } finally {
      await lock.acquire();
      takeAgain(lock, depth - 1);
      if (notified) this.#receive();
    }
  }

  /**
   * As `wait()`, blocking the thread. If that was terminated it throws an
   * `AbortError`, and the caller does not own the lock.
   */
  waitSync(lock: Lock | RLock, deadline: Deadline): boolean {
    let depth = 0;
    const release = (): void => void (depth = releaseAll(lock));
    try {
      const attempt = this.#attempt(lock);
      const until = afterRelease(deadline);
      const notified = untilSync(this, attempt, until, release);
      takeAgain(lock, depth);
      if (notified) this.#receive();
      return notified;
    } catch (error) {
      // The thread was terminated: its guards must not release another's lock.
      if (depth > 0) forfeit(lock);
      throw error;
    }
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
   * Makes what a waiter tries: whether it was notified. Each tick it looks for
   * a notified waiter that does not take the lock although it is free: its
   * thread has ended or is busy. Then the next waiter is notified, too.
   */
  #attempt(lock: Lock | RLock): Attempt<true> {
    let lost = 0;
    let seen = this.beats;
    return (isWoken) => {
      if (isWoken) return true;
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
