/**
 * The error of a broken barrier.
 *
 * @module
 */

import { SocketServerError } from "../errors.ts";

/**
 * Thrown by waits for a barrier that is or becomes broken.
 *
 * @example Usage
 * ```ts
 * import { Barrier, BrokenBarrierError } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * const barrier = new Barrier(2);
 * await assertRejects(() => barrier.wait({ timeout: 10 }), BrokenBarrierError);
 * ```
 */
export class BrokenBarrierError extends SocketServerError {
  /** The name of the error's class. */
  override name = "BrokenBarrierError";
}
