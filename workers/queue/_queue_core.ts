/**
 * The shared memory of a queue: its counters, its wait queues and its items.
 *
 * @module
 */

import { ByteWriter, decode, encodeInto } from "../codec/codec.ts";
import { refuseItem } from "../codec/share.ts";
import { throwIfStopped } from "../locks/_checkpoint.ts";
import { deaths, isLiving, ownId } from "../locks/_living.ts";
import {
  addNode,
  AFTER,
  alone,
  BEFORE,
  newWaitRecord,
  QUEUE_BYTES,
  removeNodes,
  TICKET,
  WaitQueue,
  type WaitRecord,
} from "../locks/_wait_queue.ts";
import { type ItemStore, STORE_WORDS, type StoreKind } from "./_item_stores.ts";
import { QueueClosedError, QueueEmptyError } from "../base/errors.ts";
import {
  assertInteger,
  assertOptions,
  assertPositiveInteger,
} from "../base/check.ts";

// Three wait queues, these words and the items' bytes share one memory.
const MUTEX = 0;
const CLOSED = 1;
const MAX_SIZE = 2;
const UNFINISHED = 3;
// The bytes of items that processes were sent and have not acknowledged. They
// could come back, so there is room for them.
const LENT = 4;
const CAPACITY = 5;
// The number of lent items that were sent ahead: they count as items.
const AHEAD = 6;
/** Changes when somebody waits while items are ahead. */
const RECALLS = 7;
// The processes that may put or get, if it is a pipe's: a list of nodes
const ENDS = 8;
const SETTLED = 9;
/** Which threads have lent how many of these bytes: a list of nodes. */
const LOANS = 10;
const STORE = 11;

/** The most bytes of items that are sent ahead at once. */
const MAX_AHEAD = 65_536;
const WORDS = STORE + STORE_WORDS;

const WORDS_AT = 3 * QUEUE_BYTES;
const BYTES_AT = WORDS_AT + 4 * WORDS;

const MOST_ITEMS = 2 ** 31 - 1;
const DEFAULT_CAPACITY = 2 ** 20;
const MOST_CAPACITY = 2 ** 30;

/**
 * Options of {@linkcode SharedQueue}, {@linkcode LifoQueue} and
 * {@linkcode PriorityQueue}.
 */
export interface SharedQueueOptions {
  /**
   * Most items at once.
   *
   * @default {Infinity}
   */
  maxSize?: number;
  /**
   * Most bytes of all items together. An item takes the size of its structured
   * clone plus 4 bytes, or plus 20 in a `LifoQueue` or a `PriorityQueue`, which
   * use up to two and a half times as much memory when they are full. A larger
   * item can never be put.
   *
   * @default {1048576}
   */
  capacity?: number;
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
  readonly #kind: StoreKind;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #store: ItemStore;

  /**
   * Joins a queue.
   *
   * @param record Its memory.
   * @param kind How it keeps its items.
   */
  constructor(record: WaitRecord, kind: StoreKind, capacity?: number) {
    const { memory } = record;
    this.record = record;
    this.#kind = kind;
    this.getters = new WaitQueue(record);
    this.putters = new WaitQueue(record, true, QUEUE_BYTES);
    this.joiners = new WaitQueue(record, false, 2 * QUEUE_BYTES);
    this.#words = new Int32Array(memory, WORDS_AT, WORDS);
    this.#capacity = this.#words[CAPACITY] ||= capacity!;
    this.#store = kind.over(
      this.#words.subarray(STORE),
      new Uint8Array(memory, BYTES_AT),
      this.#capacity,
    );
  }

  /**
   * Makes a queue.
   *
   * @param options Its bounds.
   * @param kind Makes its store.
   * @returns The queue.
   */
  static make(options: SharedQueueOptions, kind: StoreKind): QueueCore {
    assertOptions(
      options,
      "a queue",
      ["maxSize", "capacity"],
      // As in Python, where the number stands alone
      `{ maxSize: ${typeof options === "number" ? options : 4} }`,
    );
    const { maxSize = Infinity, capacity = DEFAULT_CAPACITY } = options;
    if (maxSize !== Infinity) assertPositiveInteger("maxSize", maxSize);
    assertInteger("capacity", capacity, 1, MOST_CAPACITY);
    const record = newWaitRecord(BYTES_AT + kind.sizeFor(capacity));
    const core = new QueueCore(record, kind, capacity);
    Atomics.store(core.#words, MAX_SIZE, Math.min(maxSize, MOST_ITEMS));
    return core;
  }

  /**
   * Joins another queue of the same class.
   *
   * @param record Its memory.
   * @returns The queue.
   */
  over(record: WaitRecord): QueueCore {
    return new QueueCore(record, this.#kind);
  }

  /** The number of items. */
  get size(): number {
    return this.#store.count + this.ahead;
  }

  /** The number of items that were sent ahead. */
  get ahead(): number {
    return Atomics.load(this.#words, AHEAD);
  }

  /** Whether nothing more can be put. */
  get full(): boolean {
    this.#settle();
    return this.size >= Atomics.load(this.#words, MAX_SIZE) ||
      this.#room <= this.#store.overhead;
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
   * Prepares to put an item.
   *
   * @param value The item.
   * @returns Adds the item; returns `false` if there is no room for it, and
   * throws a `QueueClosedError` if the queue is closed.
   */
  pushOf(value: unknown): () => boolean {
    const priority = this.#store.priorityOf(value);
    const item = this.#write(value);
    return () => {
      this.#settle();
      const pushed = this.#alone(() => {
        if (this.closed) throw closedError("put an item in");
        const room = this.size < Atomics.load(this.#words, MAX_SIZE) &&
          this.#room >= this.#sizeOf(item);
        if (!room || !this.#store.push(item, priority)) return false;
        Atomics.add(this.#words, UNFINISHED, 1);
        return true;
      });
      if (!pushed) return false;
      if (this.getters.size > 0) this.getters.wake(1);
      // A getter may have made room for several items.
      if (this.putters.size > 0 && !this.full) this.putters.wake(1);
      return true;
    };
  }

  /**
   * Takes the next item.
   *
   * @param isLent Whether it is for a process. Then either `forget()` it or
   * `giveBack()` it.
   * @returns Its bytes, or `false` if there is none.
   * @throws {QueueClosedError} If there is none and the queue is closed.
   * @throws {DOMException} An `AbortError` if the thread was terminated.
   */
  shift(isLent = false): Uint8Array<ArrayBuffer> | false {
    this.#settle();
    if (this.#store.count === 0) {
      if (this.ahead > 0) {
        Atomics.add(this.#words, RECALLS, 1);
        Atomics.notify(this.#words, RECALLS);
        return false;
      }
      if (!this.closed) return false;
    }
    const item = this.#alone(() => {
      throwIfStopped();
      const next = this.#store.shift();
      if (next === false && this.closed && this.size === 0) {
        throw closedError("get an item of");
      }
      if (next !== false && isLent) this.#lend(this.#sizeOf(next));
      return next;
    });
    if (item === false) return false;
    if (this.putters.size > 0) this.putters.wake(1);
    // The next one gets an item, or learns that nothing more comes
    const isAnswered = this.#store.count > 0 || this.closed;
    if (isAnswered && this.getters.size > 0) this.getters.wake(1);
    return item;
  }

  /**
   * Takes items for a process that has not asked for them yet, unless others
   * wait or it is a queue that keeps another order. They count as items of the
   * queue until they are forgotten.
   *
   * @param most The most items.
   * @returns The items, as `shift()` does.
   */
  lendAhead(most: number): Uint8Array<ArrayBuffer>[] {
    const items: Uint8Array<ArrayBuffer>[] = [];
    if (!this.#store.isFifo || most <= 0) return items;
    this.#alone(() => {
      for (let left = MAX_AHEAD; left > 0 && items.length < most;) {
        const item = this.getters.size === 0 && this.#store.shift();
        if (!item) break;
        left -= this.#sizeOf(item);
        items.push(item);
      }
      if (items.length > 0) this.#lend(this.#sizeOfAll(items));
      Atomics.add(this.#words, AHEAD, items.length);
    });
    return items;
  }

  /** Changes when somebody waits for items that are ahead. */
  get recalls(): number {
    return Atomics.load(this.#words, RECALLS);
  }

  /** Settles when `recalls` has changed, or at `endRecalls()`. */
  async recalled(seen: number): Promise<void> {
    const { async, value } = Atomics.waitAsync(this.#words, RECALLS, seen);
    if (async) await value;
  }

  /** Settles all waits for `recalled()`, which would otherwise stay. */
  endRecalls(): void {
    Atomics.notify(this.#words, RECALLS);
  }

  /**
   * A process has items that it was lent.
   *
   * @param items The items.
   * @param ahead How many of them were ahead.
   */
  forget(items: Uint8Array[], ahead: number): void {
    this.#alone(() => this.#endLoan(items, ahead));
    if (this.putters.size > 0) this.putters.wake(1);
    // Waiters learn that nothing more comes
    if (ahead > 0 && this.closed) this.getters.wake(1);
  }

  /**
   * Puts items back that a process never got: they are the next again.
   *
   * @param items The items, in their order.
   * @param ahead How many of them were ahead.
   */
  giveBack(items: Uint8Array<ArrayBuffer>[], ahead: number): void {
    if (items.length === 0) return;
    this.#alone(() => {
      if (!this.#endLoan(items, ahead)) return;
      for (const item of items.toReversed()) {
        this.#store.unshift(item, this.#store.priorityOf(decode(item)));
      }
    });
    this.getters.wake(items.length);
  }

  /** Under the mutex. Returns whether the items were lent until now. */
  #endLoan(items: Uint8Array[], ahead: number): boolean {
    Atomics.sub(this.#words, AHEAD, ahead);
    return this.#lend(-this.#sizeOfAll(items));
  }

  /**
   * Changes under the mutex how many bytes of items this thread's processes are
   * lent. These processes end with their thread, so what each of them has is
   * known here, and the queue must know only what ends with a thread: nothing by
   * the main thread.
   *
   * @param bytes How many more; fewer if negative.
   * @returns `false` if there were none to give back: the thread has ended.
   */
  #lend(bytes: number): boolean {
    if (ownId() !== 0 && !this.#record(ownId(), bytes)) return false;
    Atomics.add(this.#words, LENT, bytes);
    return true;
  }

  #record(thread: number, bytes: number): boolean {
    const [words, { nodes }] = [this.#words, this.getters];
    return this.getters.alone(() => {
      let node = words[LOANS]!;
      while (node !== 0 && nodes[node + TICKET] !== thread) {
        node = nodes[node + AFTER]!;
      }
      if (node === 0) {
        if (bytes < 0) return false;
        node = addNode(nodes, thread);
        nodes[node + AFTER] = words[LOANS]!;
        nodes[node + BEFORE] = 0;
        words[LOANS] = node;
      }
      nodes[node + BEFORE]! += bytes;
      if (nodes[node + BEFORE] === 0) {
        removeNodes(words, LOANS, nodes, (other) => other !== node);
      }
      return true;
    });
  }

  /**
   * A process has an end of the pipe from now on.
   *
   * @param holder Its id among the living.
   * @param isWriter Whether it may put; if not, get.
   */
  hold(holder: number, isWriter: boolean): void {
    const { nodes } = this.getters;
    this.getters.alone(() => {
      const node = addNode(nodes, holder);
      nodes[node + AFTER] = this.#words[ENDS]!;
      nodes[node + BEFORE] = isWriter ? 1 : 0;
      this.#words[ENDS] = node;
    });
  }

  /** A process has ended. Without any other at its end the pipe is closed. */
  letGo(holder: number): void {
    this.#removeEnds((other) => other === holder);
  }

  #removeEnds(isOf: (holder: number) => boolean): void {
    const { nodes } = this.getters;
    // By whether they may put
    const [removed, kept] = [[false, false], [false, false]];
    this.getters.alone(() => {
      removeNodes(this.#words, ENDS, nodes, (node) => {
        const stays = !isOf(nodes[node + TICKET]!);
        (stays ? kept : removed)[nodes[node + BEFORE]!] = true;
        return stays;
      });
    });
    if (removed.some((was, role) => was && !kept[role])) this.close();
  }

  /** Notices processes that ended with the thread that had started them. */
  #settle(): void {
    const [words, { nodes }] = [this.#words, this.getters];
    if (words[SETTLED] === deaths()) return;
    words[SETTLED] = deaths();
    this.#removeEnds((holder) => !isLiving(holder));
    this.getters.alone(() => {
      removeNodes(words, LOANS, nodes, (node) => {
        if (isLiving(nodes[node + TICKET]!)) return true;
        Atomics.sub(words, LENT, nodes[node + BEFORE]!);
        return false;
      });
    });
  }

  get #room(): number {
    return this.#store.room - Atomics.load(this.#words, LENT);
  }

  #sizeOf(item: Uint8Array): number {
    return item.length + this.#store.overhead;
  }

  #sizeOfAll(items: Uint8Array[]): number {
    return items.reduce((sum, item) => sum + this.#sizeOf(item), 0);
  }

  /** Closes the queue. */
  close(): void {
    this.#alone(() => Atomics.store(this.#words, CLOSED, 1));
    this.getters.wake(Infinity);
    this.putters.wake(Infinity);
  }

  /** Marks an item that was taken as done. */
  taskDone(): void {
    const left = this.#alone(() => {
      if (this.unfinished > 0) {
        return Atomics.sub(this.#words, UNFINISHED, 1) - 1;
      }
      throw new RangeError(
        "Cannot mark an item as done: as many are done as were put",
      );
    });
    if (left === 0) this.joiners.wake(Infinity);
  }

  #write(value: unknown): Uint8Array {
    const writer = new ByteWriter(64);
    encodeInto(writer, value, refuseItem);
    const item = writer.bytes.subarray(0, writer.length);
    if (this.#sizeOf(item) > this.#capacity) {
      throw new RangeError(
        `Cannot put an item of ${this.#sizeOf(item)} bytes in a queue of ` +
          `${this.#capacity}: give the queue a larger "capacity"`,
      );
    }
    return item;
  }

  #alone<T>(act: () => T): T {
    return alone(this.#words, MUTEX, act);
  }
}

function closedError(doing: string): QueueClosedError {
  return new QueueClosedError(`Cannot ${doing} the queue: it is closed`);
}

export function emptyError(): QueueEmptyError {
  return new QueueEmptyError("Cannot get an item of the queue: it is empty");
}
