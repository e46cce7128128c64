/**
 * How queues keep their items in shared memory, and which class keeps them how.
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

const HEAP_COUNT = 0;
const HEAP_USED = 1;
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
    return Atomics.load(this.#words, HEAP_COUNT);
  }

  get room(): number {
    return this.#bytes.length - Atomics.load(this.#words, HEAP_USED) -
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
    Atomics.add(this.#words, HEAP_USED, length);
    Atomics.store(this.#words, HEAP_COUNT, count + 1);
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
    Atomics.store(this.#words, HEAP_COUNT, last);
    Atomics.sub(this.#words, HEAP_USED, length);
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
