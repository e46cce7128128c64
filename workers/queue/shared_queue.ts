import { register } from "../codec/share.ts";
import { checkpoint, checkpointDue } from "../locks/_checkpoint.ts";
import { deadlineOf } from "../locks/_deadline.ts";
import { mayTry, mayTrySync, until, untilSync } from "../locks/_until.ts";
import type { WaitRecord } from "../locks/_wait_queue.ts";
import type {
  AcquireOptions,
  AcquireSyncOptions,
  WaitOptions,
  WaitSyncOptions,
} from "../locks/wait_options.ts";
import { RingBuffer } from "./_ring_buffer.ts";
import { QueueCore, Taken } from "./_queue_core.ts";
import { kindOf, type QueueKind, setKind } from "./_queue_kind.ts";
import { QueueClosedError, QueueFullError } from "./queue_errors.ts";
import type { SharedQueueOptions } from "./queue_options.ts";

const PUT = "put an item in the queue";
const GET = "get an item of the queue";

/**
 * Carries values between threads, first in, first out, within a bound.
 *
 * Values are cloned, as messages are. What can't be cloned is refused by
 * `put()`. Waiting with `get()` and `put()` keeps the program alive, and is
 * fair as with a {@linkcode Lock}: a large item that has to wait for room holds
 * later ones back until it fits. A queue that was closed can be read to its
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
 *
 * @example Workers that tell when they are done
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
  readonly #kind: QueueKind;
  #core: QueueCore;

  static {
    setKind(SharedQueue, {
      makeStore: (words, bytes) => new RingBuffer(words, bytes),
      priorityOf: () => 0,
    });
    register<SharedQueue>({
      tag: "SharedQueue",
      type: SharedQueue,
      calls: ["put", "get", "close", "taskDone", "join"],
      blank: () => new SharedQueue({ capacity: 1 }),
      record: (queue) => queue.#core.record,
      fill: (queue, record: WaitRecord) => {
        queue.#core = new QueueCore(record, queue.#kind.makeStore);
      },
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
    this.#kind = kindOf(new.target);
    this.#core = QueueCore.make(options, this.#kind.makeStore);
  }

  /** How many items are in the queue. */
  get size(): number {
    return this.#core.size;
  }

  /** Whether the queue was closed. */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Tells whether there is no item. Another thread may change that at once.
   *
   * @returns `true` if so.
   */
  empty(): boolean {
    return this.size === 0;
  }

  /**
   * Tells whether there is no room. Another thread may change that at once.
   *
   * @returns `true` if there are `maxSize` items or no bytes are left.
   */
  full(): boolean {
    return this.#core.full;
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
   */
  async put(value: T, options?: AcquireOptions): Promise<void> {
    const deadline = deadlineOf(PUT, options);
    const push = this.#pushOf(value);
    const { putters } = this.#core;
    const pushed = mayTry(putters, deadline, false) && push() ||
      await until(putters, push, deadline);
    if (checkpointDue()) await checkpoint();
    if (!pushed) throw fullError();
  }

  /**
   * Adds an item, blocking the thread while there is no room.
   *
   * @param value The item.
   * @param options Whether to wait, and for how long.
   * @throws As {@linkcode put} does.
   */
  putSync(value: T, options?: AcquireSyncOptions): void {
    const deadline = deadlineOf(PUT, options);
    const push = this.#pushOf(value);
    const { putters } = this.#core;
    if (mayTrySync(putters, deadline) && push()) return;
    if (!untilSync(putters, push, deadline)) throw fullError();
  }

  /**
   * Adds an item without waiting.
   *
   * @param value The item.
   * @throws As {@linkcode put} does.
   */
  putNowait(value: T): void {
    this.putSync(value, { blocking: false });
  }

  /**
   * Takes the item that comes next, waiting for one if need be.
   *
   * @param options Whether to wait, and for how long.
   * @returns The item.
   * @throws {QueueEmptyError} If there was none in time.
   * @throws {QueueClosedError} If the queue is or gets closed, and is empty.
   */
  async get(options?: AcquireOptions): Promise<T> {
    const deadline = deadlineOf(GET, options);
    const { getters } = this.#core;
    const taken = new Taken(this.#core);
    mayTry(getters, deadline) && taken.attempt() ||
      await until(getters, () => taken.attempt(), deadline);
    return taken.value as T;
  }

  /**
   * Takes the item that comes next, blocking the thread while there is none.
   *
   * @param options Whether to wait, and for how long.
   * @returns The item.
   * @throws As {@linkcode get} does.
   */
  getSync(options?: AcquireSyncOptions): T {
    const deadline = deadlineOf(GET, options);
    const { getters } = this.#core;
    const taken = new Taken(this.#core);
    mayTrySync(getters, deadline) && taken.attempt() ||
      untilSync(getters, () => taken.attempt(), deadline);
    return taken.value as T;
  }

  /**
   * Takes the item that comes next without waiting.
   *
   * @returns The item.
   * @throws As {@linkcode get} does.
   */
  getNowait(): T {
    return this.getSync({ blocking: false });
  }

  /**
   * Tells that an item that was taken is done, for those who `join()`.
   *
   * @throws {RangeError} If as many are done as were put.
   */
  taskDone(): void {
    this.#core.taskDone();
  }

  /**
   * Waits until each item that was put is done.
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time was over first.
   * @throws {RangeError} If `timeout` is negative.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    const deadline = deadlineOf("join the queue", options);
    const done = (): boolean => this.#core.unfinished === 0;
    const { joiners } = this.#core;
    const joined = mayTry(joiners, deadline) && done() ||
      await until(joiners, done, deadline);
    if (checkpointDue()) await checkpoint();
    return joined;
  }

  /**
   * As {@linkcode join}, blocking the thread.
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time was over first.
   * @throws {RangeError} If `timeout` is negative.
   */
  joinSync(options?: WaitSyncOptions): boolean {
    const deadline = deadlineOf("join the queue", options);
    const { joiners, unfinished } = this.#core;
    return unfinished === 0 ||
      untilSync(joiners, () => this.#core.unfinished === 0, deadline);
  }

  /**
   * Closes the queue: nothing more can be put, what is in it can be taken.
   * To do so again does nothing.
   */
  close(): void {
    this.#core.close();
  }

  /**
   * Takes items until the queue is closed and empty.
   *
   * @returns The items, in their order.
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

  #pushOf(value: T): () => boolean {
    const priority = this.#kind.priorityOf(value);
    const item = this.#core.write(value);
    return () => this.#core.push(item, priority);
  }
}

function fullError(): QueueFullError {
  return new QueueFullError("Cannot put an item in the queue: it is full");
}
