/**
 * The shared memory of a queue: its counters, its wait queues and its items.
 *
 * @module
 */

import { ByteWriter, decode, encodeInto } from "../codec/codec.ts";
import { refuseShared } from "../codec/share.ts";
import { throwIfStopped } from "../locks/_stop_word.ts";
import {
  newWaitRecord,
  QUEUE_BYTES,
  WaitQueue,
  type WaitRecord,
} from "../locks/_wait_queue.ts";
import {
  ITEM_PREFIX,
  type ItemStore,
  type MakeStore,
  STORE_WORDS,
} from "./_item_stores.ts";
import { alone } from "../locks/_mutex.ts";
import { QueueClosedError, QueueEmptyError } from "../errors.ts";
import type { SharedQueueOptions } from "./queue_options.ts";
import {
  assertInteger,
  assertOptions,
  assertPositiveInteger,
} from "../_validate.ts";

// Three wait queues, these words and the items' bytes share one memory.
const MUTEX = 0;
const CLOSED = 1;
const MAX_SIZE = 2;
const UNFINISHED = 3;
const STORE = 4;
const WORDS = STORE + STORE_WORDS;

const WORDS_AT = 3 * QUEUE_BYTES;
const BYTES_AT = WORDS_AT + 4 * WORDS;

const MOST_ITEMS = 2 ** 31 - 1;
const DEFAULT_CAPACITY = 2 ** 20;
const MOST_CAPACITY = 2 ** 30;

/** The bytes of an item, once there was one. */
export interface Taken {
  /** The bytes. */
  item: Uint8Array<ArrayBuffer> | null;
}

/** The shared part of a queue. */
export class QueueCore {
  /** The memory. */
  readonly record: WaitRecord;
  /** The waiters for an item. */
  readonly getters: WaitQueue;
  /** The waiters for room. */
  readonly putters: WaitQueue;
  /** The waiters for the last item to be done. */
  readonly joiners: WaitQueue;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #store: ItemStore;

  /**
   * Joins a queue.
   *
   * @param record Its memory.
   * @param makeStore Makes its store.
   */
  constructor(record: WaitRecord, makeStore: MakeStore) {
    const { memory } = record;
    this.record = record;
    this.getters = new WaitQueue(record);
    this.putters = new WaitQueue(record, true, QUEUE_BYTES);
    this.joiners = new WaitQueue(record, false, 2 * QUEUE_BYTES);
    this.#words = new Int32Array(memory, WORDS_AT, WORDS);
    this.#capacity = memory.byteLength - BYTES_AT;
    this.#store = makeStore(
      this.#words.subarray(STORE),
      new Uint8Array(memory, BYTES_AT),
    );
  }

  /**
   * Makes a queue.
   *
   * @param options Its bounds.
   * @param makeStore Makes its store.
   * @returns The queue.
   */
  static make(options: SharedQueueOptions, makeStore: MakeStore): QueueCore {
    assertOptions(options, "a queue", ["maxSize", "capacity"]);
    const { maxSize = Infinity, capacity = DEFAULT_CAPACITY } = options;
    if (maxSize !== Infinity) assertPositiveInteger("maxSize", maxSize);
    assertInteger("capacity", capacity, 1, MOST_CAPACITY);
    const record = newWaitRecord(BYTES_AT + capacity);
    const core = new QueueCore(record, makeStore);
    Atomics.store(core.#words, MAX_SIZE, Math.min(maxSize, MOST_ITEMS));
    return core;
  }

  /** The number of items. */
  get size(): number {
    return this.#store.count;
  }

  /** Whether nothing more can be put. */
  get full(): boolean {
    return this.size >= Atomics.load(this.#words, MAX_SIZE) || !this.#hasRoom;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return Atomics.load(this.#words, CLOSED) === 1;
  }

  /** The number of items that were put and are not done. */
  get unfinished(): number {
    return Atomics.load(this.#words, UNFINISHED);
  }

  /**
   * Writes an item.
   *
   * @param value The item.
   * @returns Its bytes, after `ITEM_PREFIX` bytes that say their number.
   */
  write(value: unknown): Uint8Array {
    refuseShared(value, "put", "in a queue");
    const writer = new ByteWriter(64);
    writer.length = ITEM_PREFIX;
    encodeInto(writer, value);
    const length = writer.length - ITEM_PREFIX;
    const size = length + this.#store.overhead;
    if (size > this.#capacity) {
      throw new RangeError(
        `Cannot put an item of ${size} bytes in a queue of ` +
          `${this.#capacity}: give the queue a larger "capacity"`,
      );
    }
    writer.setInt32(0, length);
    return writer.bytes.subarray(0, writer.length);
  }

  /**
   * Adds an item if there is room for it.
   *
   * @param item Its bytes, after `ITEM_PREFIX` bytes that say their number.
   * @param priority Its priority.
   * @param goesBack Whether it was in the queue before. Then the queue may be
   * closed, and `join()` counts the item already.
   * @returns Whether there was.
   * @throws {QueueClosedError} If the queue is closed.
   */
  push(item: Uint8Array, priority: number, goesBack = false): boolean {
    const words = this.#words;
    const pushed = alone(words, MUTEX, () => {
      if (this.closed && !goesBack) throw this.#closedError("put an item in");
      const room = this.size < Atomics.load(words, MAX_SIZE);
      if (!room || !this.#store.push(item, priority)) return false;
      if (!goesBack) Atomics.add(words, UNFINISHED, 1);
      return true;
    });
    if (!pushed) return false;
    if (this.getters.size > 0) this.getters.wake(1);
    // A getter may have made room for several items.
    if (this.putters.size > 0 && !this.full) this.putters.wake(1);
    return true;
  }

  /**
   * Takes the next item.
   *
   * @param taken Receives it.
   * @returns Whether there was one.
   * @throws {QueueClosedError} If there is none and the queue is closed.
   * @throws {DOMException} An `AbortError` if the thread was terminated.
   */
  shift(taken: Taken): boolean {
    if (this.size === 0 && !this.closed) return false;
    const item = alone(this.#words, MUTEX, () => {
      throwIfStopped();
      const next = this.#store.shift();
      if (next !== null || !this.closed) return next;
      throw this.#closedError("get an item of");
    });
    if (item === null) return false;
    taken.item = item;
    if (this.putters.size > 0) this.putters.wake(1);
    if (this.size > 0 && this.getters.size > 0) this.getters.wake(1);
    return true;
  }

  /** Closes the queue. */
  close(): void {
    alone(this.#words, MUTEX, () => Atomics.store(this.#words, CLOSED, 1));
    this.getters.wake(Infinity);
    this.putters.wake(Infinity);
  }

  /** Marks an item that was taken as done. */
  taskDone(): void {
    for (;;) {
      const { unfinished } = this;
      if (unfinished === 0) {
        throw new RangeError(
          "Cannot mark an item as done: as many are done as were put",
        );
      }
      const before = Atomics.compareExchange(
        this.#words,
        UNFINISHED,
        unfinished,
        unfinished - 1,
      );
      if (before !== unfinished) continue;
      if (unfinished === 1) this.joiners.wake(Infinity);
      return;
    }
  }

  get #hasRoom(): boolean {
    return this.#store.room > this.#store.overhead;
  }

  #closedError(doing: string): QueueClosedError {
    return new QueueClosedError(`Cannot ${doing} the queue: it is closed`);
  }
}

/**
 * Reads an item.
 *
 * @param taken What `shift()` has taken.
 * @returns The item.
 * @throws {QueueEmptyError} If there was none.
 */
export function readItem({ item }: Taken): unknown {
  if (item !== null) return decode(item);
  throw new QueueEmptyError("Cannot get an item of the queue: it is empty");
}
