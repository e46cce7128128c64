/**
 * The interface of a queue's store.
 *
 * @module
 */

/** How many bytes stand before an item's own when it is put. */
export const ITEM_PREFIX = 4;

/** How many words a store needs beside its bytes. */
export const STORE_WORDS = 4;

/** Items of bytes in shared memory; its owner lets in one at a time. */
export interface ItemStore {
  /** How many items there are. */
  readonly count: number;
  /** How many bytes are free. */
  readonly room: number;
  /** How many bytes an item takes beside its own. */
  readonly overhead: number;
  /**
   * Adds an item.
   *
   * @param item Its bytes, after `ITEM_PREFIX` bytes that say their number.
   * @param priority Its priority, for stores that know any.
   * @returns `false` if there is no room for it.
   */
  push(item: Uint8Array, priority: number): boolean;
  /**
   * Takes the item that comes next.
   *
   * @returns Its bytes, or `null` if there is none.
   */
  shift(): Uint8Array<ArrayBuffer> | null;
}

/** Makes a store over shared memory, at first all zero. */
export type MakeStore = (words: Int32Array, bytes: Uint8Array) => ItemStore;
