/**
 * The semaphore with an upper bound.
 *
 * @module
 */

import { registerSubclass } from "../codec/share.ts";
import { Semaphore } from "./semaphore.ts";

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
    registerSubclass<BoundedSemaphore>(Semaphore, {
      tag: "BoundedSemaphore",
      type: BoundedSemaphore,
      blank: () => new BoundedSemaphore(),
    });
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
