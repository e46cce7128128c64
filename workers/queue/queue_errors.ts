/**
 * The errors of queues.
 *
 * @module
 */

import { SocketServerError } from "../errors.ts";

/**
 * Thrown by `put()` if there was no room in time.
 *
 * @example Usage
 * ```ts
 * import { QueueFullError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>({ maxSize: 1 });
 * queue.putSync(1);
 * assertThrows(() => queue.putSync(2, { blocking: false }), QueueFullError);
 * ```
 */
export class QueueFullError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueFullError";
}

/**
 * Thrown by `get()` if there was no item in time.
 *
 * @example Usage
 * ```ts
 * import { QueueEmptyError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue();
 * assertThrows(() => queue.getSync({ blocking: false }), QueueEmptyError);
 * ```
 */
export class QueueEmptyError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueEmptyError";
}

/**
 * Thrown by `put()` if the queue is closed, and by `get()` if it is closed and
 * empty.
 *
 * @example Usage
 * ```ts
 * import { QueueClosedError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>();
 * queue.close();
 * assertThrows(() => queue.putSync(1), QueueClosedError);
 * ```
 */
export class QueueClosedError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueClosedError";
}
