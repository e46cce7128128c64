/**
 * The interface of a queue's store, and which store a class of queues has.
 *
 * @module
 */

/** The bytes before an item's own when it is put. */
export const ITEM_PREFIX = 4;

/** The words that a store needs beside its bytes. */
export const STORE_WORDS = 4;

/** Items of bytes in shared memory. Its owner excludes concurrent calls. */
export interface ItemStore {
  /** The number of items. */
  readonly count: number;
  /** The number of free bytes. */
  readonly room: number;
  /** The bytes that an item takes beside its own. */
  readonly overhead: number;
  /**
   * Adds an item.
   *
   * @param item Its bytes, after `ITEM_PREFIX` bytes that say their number.
   * @param priority Its priority, for stores that use it.
   * @returns `false` if there is no room for it.
   */
  push(item: Uint8Array, priority: number): boolean;
  /**
   * Takes the next item.
   *
   * @returns Its bytes, or `null` if there is none.
   */
  shift(): Uint8Array<ArrayBuffer> | null;
}

/** Makes a store over shared memory, at first all zero. */
export type MakeStore = (words: Int32Array, bytes: Uint8Array) => ItemStore;

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
