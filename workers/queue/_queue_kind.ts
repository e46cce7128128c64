/**
 * Which store a class of queues keeps its items in.
 *
 * @module
 */

import type { MakeStore } from "./_item_store.ts";

/** How a class of queues keeps its items. */
export interface QueueKind {
  /** Makes its store. */
  makeStore: MakeStore;
  /** Returns an item's priority; throws if it can have none. */
  priorityOf(value: unknown): number;
}

const kinds = new WeakMap<object, QueueKind>();

/**
 * Sets how a class and its subclasses keep their items.
 *
 * @param type The class.
 * @param kind How.
 */
export function setKind(type: object, kind: QueueKind): void {
  kinds.set(type, kind);
}

/**
 * Returns how a class keeps its items.
 *
 * @param type The class, or a subclass.
 * @returns How.
 */
export function kindOf(type: object): QueueKind {
  return kinds.get(type) ?? kindOf(Object.getPrototypeOf(type));
}
