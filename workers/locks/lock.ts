/**
 * The locks.
 *
 * @module
 */

import { register } from "../codec/share.ts";
import { checkpoint, checkpointDue, isForfeited } from "./_checkpoint.ts";
import { ownId } from "./_living.ts";
import { guardOf, OWN_WITH_PERMITS, Permits } from "./_permits.ts";
import { ACQUIRE_SYNC, deadlineOf, until, untilSync } from "./_until.ts";
import type { WaitRecord } from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";

/**
 * Lets one thread, or one task of an event loop, use something at a time.
 *
 * A lock that is passed to a thread is the same lock there. Any thread that has
 * it may release it. It is not reentrant; {@linkcode RLock} is.
 *
 * Waiters are served in the order in which they came. A few newcomers may
 * overtake a waiter that is just waking up; after that they queue behind it, so
 * no waiter starves. A loop over `acquire()` yields to the event loop every few
 * milliseconds.
 *
 * Waiting with `acquire()` keeps the program alive. A thread that ends while it
 * waits does not disturb the others; a lock that it owns stays locked.
 * `acquireSync()` blocks the thread and with it everything on its event loop,
 * also the task that would release the lock.
 *
 * A thread that is terminated while it waits takes nothing any more:
 * `acquire()` never settles there, and `acquireSync()` throws an `AbortError`.
 * A bare `Worker` does not notice its `terminate()` while it is blocked: it
 * goes on when it gets the lock.
 *
 * @example Usage
 * ```ts
 * import { Lock } from "@socketserver/socketserver";
 * import { assert, assertFalse } from "@std/assert";
 *
 * const lock = new Lock();
 * {
 *   using _held = await lock.hold();
 *   assert(lock.locked());
 * }
 * assertFalse(lock.locked());
 * ```
 */
export class Lock {
  #permits = new Permits(1, 1);

  static {
    register<Lock>(Lock, {
      asks: ["acquire"],
      tells: ["release"],
      inner: (lock) => lock.#permits,
      release: (lock, holder) => lock.#release(holder),
      blank: () => new Lock(),
      record: (lock) => lock.#permits.record,
      fill: (lock, record: WaitRecord) => {
        lock.#permits = new Permits(record);
      },
    });
  }

  /**
   * Takes the lock. Waits until it is free.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assert, assertFalse } from "@std/assert";
   *
   * const lock = new Lock();
   * assert(await lock.acquire());
   * assertFalse(await lock.acquire({ timeout: 10 }));
   * ```
   */
  // deno-lint-ignore require-await -- errors must reject, and an await is slow
  async acquire(options?: WaitOptions): Promise<boolean> {
    return this.#permits.acquire(deadlineOf("acquire()", options));
  }

  /**
   * Takes the lock. Blocks the thread until it is free.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assert, assertFalse } from "@std/assert";
   *
   * const lock = new Lock();
   * assert(lock.acquireSync());
   * assertFalse(lock.acquireSync({ blocking: false }));
   * ```
   */
  acquireSync(options?: WaitOptions): boolean {
    return this.#permits.acquireSync(
      deadlineOf("acquireSync()", options, ACQUIRE_SYNC),
    );
  }

  /**
   * Releases the lock.
   *
   * @throws {Error} If it is not locked.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const lock = new Lock();
   * await lock.acquire();
   * lock.release();
   * assertFalse(lock.locked());
   * ```
   */
  release(): void {
    if (!isForfeited(this)) this.#release(0);
  }

  /**
   * Returns whether the lock is taken.
   *
   * @returns `true` while it is taken.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(new Lock().locked());
   * ```
   */
  locked(): boolean {
    return this.#permits.available === 0;
  }

  /**
   * Takes the lock for the rest of a block.
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   * @throws {DOMException} A `TimeoutError` if the lock could not be taken in
   * time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new Lock();
   * using _held = await lock.hold();
   * assert(lock.locked());
   * ```
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return guardOf(this, await this.acquire(options), "lock", options);
  }

  /**
   * Takes the lock for the rest of a block. Blocks the thread until it is free.
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   * @throws {DOMException} A `TimeoutError` if the lock could not be taken in
   * time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Lock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new Lock();
   * using _held = lock.holdSync();
   * assert(lock.locked());
   * ```
   */
  holdSync(options?: WaitOptions): Disposable {
    return guardOf(this, this.acquireSync(options), "lock", options);
  }

  #release(holder: number): void {
    if (this.#permits.give(1, holder)) return;
    throw new Error("Cannot release the lock: it is not locked");
  }
}

/**
 * Tells apart, beside its id, a thread that was not started as a `Thread`. With
 * Deno's `--seed`, random numbers are the same in all threads.
 */
const THREAD_NUMBER = Math.random() * 2 ** 32 ^ performance.timeOrigin * 1_000;

/** The complement of the owner's id; 0 means nobody. */
const OWNER = OWN_WITH_PERMITS;
const OWNER_2 = OWN_WITH_PERMITS + 1;
const DEPTH = OWN_WITH_PERMITS + 2;

/**
 * A lock that its owner can take again without waiting. It is free when it was
 * released as often as it was acquired.
 *
 * The owner is a thread, as in Python. All tasks of one event loop are one
 * thread: they do not exclude each other, and each can release what another has
 * acquired. Use a {@linkcode Lock} between tasks. Waiting, sharing and thread
 * death work as for a `Lock`.
 *
 * @example Usage
 * ```ts
 * import { RLock } from "@socketserver/socketserver";
 * import { assert, assertFalse } from "@std/assert";
 *
 * const lock = new RLock();
 * {
 *   using _outer = await lock.hold();
 *   using _inner = await lock.hold();
 *   assert(lock.locked());
 * }
 * assertFalse(lock.locked());
 * ```
 */
export class RLock {
  #permits = new Permits(1, 1, 3);

  static {
    register<RLock>(RLock, {
      blank: () => new RLock(),
      record: (lock) => lock.#permits.record,
      fill: (lock, record: WaitRecord) => {
        lock.#permits = new Permits(record);
      },
    });
  }

  /**
   * Takes the lock. Waits while another thread owns it.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new RLock();
   * assert(await lock.acquire());
   * assert(await lock.acquire());
   * ```
   */
  // deno-lint-ignore require-await -- errors must reject, and an await is slow
  async acquire(options?: WaitOptions): Promise<boolean> {
    const deadline = deadlineOf("acquire()", options);
    if (!deadline.signal?.aborted && this.#takeAgain()) {
      return checkpointDue(true) ? checkpoint().then(() => true) : true;
    }
    return until(this.#permits, () => this.#take(), deadline);
  }

  /**
   * Takes the lock. Blocks the thread while another one owns it.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if the lock could not be taken in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new RLock();
   * assert(lock.acquireSync());
   * assert(lock.acquireSync());
   * ```
   */
  acquireSync(options?: WaitOptions): boolean {
    const deadline = deadlineOf("acquireSync()", options, ACQUIRE_SYNC);
    return this.#takeAgain() ||
      untilSync(this.#permits, () => this.#take(), deadline);
  }

  /**
   * Undoes one `acquire()`.
   *
   * @throws {Error} If this thread does not own the lock.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const lock = new RLock();
   * await lock.acquire();
   * lock.release();
   * assertFalse(lock.locked());
   * ```
   */
  release(): void {
    if (isForfeited(this)) return;
    if (!this.owned()) {
      throw new Error(
        this.locked()
          ? "Cannot release the lock: another thread owns it"
          : "Cannot release the lock: it is not locked",
      );
    }
    if (Atomics.sub(this.#words, DEPTH, 1) > 1) return;
    Atomics.store(this.#words, OWNER, 0);
    this.#permits.give(1);
  }

  /**
   * Returns whether any thread owns the lock.
   *
   * @returns `true` while it is owned.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(new RLock().locked());
   * ```
   */
  locked(): boolean {
    return this.#permits.available === 0;
  }

  /**
   * Returns whether this thread owns the lock.
   *
   * @returns `true` while this thread owns it.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new RLock();
   * using _held = await lock.hold();
   * assert(lock.owned());
   * ```
   */
  owned(): boolean {
    return Atomics.load(this.#words, OWNER) === ~ownId() &&
      Atomics.load(this.#words, OWNER_2) === THREAD_NUMBER;
  }

  /**
   * Takes the lock for the rest of a block.
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   * @throws {DOMException} A `TimeoutError` if the lock could not be taken in
   * time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new RLock();
   * using _held = await lock.hold();
   * assert(lock.owned());
   * ```
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return guardOf(this, await this.acquire(options), "lock", options);
  }

  /**
   * Takes the lock for the rest of a block. Blocks the thread while another one
   * owns it.
   *
   * @param options How long to wait.
   * @returns A guard that releases the lock at the end of the block.
   * @throws {DOMException} A `TimeoutError` if the lock could not be taken in
   * time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { RLock } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const lock = new RLock();
   * using _held = lock.holdSync();
   * assert(lock.owned());
   * ```
   */
  holdSync(options?: WaitOptions): Disposable {
    return guardOf(this, this.acquireSync(options), "lock", options);
  }

  get #words(): Int32Array {
    return this.#permits.words;
  }

  /** The waiters wait for the owner, so it must not queue behind them. */
  #takeAgain(): boolean {
    if (!this.owned()) return false;
    Atomics.add(this.#words, DEPTH, 1);
    return true;
  }

  #take(): boolean {
    // Another task of this thread may have got it meanwhile.
    if (this.#takeAgain()) return true;
    if (!this.#permits.take()) return false;
    Atomics.store(this.#words, OWNER_2, THREAD_NUMBER);
    Atomics.store(this.#words, OWNER, ~ownId());
    Atomics.store(this.#words, DEPTH, 1);
    return true;
  }
}
