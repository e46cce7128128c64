/**
 * The queue that returns the last item first.
 *
 * @module
 */

import { HeapStore, setStore } from "./_item_stores.ts";
import { registerSubclass } from "../codec/share.ts";
import { SharedQueue } from "./shared_queue.ts";

/**
 * A {@linkcode SharedQueue} that returns the last item first.
 *
 * @typeParam T The type of the values.
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
export class LifoQueue<T = unknown> extends SharedQueue<T> {
  static {
    setStore(LifoQueue, HeapStore.kind(true));
    registerSubclass<LifoQueue>(SharedQueue, {
      tag: "LifoQueue",
      type: LifoQueue,
      blank: () => new LifoQueue({ capacity: 1 }),
    });
  }
}
