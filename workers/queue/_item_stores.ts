/**
 * How queues keep their items in shared memory, and which class keeps them how.
 *
 * @module
 */

/** Before each item in a ring: its length. */
const PREFIX_BYTES = 4;

/** The words that a store needs beside its bytes. */
export const STORE_WORDS = 6;

/** Items of bytes in shared memory. Its owner excludes concurrent calls. */
export interface ItemStore {
  /** The number of items. */
  readonly count: number;
  /** The number of free bytes. */
  readonly room: number;
  /** The bytes that an item takes beside its own. */
  readonly overhead: number;
  /** Whether items come in the order in which they were put. */
  readonly isFifo: boolean;
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
   * @param item Its bytes.
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
  /**
   * Puts an item back that was the next when it was taken. There is room.
   *
   * @param item Its bytes.
   * @param priority Its priority.
   */
  unshift(item: Uint8Array, priority: number): void;
}

/** How a class keeps its items. */
export interface StoreKind {
  /** The bytes of memory for items within a capacity, a multiple of 4. */
  sizeFor(capacity: number): number;
  /** Makes a store over shared memory, at first all zero. */
  over(words: Int32Array, bytes: Uint8Array, capacity: number): ItemStore;
}

const kinds = new WeakMap<object, StoreKind>();

/** Sets how a class and its subclasses keep their items. */
export function setStore(type: object, kind: StoreKind): void {
  kinds.set(type, kind);
}

/** Returns how a class keeps its items. */
export function storeOf(type: object): StoreKind {
  return kinds.get(type) ?? storeOf(Object.getPrototypeOf(type));
}

// The words of a store: its items, their bytes, and its own words.
const COUNT = 0;
const USED = 1;
const HEAD = 2;
const FREED_BLOCK = 2;
const USED_BLOCKS = 3;
const NEXT = 4;
const FRONT = 5;

function noPriority(): number {
  return 0;
}

/** Items in a ring, first in, first out. */
export class RingBuffer implements ItemStore {
  static sizeFor = (capacity: number): number => capacity;
  static over(words: Int32Array, bytes: Uint8Array): ItemStore {
    return new RingBuffer(words, bytes);
  }

  readonly overhead = PREFIX_BYTES;
  readonly isFifo = true;
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
    if (this.room < PREFIX_BYTES + item.length) return false;
    const used = Atomics.load(this.#words, USED);
    this.#write(item, this.#words[HEAD]! + used);
    return true;
  }

  unshift(item: Uint8Array): void {
    const { length } = this.#bytes;
    const size = PREFIX_BYTES + item.length;
    const head = (this.#words[HEAD]! + length - size) % length;
    this.#write(item, head);
    this.#words[HEAD] = head;
  }

  shift(): Uint8Array<ArrayBuffer> | false {
    if (this.count === 0) return false;
    const bytes = this.#bytes;
    const head = this.#words[HEAD]!;
    let size = 0;
    for (let index = 0; index < PREFIX_BYTES; index++) {
      size |= bytes[(head + index) % bytes.length]! << 8 * index;
    }
    const start = (head + PREFIX_BYTES) % bytes.length;
    const item = new Uint8Array(size);
    const first = bytes.subarray(start, start + size);
    item.set(first);
    item.set(bytes.subarray(0, size - first.length), first.length);
    this.#words[HEAD] = (start + size) % bytes.length;
    Atomics.sub(this.#words, USED, PREFIX_BYTES + size);
    Atomics.sub(this.#words, COUNT, 1);
    return item;
  }

  #write(item: Uint8Array, position: number): void {
    const bytes = this.#bytes;
    for (let index = 0; index < PREFIX_BYTES; index++) {
      bytes[(position + index) % bytes.length] = item.length >>> 8 * index;
    }
    const start = (position + PREFIX_BYTES) % bytes.length;
    const first = bytes.length - start;
    bytes.set(item.subarray(0, first), start);
    bytes.set(item.subarray(first), 0);
    Atomics.add(this.#words, USED, PREFIX_BYTES + item.length);
    Atomics.add(this.#words, COUNT, 1);
  }
}

// An entry: a double, then three words.
const PRIORITY = 0;
const ORDER = 8;
const BLOCK = 12;
const LENGTH = 16;
const ENTRY = 20;

/** Each block begins with the number of the next one. */
const BLOCK_BYTES = 32;
const NUMBER_BYTES = 4;
const PART = BLOCK_BYTES - NUMBER_BYTES;

/** How many items there can be; none needs more blocks for its size. */
function mostItems(capacity: number): number {
  return Math.floor(capacity / (ENTRY + 1)) + 1;
}

/**
 * Items in the order of their priorities, the lowest first. Their entries are a
 * heap. Their bytes are in chains of blocks, so that taking one out never
 * leaves a gap that the next one does not fit into.
 */
export class HeapStore implements ItemStore {
  readonly overhead = ENTRY;
  readonly isFifo = false;
  readonly priorityOf: (value: unknown) => number;
  readonly #words: Int32Array;
  readonly #view: DataView;
  readonly #blocks: Uint8Array;
  /** The blocks' numbers of their next ones. */
  readonly #links: Int32Array;
  readonly #capacity: number;
  readonly #newestFirst: boolean;

  /**
   * Makes a store, or joins one.
   *
   * @param words The store's words.
   * @param bytes The memory of its items.
   * @param capacity The most bytes of items.
   * @param newestFirst The order of items of the same priority.
   * @param priorityOf Returns the priority of an item.
   */
  constructor(
    words: Int32Array,
    bytes: Uint8Array,
    capacity: number,
    newestFirst: boolean,
    priorityOf: (value: unknown) => number = noPriority,
  ) {
    const entries = mostItems(capacity) * ENTRY;
    const { buffer, byteOffset } = bytes;
    this.#words = words;
    this.#view = new DataView(buffer, byteOffset, entries);
    this.#blocks = bytes.subarray(entries);
    this.#links = new Int32Array(buffer, byteOffset + entries);
    this.#capacity = capacity;
    this.#newestFirst = newestFirst;
    this.priorityOf = priorityOf;
  }

  /** Makes a kind of store. */
  static kind(
    newestFirst: boolean,
    priorityOf?: (value: unknown) => number,
  ): StoreKind {
    return {
      // Block 0 is none
      sizeFor: (capacity) =>
        mostItems(capacity) * (ENTRY + BLOCK_BYTES) + BLOCK_BYTES,
      over: (words, bytes, capacity) =>
        new HeapStore(words, bytes, capacity, newestFirst, priorityOf),
    };
  }

  get count(): number {
    return Atomics.load(this.#words, COUNT);
  }

  get room(): number {
    return this.#capacity - Atomics.load(this.#words, USED) -
      this.count * ENTRY;
  }

  push(item: Uint8Array, priority: number): boolean {
    if (this.room < item.length + ENTRY) return false;
    this.#add(item, priority, this.#words[NEXT]!++);
    return true;
  }

  unshift(item: Uint8Array, priority: number): void {
    const order = this.#newestFirst
      ? this.#words[NEXT]!++
      : --this.#words[FRONT]!;
    this.#add(item, priority, order);
  }

  shift(): Uint8Array<ArrayBuffer> | false {
    const last = this.count - 1;
    if (last < 0) return false;
    const block = this.#view.getInt32(BLOCK);
    const item = new Uint8Array(this.#view.getInt32(LENGTH));
    this.#take(block, item);
    this.#sink(last);
    Atomics.store(this.#words, COUNT, last);
    Atomics.sub(this.#words, USED, item.length);
    return item;
  }

  #add(item: Uint8Array, priority: number, order: number): void {
    const { count } = this;
    const block = this.#write(item);
    const at = this.#rise(priority, order, count);
    this.#view.setFloat64(at + PRIORITY, priority);
    this.#view.setInt32(at + ORDER, order);
    this.#view.setInt32(at + BLOCK, block);
    this.#view.setInt32(at + LENGTH, item.length);
    Atomics.add(this.#words, USED, item.length);
    Atomics.store(this.#words, COUNT, count + 1);
  }

  /** Writes an item into blocks; returns the first. */
  #write(item: Uint8Array): number {
    let [first, before] = [0, 0];
    for (let start = 0; start < item.length; start += PART) {
      const block = this.#takeBlock();
      const at = block * BLOCK_BYTES + NUMBER_BYTES;
      this.#blocks.set(item.subarray(start, start + PART), at);
      if (before === 0) first = block;
      else this.#link(before, block);
      before = block;
    }
    return first;
  }

  /** Reads an item from its blocks, which are free then. */
  #take(first: number, item: Uint8Array): void {
    let [block, last] = [first, first];
    for (let start = 0; start < item.length; start += PART) {
      const at = block * BLOCK_BYTES + NUMBER_BYTES;
      const length = Math.min(PART, item.length - start);
      item.set(this.#blocks.subarray(at, at + length), start);
      last = block;
      block = this.#links[block * BLOCK_BYTES / NUMBER_BYTES]!;
    }
    this.#link(last, this.#words[FREED_BLOCK]!);
    this.#words[FREED_BLOCK] = first;
  }

  #takeBlock(): number {
    const block = this.#words[FREED_BLOCK]!;
    if (block === 0) return ++this.#words[USED_BLOCKS]!;
    this.#words[FREED_BLOCK] = this.#links[block * BLOCK_BYTES / NUMBER_BYTES]!;
    return block;
  }

  #link(block: number, next: number): void {
    this.#links[block * BLOCK_BYTES / NUMBER_BYTES] = next;
  }

  #at(index: number): number {
    return index * ENTRY;
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
}
