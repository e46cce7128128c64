import type { Lock } from "./lock.ts";
import type { RLock } from "./rlock.ts";
import type {
  AcquireOptions,
  AcquireSyncOptions,
  WaitOptions,
  WaitSyncOptions,
} from "./wait_options.ts";

/** The lock under a condition. */
export let lockOf: (holder: LockHolder) => Lock | RLock;

/** Gives a condition another lock: the one it has in another thread. */
export let setLock: (holder: LockHolder, lock: Lock | RLock) => void;

/** What is acquired and released as its lock is. */
export abstract class LockHolder {
  #lock: Lock | RLock;

  static {
    lockOf = (holder) => holder.#lock;
    setLock = (holder, lock) => {
      holder.#lock = lock;
    };
  }

  /**
   * Makes a holder.
   *
   * @param lock Its lock.
   */
  constructor(lock: Lock | RLock) {
    this.#lock = lock;
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
}
