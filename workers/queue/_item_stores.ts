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
   * Returns the priority of an item.
   *
   * @param value The item.
   * @returns Its priority.
   * @throws {TypeError} If it can have none.
   */
  priorityOf(value: unknown): number;
  /**
   * Adds an item.
   *
   * @param item Its bytes, after `ITEM_PREFIX` bytes that say their number.
   * @param priority Its priority.
   * @returns `false` if there is no room for it.
   */
  push(item: Uint8Array, priority: number): boolean;
  /**
   * Takes the next item.
   *
   * @returns Its bytes, or `false` if there is none.
   */
  shift(): Uint8Array<ArrayBuffer> | false;
}

/** Makes a store over shared memory, at first all zero. */
export type MakeStore = (words: Int32Array, bytes: Uint8Array) => ItemStore;

const stores = new WeakMap<object, MakeStore>();

/**
 * Sets how a class and its subclasses keep their items.
 *
 * @param type The class.
 * @param makeStore Makes its stores.
 */
export function setStore(type: object, makeStore: MakeStore): void {
  stores.set(type, makeStore);
}

/**
 * Returns how a class keeps its items.
 *
 * @param type The class, or a subclass.
 * @returns Makes its stores.
 */
export function storeOf(type: object): MakeStore {
  return stores.get(type) ?? storeOf(Object.getPrototypeOf(type));
}

// The words of a store: its items, their bytes, and its own words.
const COUNT = 0;
const USED = 1;
const HEAD = 2;
const TOP = 2;
const NEXT = 3;

function noPriority(): number {
  return 0;
}

/** Items in a ring, first in, first out. */
export class RingBuffer implements ItemStore {
  readonly overhead = ITEM_PREFIX;
  readonly priorityOf: (value: unknown) => number = noPriority;
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
    const used = Atomics.add(this.#words, USED, item.length);
    const at = (this.#words[HEAD]! + used) % this.#bytes.length;
    const first = this.#bytes.length - at;
    this.#bytes.set(item.subarray(0, first), at);
    this.#bytes.set(item.subarray(first), 0);
    Atomics.add(this.#words, COUNT, 1);
    return true;
  }

  shift(): Uint8Array<ArrayBuffer> | false {
    if (this.count === 0) return false;
    const prefix = new DataView(this.#take(ITEM_PREFIX).buffer);
    const item = this.#take(prefix.getInt32(0, true));
    Atomics.sub(this.#words, COUNT, 1);
    return item;
  }

  #take(length: number): Uint8Array<ArrayBuffer> {
    const head = this.#words[HEAD]!;
    const taken = new Uint8Array(length);
    const first = this.#bytes.subarray(head, head + length);
    taken.set(first);
    taken.set(this.#bytes.subarray(0, length - first.length), first.length);
    this.#words[HEAD] = (head + length) % this.#bytes.length;
    Atomics.sub(this.#words, USED, length);
    return taken;
  }
}

// An entry: a double, then three words.
const PRIORITY = 0;
const ORDER = 8;
const OFFSET = 12;
const LENGTH = 16;
const ENTRY = 20;

/**
 * Items in the order of their priorities, the lowest first. Their entries, a
 * heap, grow down from the end of the memory, towards their bytes.
 */
export class HeapStore implements ItemStore {
  readonly overhead = ENTRY;
  readonly priorityOf: (value: unknown) => number;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #newestFirst: boolean;

  /**
   * Makes a store, or joins one.
   *
   * @param words The store's words.
   * @param bytes The memory of its items.
   * @param newestFirst The order of items of the same priority.
   * @param priorityOf Returns the priority of an item.
   */
  constructor(
    words: Int32Array,
    bytes: Uint8Array,
    newestFirst: boolean,
    priorityOf: (value: unknown) => number = noPriority,
  ) {
    this.#words = words;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#newestFirst = newestFirst;
    this.priorityOf = priorityOf;
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
    const order = this.#words[NEXT]!++;
    const at = this.#rise(priority, order, count);
    this.#view.setFloat64(at + PRIORITY, priority);
    this.#view.setInt32(at + ORDER, order);
    this.#view.setInt32(at + OFFSET, offset);
    this.#view.setInt32(at + LENGTH, length);
    Atomics.add(this.#words, USED, length);
    Atomics.store(this.#words, COUNT, count + 1);
    return true;
  }

  shift(): Uint8Array<ArrayBuffer> | false {
    const last = this.count - 1;
    if (last < 0) return false;
    const offset = this.#view.getInt32(this.#at(0) + OFFSET);
    const length = this.#view.getInt32(this.#at(0) + LENGTH);
    const item = new Uint8Array(length);
    item.set(this.#bytes.subarray(offset, offset + length));
    this.#sink(last);
    Atomics.store(this.#words, COUNT, last);
    Atomics.sub(this.#words, USED, length);
    if (offset + length === this.#words[TOP]) this.#words[TOP] = offset;
    return item;
  }

  #at(index: number): number {
    return this.#bytes.length - (index + 1) * ENTRY;
  }

  /** Moves entries for a new one, the last; returns where it goes. */
  #rise(priority: number, order: number, index: number): number {
    while (index > 0) {
      const parent = index - 1 >> 1;
      if (!this.#isBefore(priority, order, parent)) break;
      this.#move(parent, index);
      index = parent;
    }
    return this.#at(index);
  }

  /** Moves the last entry and others, so that the first leaves no gap. */
  #sink(last: number): void {
    const priority = this.#priorityAt(last);
    const order = this.#orderAt(last);
    let index = 0;
    for (let next = 1; next < last; next = 2 * index + 1) {
      const other = next + 1;
      const isOther = other < last &&
        this.#isBefore(this.#priorityAt(other), this.#orderAt(other), next);
      if (isOther) next = other;
      if (this.#isBefore(priority, order, next)) break;
      this.#move(next, index);
      index = next;
    }
    this.#move(last, index);
  }

  #isBefore(priority: number, order: number, index: number): boolean {
    const other = this.#priorityAt(index);
    if (priority !== other) return priority < other;
    const isOlder = (order - this.#orderAt(index) | 0) < 0;
    return isOlder !== this.#newestFirst;
  }

  #priorityAt(index: number): number {
    return this.#view.getFloat64(this.#at(index) + PRIORITY);
  }

  #orderAt(index: number): number {
    return this.#view.getInt32(this.#at(index) + ORDER);
  }

  /** Faster than to move so few bytes at once. */
  #move(from: number, to: number): void {
    const [source, target] = [this.#at(from), this.#at(to)];
    for (let at = 0; at < ENTRY; at += 4) {
      this.#view.setInt32(target + at, this.#view.getInt32(source + at));
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
