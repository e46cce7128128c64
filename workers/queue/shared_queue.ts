import { QueueBase, type QueueKind, registerQueue } from "./_queue_base.ts";
import { RingBuffer } from "./_ring_buffer.ts";
import type { SharedQueueOptions } from "./queue_options.ts";

const KIND: QueueKind = {
  makeStore: (words, bytes) => new RingBuffer(words, bytes),
  priorityOf: () => 0,
};

/**
 * Carries values between threads, first in, first out, within a bound.
 *
 * Values are cloned, as messages are. What can't be cloned is refused by
 * `put()`. Waiting with `get()` and `put()` keeps the program alive, and is
 * fair as with a {@linkcode Lock}: a large item that has to wait for room holds
 * later ones back until it fits. A queue that was closed can be read to its
 * end; iterating over it does so.
 *
 * @typeParam T The values.
 *
 * @example Usage
 * ```ts
 * import { SharedQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new SharedQueue<string>();
 * await queue.put("first");
 * await queue.put("second");
 * queue.close();
 *
 * assertEquals(await Array.fromAsync(queue), ["first", "second"]);
 * ```
 *
 * @example Workers that tell when they are done
 * ```ts
 * import { SharedQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new SharedQueue<number>();
 * let sum = 0;
 * async function work() {
 *   for await (const item of queue) {
 *     sum += item;
 *     queue.taskDone();
 *   }
 * }
 * const workers = [work(), work()];
 * for (const item of [1, 2, 3]) queue.putNowait(item);
 * await queue.join();
 * assertEquals(sum, 6);
 * queue.close();
 * await Promise.all(workers);
 * ```
 */
export class SharedQueue<T = unknown> extends QueueBase<T> {
  static {
    registerQueue(
      "SharedQueue",
      SharedQueue,
      () => new SharedQueue({ capacity: 1 }),
    );
  }

  /**
   * Makes a queue.
   *
   * @param options How much it may hold.
   * @throws {RangeError} If `maxSize` is not a whole number of 1 or more or
   * `Infinity`, or `capacity` is not a whole number from 1 to 1073741824.
   */
  constructor(options: SharedQueueOptions = {}) {
    super(KIND, options);
  }
}
