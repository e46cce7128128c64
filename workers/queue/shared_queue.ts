/**
 * The queues that threads share.
 *
 * @module
 */

import { decode } from "../codec/codec.ts";
import { register, registerSubclass } from "../codec/share.ts";
import {
  ACQUIRE_SYNC,
  deadlineOf,
  until,
  untilSync,
  WAIT,
  WAIT_SYNC,
} from "../locks/_until.ts";
import type { WaitRecord } from "../locks/_wait_queue.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import { HeapStore, RingBuffer, setStore, storeOf } from "./_item_stores.ts";
import {
  emptyError,
  QueueCore,
  type SharedQueueOptions,
} from "./_queue_core.ts";
import { QueueClosedError, QueueFullError } from "../base/errors.ts";

/**
 * Carries values between threads, first in, first out, within a bound.
 *
 * Values are cloned, as messages are. `put()` refuses a value that can't be
 * cloned. `get()` and `put()` keep the program alive while they wait, and serve
 * waiters fairly, as a {@linkcode Lock} does: a large item that waits for room
 * holds back later ones until it fits. You can read a closed queue to its end;
 * iterating does so.
 *
 * @typeParam T The type of the values.
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
 *
 * @example Workers that report each finished item
 * ```ts
 * import { SharedQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new SharedQueue<number>();
 * let sum = 0;
 * async function work() {
 *   for await (const item of queue) {
 *     sum += item;
 *     queue.taskDone();
 *   }
 * }
 * const workers = [work(), work()];
 * for (const item of [1, 2, 3]) queue.putNowait(item);
 * await queue.join();
 * assertEquals(sum, 6);
 * queue.close();
 * await Promise.all(workers);
 * ```
 */
export class SharedQueue<T = unknown> {
  #core: QueueCore;

  static {
    setStore(SharedQueue, RingBuffer);
    register<SharedQueue>(SharedQueue, {
      asks: ["put", "get", "join"],
      tells: ["taskDone", "close", "hold"],
      blank: () => new SharedQueue({ capacity: 1 }),
      inner: (queue) => queue.#core,
      record: (queue) => queue.#core.record,
      fill: (queue, record: WaitRecord) => {
        queue.#core = queue.#core.over(record);
      },
    });
  }

  /**
   * Makes a queue.
   *
   * @param options The bounds.
   * @throws {RangeError} If `maxSize` is neither `Infinity` nor a whole number
   * of 1 or more, or `capacity` is not a whole number from 1 to 1073741824.
   */
  constructor(options: SharedQueueOptions = {}) {
    this.#core = QueueCore.make(options, storeOf(new.target));
  }

  /**
   * The number of items in the queue.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * queue.putNowait("item");
   * assertEquals(queue.size, 1);
   * ```
   */
  get size(): number {
    return this.#core.size;
  }

  /**
   * Whether the queue is closed.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue();
   * queue.close();
   * assertEquals(queue.closed, true);
   * ```
   */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Returns whether there is no item. Another thread may change that at once.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new SharedQueue().empty(), true);
   * ```
   *
   * @returns `true` if the queue is empty.
   */
  empty(): boolean {
    return this.size === 0;
  }

  /**
   * Returns whether there is no room. Another thread may change that at once.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>({ maxSize: 1 });
   * queue.putNowait("item");
   * assertEquals(queue.full(), true);
   * ```
   *
   * @returns `true` if there are `maxSize` items or no bytes left.
   */
  full(): boolean {
    return this.#core.full;
  }

  /**
   * Adds an item. Waits until there is room.
   *
   * @example Usage
   * ```ts
   * import { QueueFullError, SharedQueue } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const queue = new SharedQueue<string>({ maxSize: 1 });
   * await queue.put("first");
   * await assertRejects(
   *   () => queue.put("second", { timeout: 10 }),
   *   QueueFullError,
   * );
   * ```
   *
   * @param value The item.
   * @param options Whether to wait, and how long.
   * @throws {QueueFullError} If there was no room in time.
   * @throws {QueueClosedError} If the queue is closed, also while waiting.
   * @throws {DOMException} A `DataCloneError` if the item can't be cloned.
   * @throws {TypeError} If the item contains shared memory, for example a lock.
   * @throws {RangeError} If the item is larger than the queue.
   */
  async put(value: T, options?: WaitOptions): Promise<void> {
    const deadline = deadlineOf("put()", options);
    const { putters } = this.#core;
    const push = this.#core.pushOf(value);
    // A terminated thread keeps nothing that it has put
    if (!await until(putters, push, deadline, false)) throw fullError();
  }

  /**
   * Adds an item. Blocks the thread until there is room.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * queue.putSync("item", { timeout: 1_000 });
   * assertEquals(queue.getSync(), "item");
   * ```
   *
   * @param value The item.
   * @param options Whether to wait, and how long.
   * @throws As {@linkcode put} does.
   */
  putSync(value: T, options?: WaitOptions): void {
    const deadline = deadlineOf("putSync()", options, ACQUIRE_SYNC);
    const push = this.#core.pushOf(value);
    if (!untilSync(this.#core.putters, push, deadline)) throw fullError();
  }

  /**
   * Adds an item without waiting.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * queue.putNowait("item");
   * assertEquals(queue.getNowait(), "item");
   * ```
   *
   * @param value The item.
   * @throws As {@linkcode put} does.
   */
  putNowait(value: T): void {
    this.putSync(value, { blocking: false });
  }

  /**
   * Takes the next item. Waits until there is one.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * const item = queue.get();
   * await queue.put("item");
   * assertEquals(await item, "item");
   * ```
   *
   * @param options Whether to wait, and how long.
   * @returns The item.
   * @throws {QueueEmptyError} If there was no item in time.
   * @throws {QueueClosedError} If the queue is empty and closed, also while
   * waiting.
   */
  async get(options?: WaitOptions): Promise<T> {
    const deadline = deadlineOf("get()", options);
    const core = this.#core;
    return read(await until(core.getters, () => core.shift(), deadline)) as T;
  }

  /**
   * Takes the next item. Blocks the thread until there is one.
   *
   * @example Usage
   * ```ts
   * import { QueueEmptyError, SharedQueue } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * assertThrows(() => queue.getSync({ timeout: 10 }), QueueEmptyError);
   * ```
   *
   * @param options Whether to wait, and how long.
   * @returns The item.
   * @throws As {@linkcode get} does.
   */
  getSync(options?: WaitOptions): T {
    const deadline = deadlineOf("getSync()", options, ACQUIRE_SYNC);
    const core = this.#core;
    return read(untilSync(core.getters, () => core.shift(), deadline)) as T;
  }

  /**
   * Takes the next item without waiting.
   *
   * @example Usage
   * ```ts
   * import { QueueEmptyError, SharedQueue } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * assertThrows(() => new SharedQueue().getNowait(), QueueEmptyError);
   * ```
   *
   * @returns The item.
   * @throws As {@linkcode get} does.
   */
  getNowait(): T {
    return this.getSync({ blocking: false });
  }

  /**
   * Reports that a taken item is done. `join()` waits for it.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * queue.putNowait("item");
   * queue.getNowait();
   * queue.taskDone();
   * assertThrows(() => queue.taskDone(), RangeError);
   * ```
   *
   * @throws {RangeError} If it is called more often than items were put.
   */
  taskDone(): void {
    this.#core.taskDone();
  }

  /**
   * Waits until every item that was put is done.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * queue.putNowait("item");
   * assertEquals(await queue.join({ timeout: 10 }), false);
   * queue.getNowait();
   * queue.taskDone();
   * assertEquals(await queue.join(), true);
   * ```
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time-out came first.
   * @throws {RangeError} If `timeout` is negative.
   */
  // deno-lint-ignore require-await -- errors must reject, and an await is slow
  async join(options?: WaitOptions): Promise<boolean> {
    const deadline = deadlineOf("join()", options, WAIT);
    const core = this.#core;
    return until(core.joiners, () => core.unfinished === 0, deadline);
  }

  /**
   * Blocks the thread until every item that was put is done.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new SharedQueue().joinSync(), true);
   * ```
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time-out came first.
   * @throws {RangeError} If `timeout` is negative.
   */
  joinSync(options?: WaitOptions): boolean {
    const deadline = deadlineOf("joinSync()", options, WAIT_SYNC);
    const core = this.#core;
    return untilSync(core.joiners, () => core.unfinished === 0, deadline);
  }

  /**
   * Closes the queue. Nothing more can be put; what is in it can still be
   * taken. Closing again does nothing.
   *
   * @example Usage
   * ```ts
   * import { QueueClosedError, SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const queue = new SharedQueue<string>();
   * await queue.put("last");
   * queue.close();
   * await assertRejects(() => queue.put("more"), QueueClosedError);
   * assertEquals(await queue.get(), "last");
   * ```
   */
  close(): void {
    this.#core.close();
  }

  /**
   * Takes items until the queue is closed and empty.
   *
   * @example Usage
   * ```ts
   * import { SharedQueue } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const queue = new SharedQueue<number>();
   * for (const n of [1, 2]) queue.putNowait(n);
   * queue.close();
   * let sum = 0;
   * for await (const n of queue) sum += n;
   * assertEquals(sum, 3);
   * ```
   *
   * @returns The items, in order.
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
}

function read(item: Uint8Array<ArrayBuffer> | false): unknown {
  if (item !== false) return decode(item);
  throw emptyError();
}

function fullError(): QueueFullError {
  return new QueueFullError("Cannot put an item in the queue: it is full");
}

/**
 * A {@linkcode SharedQueue} that returns the last item first.
 *
 * @typeParam T The type of the values.
 *
 * @example Usage
 * ```ts
 * import { LifoQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new LifoQueue<string>();
 * await queue.put("first");
 * await queue.put("second");
 *
 * assertEquals(await queue.get(), "second");
 * ```
 */
export class LifoQueue<T = unknown> extends SharedQueue<T> {
  static {
    setStore(LifoQueue, HeapStore.kind(true));
    registerSubclass(LifoQueue, () => new LifoQueue({ capacity: 1 }));
  }
}

/**
 * An item of a {@linkcode PriorityQueue}: a number, or an array that begins
 * with one.
 */
export type Prioritized = number | readonly [number, ...unknown[]];

function priorityOf(value: unknown): number {
  const priority = Array.isArray(value) ? value[0] : value;
  if (typeof priority === "number" && !Number.isNaN(priority)) return priority;
  throw new TypeError(
    "Cannot put an item in the queue: it must be a number, or an array that " +
      `begins with one, received ${priority}`,
  );
}

/**
 * A {@linkcode SharedQueue} that returns the item with the lowest number first.
 * Items with the same number keep their order.
 *
 * @typeParam T The type of the values: numbers, or arrays that begin with one.
 *
 * @example Usage
 * ```ts
 * import { PriorityQueue } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new PriorityQueue<[number, string]>();
 * await queue.put([2, "later"]);
 * await queue.put([1, "sooner"]);
 *
 * assertEquals(await queue.get(), [1, "sooner"]);
 * ```
 */
export class PriorityQueue<T extends Prioritized = Prioritized>
  extends SharedQueue<T> {
  static {
    setStore(PriorityQueue, HeapStore.kind(false, priorityOf));
    registerSubclass(PriorityQueue, () => new PriorityQueue({ capacity: 1 }));
  }
}

export type { SharedQueueOptions };
