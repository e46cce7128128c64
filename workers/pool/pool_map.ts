/**
 * `map()` and `starmap()`: their results, and one run.
 *
 * @module
 */

import type { MapItems, MapSettings } from "./_options.ts";
import { quote } from "../base/check.ts";
import { ChunkResults, FLAGS } from "./_protocol.ts";
import type { Scheduler } from "./_scheduler.ts";
import type { PoolTask } from "./_task.ts";

/**
 * The results of a pool's `map()` or `starmap()`. `await` it for an array, or
 * loop over it with `for await`, which reads only as many items as keep the
 * workers busy.
 *
 * Work begins when you do either. Each loop begins anew.
 *
 * An error ends it: no more items are read. The results of the items before the
 * failing one come first; with `ordered: false`, those of all tasks that have
 * begun. Then the error is thrown. {@linkcode PoolMap.prototype.settled} gives
 * errors as results instead. Leaving a loop early waits for running tasks.
 *
 * @typeParam T The type of a result.
 *
 * @example An array, or one by one
 * ```ts
 * import { ThreadPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using pool = new ThreadPool({
 *   module: "data:text/javascript,export function half(x) { return x / 2; }",
 * });
 * assertEquals(await pool.map<number>("half", [2, 4]), [1, 2]);
 * const results: number[] = [];
 * for await (const result of pool.map<number>("half", new Set([6, 8]))) {
 *   results.push(result);
 * }
 * assertEquals(results, [3, 4]);
 * ```
 */
export class PoolMap<T> implements AsyncIterable<T>, PromiseLike<T[]> {
  #run: (settled: boolean) => AsyncGenerator<unknown, void>;
  #settled: boolean;
  #all: Promise<T[]> | null = null;

  /**
   * Constructs the results; `map()` and `starmap()` do it.
   *
   * @param run A function that begins the work and yields the results.
   * @param settled Whether errors are results.
   */
  constructor(
    run: (settled: boolean) => AsyncGenerator<unknown, void>,
    settled = false,
  ) {
    this.#run = run;
    this.#settled = settled;
  }

  /**
   * Gives the errors of items as results, as `Promise.allSettled()` does: none
   * of them ends the work. If the items can't be read, or the pool was shut
   * down, it ends all the same.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using pool = new ThreadPool({
   *   module: "data:text/javascript,export const parse = (text) => JSON.parse(text)",
   * });
   * const results = await pool.map<number>("parse", ["1", "?"]).settled();
   * assertEquals(results[0], { status: "fulfilled", value: 1 });
   * assertEquals(results[1]?.status, "rejected");
   * ```
   *
   * @returns The results, each with its `status`.
   */
  settled(): PoolMap<PromiseSettledResult<T>> {
    return new PoolMap(this.#run, true);
  }

  /**
   * Begins the work and yields each result.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using pool = new ThreadPool({
   *   module: "data:text/javascript,export function half(x) { return x / 2; }",
   * });
   * for await (const result of pool.map<number>("half", [2])) {
   *   assertEquals(result, 1);
   * }
   * ```
   *
   * @returns The results, in order.
   */
  [Symbol.asyncIterator](): AsyncGenerator<T, void> {
    return this.#run(this.#settled) as AsyncGenerator<T, void>;
  }

  /**
   * Collects all results in an array. The first call begins the work.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using pool = new ThreadPool({
   *   module: "data:text/javascript,export function half(x) { return x / 2; }",
   * });
   * const halves = pool.map<number>("half", [2, 4]);
   * const sum = await halves.then(([a = 0, b = 0]) => a + b);
   * assertEquals(sum, 3);
   * ```
   *
   * @param onfulfilled Called with all results.
   * @param onrejected Called with the first error.
   * @returns A promise for the callback's result.
   */
  then<R = T[], E = never>(
    onfulfilled?: ((results: T[]) => R | PromiseLike<R>) | null,
    onrejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    this.#all ??= Array.fromAsync(this);
    return this.#all.then(onfulfilled, onrejected);
  }
}

/**
 * A running `map()`. It reads ahead, and keeps the order unless `ordered` is
 * `false`.
 *
 * After an error it reads no more. In order, the items before the failing one
 * still run, and their results come before the error; otherwise those of all
 * tasks that have begun do. If the source fails, that is after all its items.
 */
export class MapRun {
  #core: Scheduler;
  #name: string;
  #items: Iterator<unknown> | AsyncIterator<unknown>;
  #settings: MapSettings;
  /** The tasks that have not ended, by their places. */
  #tasks = new Map<number, PoolTask>();
  /** The number of submitted tasks. */
  #submitted = 0;
  /** The results that were not taken, by the places of their tasks. */
  #results = new Map<number, unknown[]>();
  /** Without order, the place of the next results. */
  #came = 0;
  /** The number of tasks whose results were taken. */
  #taken = 0;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  #readAll = false;
  /** The place before which it ends; -1 if nobody takes any more results. */
  #end = Infinity;
  #failure: { error: unknown } | null = null;

  /**
   * Constructs a run. It reads nothing yet.
   *
   * @param core The pool's core.
   * @param name The export to call.
   * @param items The items.
   * @param settings The options.
   */
  constructor(
    core: Scheduler,
    name: string,
    items: MapItems,
    settings: MapSettings,
  ) {
    this.#core = core;
    this.#name = name;
    this.#settings = settings;
    // Not `in`, which refuses a string
    const { [Symbol.asyncIterator]: async } = items as AsyncIterable<unknown>;
    this.#items = async == null
      ? (items as Iterable<unknown>)[Symbol.iterator]()
      : async.call(items);
  }

  /** Runs and yields the results. */
  async *results(): AsyncGenerator<unknown, void> {
    const { signal } = this.#settings;
    const abort = () => this.#leave({ error: signal!.reason });
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    this.#read();
    try {
      while (this.#taken < this.#end) {
        const results = this.#results.get(this.#taken);
        if (results !== undefined) {
          this.#results.delete(this.#taken++);
          this.#change();
          yield* results;
        } else if (this.#isOver) {
          break;
        } else {
          await this.#changed.promise;
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      if (!this.#isOver) this.#leave(null);
      while (this.#tasks.size > 0) await this.#changed.promise;
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Whether no task runs and none will. */
  get #isOver(): boolean {
    return this.#tasks.size === 0 &&
      (this.#readAll || this.#failure !== null);
  }

  /** Whether it reads no more. */
  get #isEnding(): boolean {
    return this.#failure !== null || this.#end < 0;
  }

  /** Reads and submits items while there is room. */
  async #read(): Promise<void> {
    const { chunkSize, concurrency } = this.#settings;
    const { queue } = this.#core;
    const chunk: unknown[] = [];
    let reading = true;
    let open = true;
    let failure: { error: unknown } | null = null;
    while (!this.#isEnding && (reading || chunk.length > 0)) {
      try {
        if (this.#submitted - this.#taken >= concurrency) {
          await this.#waitForRoom();
        } else if (queue.needsDrain) {
          // Looked at before each submit: others submit while an item comes.
          await queue.drained();
        } else if (!reading || chunk.length === chunkSize) {
          this.#submit(chunk.splice(0));
        } else {
          open = false;
          const step = this.#items.next();
          // Awaits only if necessary: otherwise tasks are sent together.
          const { done, value } = "then" in step ? await step : step;
          reading = open = !done;
          if (open) chunk.push(this.#check(value));
        }
      } catch (error) {
        failure ??= { error };
        reading = false;
      }
    }
    try {
      if (open) await this.#items.return?.();
    } catch (error) {
      failure ??= { error };
    }
    if (failure !== null) this.#fail(this.#submitted, failure);
    this.#readAll = true;
    this.#change();
  }

  /** Waits until several tasks can be sent together, or a worker may idle. */
  async #waitForRoom(): Promise<void> {
    const { concurrency } = this.#settings;
    const { workers, concurrentTasksPerWorker } = this.#core.settings;
    do {
      await this.#changed.promise;
    } while (
      !this.#isEnding && this.#submitted - this.#taken > concurrency / 2 &&
      this.#tasks.size >= workers * concurrentTasksPerWorker
    );
  }

  #check(item: unknown): unknown {
    if (!this.#settings.spread || Array.isArray(item)) return item;
    throw new TypeError(
      `Cannot call "${this.#name}" with ${quote(item)}: starmap() expects ` +
        "arrays of arguments",
    );
  }

  #submit(chunk: unknown[]): void {
    const { settled } = this.#settings;
    const { length } = chunk;
    const task = this.#taskOf(chunk);
    const place = this.#submitted++;
    this.#tasks.set(place, task);
    task.promise.then(
      (value) => value instanceof ChunkResults ? value : ofOne(value),
      (error) => settled ? allFailed(length, error) : failed(error),
    ).then((part) => this.#take(place, part));
  }

  #taskOf(chunk: unknown[]): PoolTask {
    const { chunkSize, kill, spread, settled } = this.#settings;
    if (chunkSize === 1) {
      const args = spread ? [...chunk[0] as unknown[]] : chunk;
      try {
        return this.#core.submit(this.#name, args, { fatal: kill });
      } catch (error) {
        // The items of a chunk that can't cross are errors of their own
        if (!settled) throw error;
      }
    }
    const flags = FLAGS.chunk | (spread ? FLAGS.spread : 0) |
      (settled ? FLAGS.settled : 0);
    return this.#core.submit(this.#name, chunk, { flags, fatal: kill });
  }

  /** Takes the outcome of a task. */
  #take(place: number, { results, errors }: ChunkResults): void {
    const { ordered, settled } = this.#settings;
    this.#tasks.delete(place);
    const [first] = errors.values();
    if (this.#end >= 0) {
      if (ordered || results.length > 0) {
        const values = settled ? settle(results, errors) : results;
        this.#results.set(ordered ? place : this.#came++, values);
      }
      if (!settled && errors.size > 0) {
        this.#fail(ordered ? place + 1 : 0, { error: first });
      }
    }
    this.#change();
  }

  /** Ends it for an error; in order, at a place unless it ends before. */
  #fail(end: number, failure: { error: unknown }): void {
    if (this.#settings.ordered) {
      if (end >= this.#end) return;
      this.#end = end;
      this.#failure = failure;
    } else {
      if (this.#failure !== null) return;
      this.#failure = failure;
    }
    this.#cancel(end);
  }

  /** Ends it at once. */
  #leave(failure: { error: unknown } | null): void {
    this.#failure ??= failure;
    this.#end = -1;
    this.#cancel(0);
    this.#change();
  }

  /** Cancels the tasks from a place on. Those that run go on, or are killed. */
  #cancel(from: number): void {
    const { kill } = this.#settings;
    for (const [place, task] of this.#tasks) {
      if (place >= from) this.#core.cancel(task, this.#failure?.error, kill);
    }
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }
}

function ofOne(result: unknown): ChunkResults {
  return new ChunkResults([result], new Map());
}

function failed(error: unknown): ChunkResults {
  return new ChunkResults([], new Map([[0, error]]));
}

function allFailed(count: number, error: unknown): ChunkResults {
  const results = new Array(count).fill(undefined);
  return new ChunkResults(
    results,
    new Map(results.map((_, index) => [index, error])),
  );
}

function settle(
  results: unknown[],
  errors: ReadonlyMap<number, unknown>,
): PromiseSettledResult<unknown>[] {
  return results.map((value, index) =>
    errors.has(index)
      ? { status: "rejected", reason: errors.get(index) }
      : { status: "fulfilled", value }
  );
}
