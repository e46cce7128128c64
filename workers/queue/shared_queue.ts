import { ITEM_OVERHEAD, RING_WORDS, RingBuffer } from "./_ring_buffer.ts";
import { ByteWriter } from "../codec/byte_writer.ts";
import { decode, encodeInto } from "../codec/codec.ts";
import { SocketServerError } from "../errors.ts";
import { checkpoint, checkpointDue } from "../locks/_checkpoint.ts";
import { deadlineOf } from "../locks/_deadline.ts";
import { MOST_PERMITS, OWN_WITH_PERMITS, Permits } from "../locks/_permits.ts";
import { refuseShared, register } from "../codec/share.ts";
import { WaitQueue, type WaitRecord } from "../locks/_wait_queue.ts";
import type {
  AcquireOptions,
  AcquireSyncOptions,
} from "../locks/wait_options.ts";

const CLOSED = OWN_WITH_PERMITS;
const MAX_SIZE = OWN_WITH_PERMITS + 1;
const RING = OWN_WITH_PERMITS + 2;

const DEFAULT_CAPACITY = 2 ** 20;
const MOST_CAPACITY = 2 ** 30;

/** Options of a {@linkcode SharedQueue}. */
export interface SharedQueueOptions {
  /**
   * How many items there may be at once.
   *
   * @default {Infinity}
   */
  maxSize?: number;
  /**
   * How many bytes the items may take together, each written as a structured
   * clone and 4 more. An item that is larger can never be put.
   *
   * @default {1048576}
   */
  capacity?: number;
}

/**
 * Thrown by `put()` if there was no room in time.
 *
 * @example Usage
 * ```ts
 * import { QueueFullError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>({ maxSize: 1 });
 * queue.putSync(1);
 * assertThrows(() => queue.putSync(2, { blocking: false }), QueueFullError);
 * ```
 */
export class QueueFullError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueFullError";
}

/**
 * Thrown by `get()` if there was no item in time.
 *
 * @example Usage
 * ```ts
 * import { QueueEmptyError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue();
 * assertThrows(() => queue.getSync({ blocking: false }), QueueEmptyError);
 * ```
 */
export class QueueEmptyError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueEmptyError";
}

/**
 * Thrown by `put()` to a queue that is closed, and by `get()` when nothing is
 * left in it.
 *
 * @example Usage
 * ```ts
 * import { QueueClosedError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>();
 * queue.close();
 * assertThrows(() => queue.putSync(1), QueueClosedError);
 * ```
 */
export class QueueClosedError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueClosedError";
}

interface QueueRecord {
  mutex: WaitRecord;
  getters: WaitRecord;
  putters: WaitRecord;
  bytes: SharedArrayBuffer;
}

/**
 * Carries values between threads, first in, first out, within a bound.
 *
 * Values are cloned, as messages are. What can't be cloned is refused by
 * `put()`. Waiting with `get()` and `put()` keeps the program alive, and is
 * fair as with a {@linkcode Lock}. A queue that was closed can be read to its
 * end; iterating over it does so.
 *
 * @typeParam T The values.
 *
 * @example Usage
 * ```ts
 * import { SharedQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new SharedQueue<string>();
 * await queue.put("first");
 * await queue.put("second");
 * queue.close();
 *
 * assertEquals(await Array.fromAsync(queue), ["first", "second"]);
 * ```
 */
export class SharedQueue<T = unknown> {
  #bytes!: SharedArrayBuffer;
  #mutex!: Permits;
  #getters!: WaitQueue;
  #putters!: WaitQueue;
  #ring!: RingBuffer;

  static {
    register<SharedQueue>({
      tag: "SharedQueue",
      type: SharedQueue,
      calls: ["put", "get", "close"],
      blank: () => new SharedQueue({ capacity: 1 }),
      record: (queue): QueueRecord => ({
        mutex: queue.#mutex.list.record,
        getters: queue.#getters.record,
        putters: queue.#putters.record,
        bytes: queue.#bytes,
      }),
      fill: (queue, { mutex, getters, putters, bytes }: QueueRecord) =>
        queue.#fill(
          bytes,
          new Permits(mutex),
          new WaitQueue(getters),
          new WaitQueue(putters),
        ),
    });
  }

  /**
   * Makes a queue.
   *
   * @param options How much it may hold.
   * @throws {RangeError} If `maxSize` is not a whole number of 1 or more or
   * `Infinity`, or `capacity` is not a whole number from 1 to 1073741824.
   */
  constructor(options: SharedQueueOptions = {}) {
    const { maxSize = Infinity, capacity = DEFAULT_CAPACITY } = options;
    if (
      !(maxSize >= 1 && (Number.isInteger(maxSize) || maxSize === Infinity))
    ) {
      throw new RangeError(
        `Cannot make a queue: "maxSize" must be a whole number of 1 or more, ` +
          `or Infinity, received ${maxSize}`,
      );
    }
    if (
      !(Number.isInteger(capacity) && capacity >= 1 &&
        capacity <= MOST_CAPACITY)
    ) {
      throw new RangeError(
        `Cannot make a queue: "capacity" must be a whole number of bytes ` +
          `from 1 to ${MOST_CAPACITY}, received ${capacity}`,
      );
    }
    this.#fill(
      new SharedArrayBuffer(capacity),
      new Permits(1, 1, RING_WORDS + 2),
      new WaitQueue(0),
      new WaitQueue(0),
    );
    const most = Math.min(maxSize, MOST_PERMITS);
    Atomics.store(this.#mutex.list.words, MAX_SIZE, most);
  }

  /**
   * How many items are in the queue.
   *
   * @returns 0 or more.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new SharedQueue().size, 0);
   * ```
   */
  get size(): number {
    return this.#ring.count;
  }

  /**
   * Whether the queue was closed.
   *
   * @returns `true` if so.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(new SharedQueue().closed);
   * ```
   */
  get closed(): boolean {
    return Atomics.load(this.#mutex.list.words, CLOSED) === 1;
  }

  /**
   * Adds an item, waiting for room if need be.
   *
   * @param value The item.
   * @param options Whether to wait, and for how long.
   * @throws {QueueFullError} If there was no room in time.
   * @throws {QueueClosedError} If the queue is or gets closed.
   * @throws {DOMException} "DataCloneError", if the item can't be cloned.
   * @throws {TypeError} If there is shared memory in the item, such as a lock.
   * @throws {RangeError} If the item is larger than the queue.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * await queue.put(1);
   * assertEquals(queue.size, 1);
   * ```
   */
  async put(value: T, options?: AcquireOptions): Promise<void> {
    const limit = deadlineOf("put an item in the queue", options);
    const item = this.#write(value);
    const push = (): boolean => this.#push(item);
    const pushed = this.#putters.tryNow(push, limit, false) ||
      await this.#putters.until(push, limit);
    if (checkpointDue()) await checkpoint();
    if (!pushed) throw this.#fullError();
  }

  /**
   * Adds an item, blocking the thread while there is no room.
   *
   * @param value The item.
   * @param options Whether to wait, and for how long.
   * @throws {QueueFullError} If there was no room in time.
   * @throws {QueueClosedError} If the queue is or gets closed.
   * @throws {DOMException} "DataCloneError", if the item can't be cloned.
   * @throws {TypeError} If there is shared memory in the item, such as a lock.
   * @throws {RangeError} If the item is larger than the queue.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * queue.putSync(1);
   * assertEquals(queue.size, 1);
   * ```
   */
  putSync(value: T, options?: AcquireSyncOptions): void {
    const { deadline } = deadlineOf("put an item in the queue", options);
    const item = this.#write(value);
    if (this.#putters.untilSync(() => this.#push(item), deadline)) return;
    throw this.#fullError();
  }

  /**
   * Takes the oldest item, waiting for one if need be.
   *
   * @param options Whether to wait, and for how long.
   * @returns The item.
   * @throws {QueueEmptyError} If there was none in time.
   * @throws {QueueClosedError} If the queue is or gets closed, and is empty.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * const item = queue.get();
   * await queue.put(1);
   * assertEquals(await item, 1);
   * ```
   */
  async get(options?: AcquireOptions): Promise<T> {
    const limit = deadlineOf("get an item of the queue", options);
    let item: Uint8Array<ArrayBuffer> | null = null;
    const shift = (): boolean => (item = this.#shift()) !== null;
    this.#getters.tryNow(shift, limit) ||
      await this.#getters.until(shift, limit);
    return this.#read(item);
  }

  /**
   * Takes the oldest item, blocking the thread while there is none.
   *
   * @param options Whether to wait, and for how long.
   * @returns The item.
   * @throws {QueueEmptyError} If there was none in time.
   * @throws {QueueClosedError} If the queue is or gets closed, and is empty.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * queue.putSync(1);
   * assertEquals(queue.getSync(), 1);
   * ```
   */
  getSync(options?: AcquireSyncOptions): T {
    const { deadline } = deadlineOf("get an item of the queue", options);
    let item: Uint8Array<ArrayBuffer> | null = null;
    this.#getters.untilSync(() => (item = this.#shift()) !== null, deadline);
    return this.#read(item);
  }

  /**
   * Closes the queue: nothing more can be put, what is in it can be taken.
   * To do so again does nothing.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const queue = new SharedQueue();
   * queue.close();
   * assert(queue.closed);
   * ```
   */
  close(): void {
    this.#alone(() => Atomics.store(this.#mutex.list.words, CLOSED, 1));
    this.#getters.wake(Infinity);
    this.#putters.wake(Infinity);
  }

  /**
   * Takes items until the queue is closed and empty.
   *
   * @returns The items, oldest first.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * queue.putSync(1);
   * queue.close();
   * for await (const item of queue) assertEquals(item, 1);
   * ```
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      let item: T;
      try {
        item = await this.get();
      } catch (error) {
        if (error instanceof QueueClosedError) return;
        throw error;
      }
      yield item;
    }
  }

  #fill(
    bytes: SharedArrayBuffer,
    mutex: Permits,
    getters: WaitQueue,
    putters: WaitQueue,
  ): void {
    this.#bytes = bytes;
    this.#mutex = mutex;
    this.#getters = getters;
    this.#putters = putters;
    this.#ring = new RingBuffer(mutex.list.words.subarray(RING), bytes);
  }

  #fullError(): QueueFullError {
    return new QueueFullError("Cannot put an item in the queue: it is full");
  }

  #closedError(doing: string): QueueClosedError {
    return new QueueClosedError(`Cannot ${doing} the queue: it is closed`);
  }

  #write(value: T): Uint8Array {
    refuseShared(value, "put", "in a SharedQueue");
    const writer = new ByteWriter(64);
    writer.length = ITEM_OVERHEAD;
    encodeInto(writer, value);
    const { capacity } = this.#ring;
    if (writer.length > capacity) {
      throw new RangeError(
        `Cannot put an item of ${writer.length} bytes in a queue of ` +
          `${capacity}: give the queue a larger "capacity"`,
      );
    }
    writer.setInt32(0, writer.length - ITEM_OVERHEAD);
    return writer.bytes.subarray(0, writer.length);
  }

  #read(item: Uint8Array<ArrayBuffer> | null): T {
    if (item !== null) return decode(item) as T;
    throw new QueueEmptyError("Cannot get an item of the queue: it is empty");
  }

  /** Nobody waits inside, so this blocks for microseconds at most. */
  #alone<R>(act: () => R): R {
    this.#mutex.list.untilSync(this.#mutex.take);
    try {
      return act();
    } finally {
      this.#mutex.give(1);
    }
  }

  #push(item: Uint8Array): boolean {
    const max = Atomics.load(this.#mutex.list.words, MAX_SIZE);
    const pushed = this.#alone(() => {
      if (this.closed) throw this.#closedError("put an item in");
      return this.size < max && this.#ring.push(item);
    });
    if (!pushed) return false;
    if (this.#getters.size > 0) this.#getters.wake(1);
    // The getter that made room may have made it for several.
    const more = this.size < max && this.#ring.room >= item.length;
    if (more && this.#putters.size > 0) this.#putters.wake(1);
    return true;
  }

  #shift(): Uint8Array<ArrayBuffer> | null {
    if (this.size === 0 && !this.closed) return null;
    const item = this.#alone(() => {
      const oldest = this.#ring.shift();
      if (oldest !== null || !this.closed) return oldest;
      throw this.#closedError("get an item of");
    });
    if (item === null) return null;
    if (this.#putters.size > 0) this.#putters.wake(1);
    if (this.size > 0 && this.#getters.size > 0) this.#getters.wake(1);
    return item;
  }
}
