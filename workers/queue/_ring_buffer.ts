/**
 * A first-in, first-out store of items in shared memory.
 *
 * @module
 */

import { ITEM_PREFIX, type ItemStore } from "./_item_store.ts";

const HEAD = 0;
const USED = 1;
const COUNT = 2;

/** Items in a ring, first in, first out. */
export class RingBuffer implements ItemStore {
  readonly overhead = ITEM_PREFIX;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /**
   * Makes a ring, or joins one.
   *
   * @param words The ring's words.
   * @param bytes The memory of its items.
   */
  constructor(words: Int32Array, bytes: Uint8Array) {
    this.#words = words;
    this.#bytes = bytes;
  }

  get count(): number {
    return Atomics.load(this.#words, COUNT);
  }

  get room(): number {
    return this.#bytes.length - Atomics.load(this.#words, USED);
  }

  push(item: Uint8Array): boolean {
    if (item.length > this.room) return false;
    const words = this.#words;
    const used = Atomics.load(words, USED);
    const at = (Atomics.load(words, HEAD) + used) % this.#bytes.length;
    const first = Math.min(item.length, this.#bytes.length - at);
    this.#bytes.set(item.subarray(0, first), at);
    this.#bytes.set(item.subarray(first), 0);
    Atomics.store(words, USED, used + item.length);
    Atomics.add(words, COUNT, 1);
    return true;
  }

  shift(): Uint8Array<ArrayBuffer> | null {
    if (this.count === 0) return null;
    const head = Atomics.load(this.#words, HEAD);
    const length = new DataView(this.#copy(head, ITEM_PREFIX).buffer)
      .getInt32(0, true);
    const item = this.#copy((head + ITEM_PREFIX) % this.#bytes.length, length);
    const taken = ITEM_PREFIX + length;
    Atomics.store(this.#words, HEAD, (head + taken) % this.#bytes.length);
    Atomics.sub(this.#words, USED, taken);
    Atomics.sub(this.#words, COUNT, 1);
    return item;
  }

  #copy(at: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length);
    const first = Math.min(length, this.#bytes.length - at);
    copy.set(this.#bytes.subarray(at, at + first));
    if (first < length) {
      copy.set(this.#bytes.subarray(0, length - first), first);
    }
    return copy;
  }
}
