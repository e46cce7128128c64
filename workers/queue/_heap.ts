/**
 * A store of items in shared memory, ordered by priority.
 *
 * @module
 */

import { ITEM_PREFIX, type ItemStore } from "./_item_store.ts";

const COUNT = 0;
const USED = 1;
const TOP = 2;
const SEQUENCE = 3;

// An entry; a double, then three words.
const PRIORITY = 0;
const NUMBER = 8;
const OFFSET = 12;
const LENGTH = 16;
const ENTRY = 20;

/**
 * Items in the order of their priorities, the lowest first: a binary heap of
 * entries that grows down from the end of the memory, towards the items' bytes.
 */
export class Heap implements ItemStore {
  readonly overhead = ENTRY;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #newestFirst: boolean;

  /**
   * Makes a heap, or joins one.
   *
   * @param words The heap's words.
   * @param bytes The memory of its items.
   * @param newestFirst The order of items of the same priority.
   */
  constructor(words: Int32Array, bytes: Uint8Array, newestFirst: boolean) {
    this.#words = words;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#newestFirst = newestFirst;
  }

  get count(): number {
    return Atomics.load(this.#words, COUNT);
  }

  get room(): number {
    return this.#bytes.length - Atomics.load(this.#words, USED) -
      this.count * ENTRY;
  }

  push(item: Uint8Array, priority: number): boolean {
    const length = item.length - ITEM_PREFIX;
    const { count } = this;
    if (this.room < length + ENTRY) return false;
    if (this.#words[TOP]! + length > this.#at(count)) this.#compact();
    const offset = this.#words[TOP]!;
    this.#bytes.set(item.subarray(ITEM_PREFIX), offset);
    this.#words[TOP] = offset + length;
    const at = this.#at(count);
    this.#view.setFloat64(at + PRIORITY, priority);
    this.#view.setInt32(at + NUMBER, Atomics.add(this.#words, SEQUENCE, 1));
    this.#view.setInt32(at + OFFSET, offset);
    this.#view.setInt32(at + LENGTH, length);
    Atomics.add(this.#words, USED, length);
    Atomics.store(this.#words, COUNT, count + 1);
    this.#rise(count);
    return true;
  }

  shift(): Uint8Array<ArrayBuffer> | null {
    const last = this.count - 1;
    if (last < 0) return null;
    const offset = this.#view.getInt32(this.#at(0) + OFFSET);
    const length = this.#view.getInt32(this.#at(0) + LENGTH);
    const item = new Uint8Array(length);
    item.set(this.#bytes.subarray(offset, offset + length));
    this.#swap(0, last);
    Atomics.store(this.#words, COUNT, last);
    Atomics.sub(this.#words, USED, length);
    if (offset + length === this.#words[TOP]) this.#words[TOP] = offset;
    this.#sink(0);
    return item;
  }

  #at(index: number): number {
    return this.#bytes.length - (index + 1) * ENTRY;
  }

  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#at(a), this.#at(b)];
    const difference = this.#view.getFloat64(first + PRIORITY) -
      this.#view.getFloat64(second + PRIORITY);
    // Infinities of one sign differ by NaN.
    if (difference < 0 || difference > 0) return difference < 0;
    const later = this.#view.getInt32(first + NUMBER) -
        this.#view.getInt32(second + NUMBER) | 0;
    return this.#newestFirst ? later > 0 : later < 0;
  }

  #swap(a: number, b: number): void {
    if (a === b) return;
    const first = this.#bytes.slice(this.#at(a), this.#at(a) + ENTRY);
    this.#bytes.copyWithin(this.#at(a), this.#at(b), this.#at(b) + ENTRY);
    this.#bytes.set(first, this.#at(b));
  }

  #rise(index: number): void {
    while (index > 0) {
      const parent = index - 1 >> 1;
      if (!this.#isBefore(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(index: number): void {
    const { count } = this;
    for (;;) {
      let first = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < count && this.#isBefore(child, first)) first = child;
      }
      if (first === index) return;
      this.#swap(index, first);
      index = first;
    }
  }

  /** Moves all items to the beginning. */
  #compact(): void {
    const entries = Array.from({ length: this.count }, (_, at) => this.#at(at));
    const offsetOf = (at: number): number => this.#view.getInt32(at + OFFSET);
    let top = 0;
    for (const at of entries.sort((a, b) => offsetOf(a) - offsetOf(b))) {
      const offset = offsetOf(at);
      const length = this.#view.getInt32(at + LENGTH);
      this.#bytes.copyWithin(top, offset, offset + length);
      this.#view.setInt32(at + OFFSET, top);
      top += length;
    }
    this.#words[TOP] = top;
  }
}
