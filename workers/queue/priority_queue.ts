/**
 * The queue that returns the lowest number first.
 *
 * @module
 */

import { HeapStore, setStore } from "./_item_stores.ts";
import { registerSubclass } from "../codec/share.ts";
import { SharedQueue } from "./shared_queue.ts";

/**
 * An item of a {@linkcode PriorityQueue}: a number, or an array that begins
 * with one.
 */
export type Prioritized = number | readonly [number, ...unknown[]];

function priorityOf(value: unknown): number {
  const priority = Array.isArray(value) ? value[0] : value;
  if (typeof priority === "number" && !Number.isNaN(priority)) return priority;
  throw new TypeError(
    "Cannot put an item in the queue: it must be a number, or an array that " +
      `begins with one, received ${priority}`,
  );
}

/**
 * A {@linkcode SharedQueue} that returns the item with the lowest number first.
 * Items with the same number keep their order.
 *
 * @typeParam T The type of the values: numbers, or arrays that begin with one.
 *
 * @example Usage
 * ```ts
 * import { PriorityQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new PriorityQueue<[number, string]>();
 * await queue.put([2, "later"]);
 * await queue.put([1, "sooner"]);
 *
 * assertEquals(await queue.get(), [1, "sooner"]);
 * ```
 */
export class PriorityQueue<T extends Prioritized = Prioritized>
  extends SharedQueue<T> {
  static {
    setStore(PriorityQueue, HeapStore.kind(false, priorityOf));
    registerSubclass<PriorityQueue>(SharedQueue, {
      tag: "PriorityQueue",
      type: PriorityQueue,
      blank: () => new PriorityQueue({ capacity: 1 }),
    });
  }
}
