import { Heap } from "./_heap.ts";
import { QueueBase, type QueueKind, registerQueue } from "./_queue_base.ts";
import type { SharedQueueOptions } from "./queue_options.ts";

const KIND: QueueKind = {
  makeStore: (words, bytes) => new Heap(words, bytes, true),
  priorityOf: () => 0,
};

/**
 * Carries values between threads as a {@linkcode SharedQueue} does, but last
 * in, first out.
 *
 * @typeParam T The values.
 *
 * @example Usage
 * ```ts
 * import { LifoQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new LifoQueue<string>();
 * await queue.put("first");
 * await queue.put("second");
 *
 * assertEquals(await queue.get(), "second");
 * ```
 */
export class LifoQueue<T = unknown> extends QueueBase<T> {
  static {
    registerQueue("LifoQueue", LifoQueue, () => new LifoQueue({ capacity: 1 }));
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
