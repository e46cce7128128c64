/**
 * The semaphores.
 *
 * @module
 */

import { guardOf, MOST_PERMITS, Permits } from "./_permits.ts";
import { ACQUIRE_SYNC, deadlineOf } from "./_until.ts";
import { register, registerSubclass } from "../codec/share.ts";
import { assertInteger, assertOptions } from "../base/check.ts";
import type { WaitRecord } from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";

/** Options of a {@linkcode Semaphore}. */
export interface SemaphoreOptions {
  /**
   * Most permits. A `release()` beyond it throws.
   *
   * @default {2147483647}
   */
  max?: number;
}

/**
 * A counter of permits. `acquire()` takes one, or waits for one; `release()`
 * returns them.
 *
 * Waiting, sharing and thread death work as for a {@linkcode Lock}.
 *
 * @example Usage
 * ```ts
 * import { Semaphore } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const semaphore = new Semaphore(3);
 * {
 *   using _held = await semaphore.hold();
 *   assertEquals(semaphore.value, 2);
 * }
 * assertEquals(semaphore.value, 3);
 * ```
 */
export class Semaphore {
  #permits: Permits;

  static {
    register<Semaphore>(Semaphore, {
      asks: ["acquire"],
      tells: ["release"],
      inner: (semaphore) => semaphore.#permits,
      release: (semaphore, holder, count = 1) =>
        semaphore.#release(count as number, holder),
      blank: () => new Semaphore(),
      record: (semaphore) => semaphore.#permits.record,
      fill: (semaphore, record: WaitRecord) => {
        semaphore.#permits = new Permits(record);
      },
    });
  }

  /**
   * Makes a semaphore.
   *
   * @param value The initial number of permits.
   * @param options The maximum.
   * @throws {RangeError} If `value` is not a whole number from 0 to `max`.
   */
  constructor(value = 1, options: SemaphoreOptions = {}) {
    assertOptions(options, "a Semaphore", ["max"]);
    const { max = MOST_PERMITS } = options;
    assertInteger("value", value, 0, MOST_PERMITS);
    assertInteger("max", max, value, MOST_PERMITS);
    this.#permits = new Permits(value, max);
  }

  /**
   * The number of permits that can be taken now.
   *
   * @returns 0 or more.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new Semaphore(2).value, 2);
   * ```
   */
  get value(): number {
    return this.#permits.available;
  }

  /**
   * Takes a permit. Waits until there is one.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if there was none in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assert, assertFalse } from "@std/assert";
   *
   * const semaphore = new Semaphore(1);
   * assert(await semaphore.acquire());
   * assertFalse(await semaphore.acquire({ blocking: false }));
   * ```
   */
  // deno-lint-ignore require-await -- errors must reject, and an await is slow
  async acquire(options?: WaitOptions): Promise<boolean> {
    return this.#permits.acquire(deadlineOf("acquire()", options));
  }

  /**
   * Takes a permit. Blocks the thread until there is one.
   *
   * @param options Whether to wait, and how long.
   * @returns `true`, or `false` if there was none in time.
   * @throws {TypeError} If `timeout` is given with `blocking: false`.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * assert(new Semaphore(1).acquireSync());
   * ```
   */
  acquireSync(options?: WaitOptions): boolean {
    return this.#permits.acquireSync(
      deadlineOf("acquireSync()", options, ACQUIRE_SYNC),
    );
  }

  /**
   * Returns permits, and wakes as many waiters.
   *
   * @param count The number of permits.
   * @throws {RangeError} If `count` is not a whole number of 1 or more, or
   * there would be more permits than `max`. Nothing changes then.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const semaphore = new Semaphore(0);
   * semaphore.release(2);
   * assertEquals(semaphore.value, 2);
   * ```
   */
  release(count = 1): void {
    this.#release(count, 0);
  }

  /**
   * Takes a permit for the rest of a block.
   *
   * @param options How long to wait.
   * @returns A guard that returns the permit at the end of the block.
   * @throws {DOMException} A `TimeoutError` if there was none in time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const semaphore = new Semaphore(2);
   * using _held = await semaphore.hold();
   * assertEquals(semaphore.value, 1);
   * ```
   */
  async hold(options?: WaitOptions): Promise<Disposable> {
    return guardOf(this, await this.acquire(options), "semaphore", options);
  }

  /**
   * Takes a permit for the rest of a block. Blocks the thread until there is
   * one.
   *
   * @param options How long to wait.
   * @returns A guard that returns the permit at the end of the block.
   * @throws {DOMException} A `TimeoutError` if there was none in time.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Semaphore } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const semaphore = new Semaphore(2);
   * using _held = semaphore.holdSync();
   * assertEquals(semaphore.value, 1);
   * ```
   */
  holdSync(options?: WaitOptions): Disposable {
    return guardOf(this, this.acquireSync(options), "semaphore", options);
  }

  #release(count: number, holder: number): void {
    assertInteger("count", count, 1, MOST_PERMITS);
    if (this.#permits.give(count, holder)) return;
    throw new RangeError(
      `Cannot release the semaphore by ${count}: it would have more permits ` +
        "than its maximum",
    );
  }
}

/**
 * A {@linkcode Semaphore} that never has more permits than at first. Returning
 * more than were taken throws and changes nothing.
 *
 * @example Usage
 * ```ts
 * import { BoundedSemaphore } from "@socketserver/socketserver";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const semaphore = new BoundedSemaphore(2);
 * assertThrows(() => semaphore.release(), RangeError);
 * assertEquals(semaphore.value, 2);
 * ```
 */
export class BoundedSemaphore extends Semaphore {
  static {
    registerSubclass(BoundedSemaphore, () => new BoundedSemaphore());
  }

  /**
   * Makes a semaphore.
   *
   * @param value The initial and greatest number of permits.
   * @throws {RangeError} If it is not a whole number of 0 or more.
   */
  constructor(value = 1) {
    super(value, { max: value });
  }
}
