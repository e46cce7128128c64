/**
 * The pools of threads and of processes, and their base class.
 *
 * @module
 */

import { registerBound } from "../codec/share.ts";
import { targetName } from "../runner/targets.ts";
import { MapRun, PoolMap } from "./pool_map.ts";
import {
  checkItems,
  checkMapOptions,
  checkPoolOptions,
  checkRunOptions,
  type MapItems,
} from "./_options.ts";
import type {
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
  PoolShutdownOptions,
} from "./pool_options.ts";
import type { PoolStats } from "./pool_stats.ts";
import type { RunnerKind } from "../runner/runner.ts";
import { Scheduler } from "./_scheduler.ts";
import { assertOptions } from "../base/check.ts";

export type * from "./pool_options.ts";
export type * from "./pool_stats.ts";

/**
 * The base of {@linkcode ThreadPool} and {@linkcode ProcessPool}: workers that
 * run the functions of a module.
 *
 * @example Either kind of pool
 * ```ts
 * import { ProcessPool, ThreadPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const module = "data:text/javascript,export function half(x) { return x / 2; }";
 * for (const pool of [new ThreadPool({ module }), new ProcessPool({ module })]) {
 *   assertEquals(await pool.submit("half", 4), 2);
 *   await pool.shutdown();
 * }
 * ```
 */
export abstract class Pool implements AsyncDisposable {
  #core: Scheduler;

  /**
   * Constructs a pool. Workers start when there is work.
   *
   * @param kind The kind of workers.
   * @param options The module and the limits.
   */
  constructor(kind: RunnerKind, options: PoolOptions) {
    this.#core = new Scheduler(checkPoolOptions(kind, options));
  }

  /**
   * The name.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function noop() {}";
   * await using pool = new ThreadPool({ module, name: "images" });
   * assertEquals(pool.name, "images");
   * ```
   */
  get name(): string {
    return this.#core.settings.name;
  }

  /**
   * Whether too many tasks wait to submit more for now. It turns `true` at
   * `maxQueue` waiting tasks or at 32 per worker, whichever is less, and
   * `false` when half of them are left.
   *
   * @example Submitting no faster than the workers work
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function half(x) { return x / 2; }";
   * await using pool = new ThreadPool({ module, workers: 1 });
   * const results: Promise<number>[] = [];
   * for (let i = 0; i < 100; i++) {
   *   if (pool.needsDrain) await pool.drained();
   *   results.push(pool.submit<number>("half", i));
   * }
   * assertEquals((await Promise.all(results)).at(-1), 49.5);
   * ```
   */
  get needsDrain(): boolean {
    return this.#core.queue.needsDrain;
  }

  /**
   * Waits until you may submit more tasks.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function noop() {}";
   * await using pool = new ThreadPool({ module });
   * await pool.drained(); // nothing waits
   * assertEquals(pool.needsDrain, false);
   * ```
   *
   * @returns A promise that settles when `needsDrain` is `false`.
   */
  drained(): Promise<void> {
    return this.#core.queue.drained();
  }

  /**
   * Runs a function in a worker.
   *
   * A worker runs one function at a time, an asynchronous one to its end, unless
   * `concurrentTasksPerWorker` says otherwise. Arguments are copied when a worker
   * takes the task. Don't change them before that. An `AbortSignal` among them
   * becomes one that is aborted when the original is.
   *
   * @example Usage
   * ```ts ignore
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * export function add(a: number, b: number): number {
   *   return a + b;
   * }
   *
   * if (import.meta.main) {
   *   await using pool = new ThreadPool({ module: import.meta.url });
   *   assertEquals(await pool.submit(add, 1, 2), 3);
   * }
   * ```
   *
   * @param target The function. `module` must export it under its name.
   * @param args The arguments.
   * @returns The function's result. Rejects with a {@linkcode RemoteError} if
   * the function throws, a {@linkcode RunnerExitError} if the worker dies, a
   * {@linkcode ModuleImportError} if the import fails, a `TypeError` if an
   * argument can't be cloned, a {@linkcode PoolFullError} if `maxQueue` tasks
   * wait, and a {@linkcode PoolClosedError} after `shutdown()`.
   */
  submit<A extends unknown[], R>(
    target: (...args: A) => R,
    ...args: A
  ): Promise<Awaited<R>>;
  /**
   * Runs a function in a worker.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function add(a, b) { return a + b; }";
   * await using pool = new ThreadPool({ module });
   * assertEquals(await pool.submit<number>("add", 1, 2), 3);
   * ```
   *
   * @typeParam T The type of the result.
   * @param target The name of the export.
   * @param args The arguments.
   * @returns The function's result.
   */
  submit<T = unknown>(target: string, ...args: unknown[]): Promise<T>;
  submit(
    target: string | ((...args: never[]) => unknown),
    ...args: unknown[]
  ): Promise<unknown> {
    try {
      return this.#core.submit(targetName(target), args, {}).promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs a function in a worker, as `submit()` does, with options.
   *
   * @param target The function. `module` must export it under its name.
   * @param args The arguments.
   * @param options A signal, a time-out, and the parts of the arguments to
   * move. A task with a `signal` or a `timeout` has its worker to itself, unless
   * its function gets a signal.
   * @returns The function's result. Rejects as `submit()` does, and with the
   * signal's reason or a `TimeoutError`.
   *
   * @example Bytes that move there and back
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using pool = new ThreadPool({
   *   module: "data:text/javascript,export function fill(b) { return b.fill(1); }",
   * });
   * const bytes = new Uint8Array(65_536);
   * const filled = await pool.run<Uint8Array>("fill", [bytes], {
   *   transfer: [bytes.buffer],
   *   timeout: 10_000,
   * });
   * assertEquals([filled[0], bytes.length], [1, 0]);
   * ```
   */
  run<A extends unknown[], R>(
    target: (...args: A) => R,
    args: readonly [...A],
    options?: PoolRunOptions,
  ): Promise<Awaited<R>>;
  /**
   * Runs a function in a worker, as `submit()` does, with options.
   *
   * @example A task that takes too long
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const module =
   *   "data:text/javascript,export function never() { return new Promise(() => {}); }";
   * await using pool = new ThreadPool({ module });
   * await assertRejects(
   *   () => pool.run("never", [], { timeout: 100 }),
   *   DOMException,
   * );
   * ```
   *
   * @example A task that obeys a signal, and so keeps its worker
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const module = `data:text/javascript,
   *   export const rest = (signal) => new Promise((resolve) => {
   *     signal.onabort = resolve;
   *   });`;
   * await using pool = new ThreadPool({ module });
   * const signal = AbortSignal.timeout(100);
   * await assertRejects(() => pool.run("rest", [signal], { signal }));
   * ```
   *
   * @typeParam T The type of the result.
   * @param target The name of the export.
   * @param args The arguments.
   * @param options A signal, a time-out, and the parts of the arguments to
   * move.
   * @returns The function's result.
   */
  run<T = unknown>(
    target: string,
    args: readonly unknown[],
    options?: PoolRunOptions,
  ): Promise<T>;
  run(
    target: string | ((...args: never[]) => unknown),
    args: readonly unknown[],
    options: PoolRunOptions = {},
  ): Promise<unknown> {
    try {
      checkRunOptions(args, options);
      return this.#core.run(targetName(target), [...args], options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs a function once for each item.
   *
   * @example Usage
   * ```ts ignore
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * export function double(x: number): number {
   *   return x * 2;
   * }
   *
   * if (import.meta.main) {
   *   await using pool = new ThreadPool({ module: import.meta.url });
   *   assertEquals(await pool.map(double, [1, 2, 3]), [2, 4, 6]);
   * }
   * ```
   *
   * @param target The function. `module` must export it under its name.
   * @param items The items. They are read as results are taken.
   * @param options The number of tasks at once, their size, and a signal.
   * @returns The results, as an array to `await` or one by one. They come in
   * the order of the items unless `ordered` is `false`.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is not positive.
   */
  map<I, R>(
    target: (item: I) => R,
    items: Iterable<I> | AsyncIterable<I>,
    options?: PoolMapOptions,
  ): PoolMap<Awaited<R>>;
  /**
   * Runs a function once for each item.
   *
   * @example Results as they are finished
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function half(x) { return x / 2; }";
   * await using pool = new ThreadPool({ module });
   * let sum = 0;
   * for await (const half of pool.map<number>("half", [2, 4], { ordered: false })) {
   *   sum += half;
   * }
   * assertEquals(sum, 3);
   * ```
   *
   * @typeParam T The type of a result.
   * @param target The name of the export.
   * @param items The items. They are read as results are taken.
   * @param options The number of tasks at once, their size, and a signal.
   * @returns The results.
   */
  map<T = unknown>(
    target: string,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options?: PoolMapOptions,
  ): PoolMap<T>;
  map(
    target: string | ((item: never) => unknown),
    items: MapItems,
    options: PoolMapOptions = {},
  ): PoolMap<unknown> {
    return this.#map(target, items, options, false);
  }

  /**
   * Runs a function once for each list of arguments.
   *
   * @example Usage
   * ```ts ignore
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * export function power(base: number, exponent: number): number {
   *   return base ** exponent;
   * }
   *
   * if (import.meta.main) {
   *   await using pool = new ThreadPool({ module: import.meta.url });
   *   assertEquals(await pool.starmap(power, [[2, 3], [3, 2]]), [8, 9]);
   * }
   * ```
   *
   * @param target The function. `module` must export it under its name.
   * @param items The lists of arguments. They are read as results are taken.
   * @param options The number of tasks at once, their size, and a signal.
   * @returns The results, as with `map()`.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is not positive.
   */
  starmap<A extends unknown[], R>(
    target: (...args: A) => R,
    items: Iterable<readonly [...A]> | AsyncIterable<readonly [...A]>,
    options?: PoolMapOptions,
  ): PoolMap<Awaited<R>>;
  /**
   * Runs a function once for each list of arguments.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function add(a, b) { return a + b; }";
   * await using pool = new ThreadPool({ module });
   * assertEquals(await pool.starmap<number>("add", [[1, 2], [3, 4]]), [3, 7]);
   * ```
   *
   * @typeParam T The type of a result.
   * @param target The name of the export.
   * @param items The lists of arguments. They are read as results are taken.
   * @param options The number of tasks at once, their size, and a signal.
   * @returns The results.
   */
  starmap<T = unknown>(
    target: string,
    items: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>,
    options?: PoolMapOptions,
  ): PoolMap<T>;
  starmap(
    target: string | ((...args: never[]) => unknown),
    items: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>,
    options: PoolMapOptions = {},
  ): PoolMap<unknown> {
    return this.#map(target, items, options, true);
  }

  #map(
    target: unknown,
    items: MapItems,
    options: PoolMapOptions,
    spread: boolean,
  ): PoolMap<unknown> {
    const name = targetName(target);
    checkItems(items);
    const settings = checkMapOptions(this.#core.settings, options, spread);
    return new PoolMap((settled) =>
      new MapRun(this.#core, name, items, { ...settings, settled }).results()
    );
  }

  /**
   * Stops accepting tasks, finishes queued ones, then ends the workers.
   *
   * @example Usage
   * ```ts
   * import { PoolClosedError, ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const module = "data:text/javascript,export function half(x) { return x / 2; }";
   * const pool = new ThreadPool({ module });
   * const result = pool.submit<number>("half", 8);
   * await pool.shutdown();
   * assertEquals(await result, 4);
   * await assertRejects(() => pool.submit("half", 8), PoolClosedError);
   * ```
   *
   * @param options Whether to wait, and whether to cancel queued tasks.
   * @returns A promise that settles when all workers have ended.
   */
  shutdown(options: PoolShutdownOptions = {}): Promise<void> {
    assertOptions(options, "shutdown()", ["wait", "cancel"]);
    const { wait = true, cancel = false } = options;
    const ended = this.#core.close(cancel);
    return wait ? ended : Promise.resolve();
  }

  /**
   * Ends the workers at once. Unfinished tasks reject with a {@linkcode
   * PoolClosedError}. A thread that does not stop within half a second, for
   * example in an endless loop, is set aside.
   *
   * @example Usage
   * ```ts
   * import { PoolClosedError, ThreadPool } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const module =
   *   "data:text/javascript,export function never() { return new Promise(() => {}); }";
   * const pool = new ThreadPool({ module });
   * const lost = assertRejects(() => pool.submit("never"), PoolClosedError);
   * await pool.terminate();
   * await lost;
   * ```
   *
   * @returns A promise that settles when all workers have ended.
   */
  terminate(): Promise<void> {
    return this.#core.terminate();
  }

  /**
   * Returns the pool's counts and times.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function half(x) { return x / 2; }";
   * await using pool = new ThreadPool({ module });
   * await pool.map("half", [1, 2, 3]);
   * assertEquals(pool.stats().completed, 3);
   * ```
   *
   * @returns The counts and times since the pool was constructed.
   */
  stats(): PoolStats {
    return this.#core.stats();
  }

  /**
   * Finishes submitted tasks and ends the workers, as `shutdown()` does.
   *
   * @example Usage
   * ```ts
   * import { ThreadPool } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function half(x) { return x / 2; }";
   * const pool = new ThreadPool({ module });
   * {
   *   await using _ending = pool;
   *   await pool.submit("half", 2);
   * }
   * assertEquals(pool.stats().workers, 0);
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#core.close(false);
  }
}

registerBound(Pool);

/**
 * Threads that run the functions of a module: Python's `ThreadPoolExecutor`.
 *
 * Threads start when there is work for them, and are replaced when they die. A
 * pool keeps the program alive while it has tasks. A pool that was idle for a
 * tenth of a second does not, except where a version of Deno can't unref a
 * `Worker`. If the module can't be imported or the initializer throws, the pool
 * rejects all tasks. `await using` waits for submitted tasks, as Python's
 * `with` does; `terminate()` does not.
 *
 * A thread gets several tasks at once if their function has so far taken a
 * quarter of a millisecond or less. They are taken back if one of them takes
 * long. If a thread dies, only the task that it ran is lost: it is rejected, or
 * run again if `retries` allows. After a short task, a thread polls for the
 * next one for up to 0.05 ms before it sleeps.
 *
 * Locks, queues and `SharedArrayBuffer`s in arguments and results are shared.
 * A function that computes can't be stopped from outside: `run()` with a
 * `signal` or a `timeout` sets its thread aside, and another takes its place,
 * unless the function got the signal and obeys it.
 *
 * @example A function on all cores
 * ```ts ignore
 * import { ThreadPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * export function square(x: number): number {
 *   return x * x;
 * }
 *
 * if (import.meta.main) {
 *   await using pool = new ThreadPool({ module: import.meta.url });
 *   assertEquals(await pool.submit(square, 3), 9);
 *   assertEquals(await pool.map(square, [1, 2, 3]), [1, 4, 9]);
 * }
 * ```
 *
 * @example By name
 * ```ts
 * import { ThreadPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using pool = new ThreadPool({
 *   module: "data:text/javascript,export function add(a, b) { return a + b; }",
 *   workers: 2,
 * });
 * assertEquals(await pool.submit<number>("add", 1, 2), 3);
 * assertEquals(await pool.starmap<number>("add", [[1, 2], [3, 4]]), [3, 7]);
 * ```
 *
 * @example Many downloads at once, which a signal ends
 * ```ts ignore
 * import { ThreadPool } from "@socketserver/socketserver";
 *
 * export async function size(url: string, signal: AbortSignal): Promise<number> {
 *   const response = await fetch(url, { signal });
 *   return (await response.arrayBuffer()).byteLength;
 * }
 *
 * if (import.meta.main) {
 *   const pool = new ThreadPool({
 *     module: import.meta.url,
 *     minWorkers: 1,
 *     idleTimeout: 10_000,
 *     concurrentTasksPerWorker: 50,
 *   });
 *   const signal = AbortSignal.timeout(5_000);
 *   for (const url of Deno.args) {
 *     pool.run(size, [url, signal], { signal }).then(
 *       (bytes) => console.log(url, bytes),
 *       (error) => console.log(url, error.name),
 *     );
 *   }
 *   await pool.shutdown();
 * }
 * ```
 *
 * @example Threads with an initializer
 * ```ts
 * import { ThreadPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const module = `data:text/javascript,
 *   let factor;
 *   export function prepare(value) { factor = value; }
 *   export function scale(x) { return factor * x; }`;
 * await using pool = new ThreadPool({
 *   module,
 *   initializer: "prepare",
 *   initializerArgs: [10],
 *   maxTasksPerWorker: 1_000,
 * });
 * assertEquals(await pool.map<number>("scale", [1, 2]), [10, 20]);
 * ```
 */
export class ThreadPool<A extends unknown[] = unknown[]> extends Pool {
  /**
   * Constructs a pool. Threads start when there is work.
   *
   * @param options The module and the limits.
   * @throws {TypeError} If an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If no module was given.
   */
  constructor(options: PoolOptions<A>) {
    super("thread", options as PoolOptions);
  }
}

/**
 * Processes that run the functions of a module: Python's
 * `ProcessPoolExecutor`, which goes on when a process dies.
 *
 * Processes start when there is work for them, and are replaced when they die.
 * The task is then rejected, or run again if `retries` allows. A pool keeps the
 * program alive while it has tasks. A pool that was idle for a tenth of a
 * second does not. `await using` waits for submitted tasks; `terminate()` does
 * not.
 *
 * A process gets the next task when it has done the last, so that none waits
 * behind a long one, and a death loses no other. Give many short calls at once
 * by the `chunkSize` of `map()`. Ending a task by its `signal` or `timeout`
 * kills its process, unless the function got the signal and obeys it.
 *
 * Arguments and results are copied. You may pass locks and queues: they stay in
 * this program, and the process calls them. A `SharedArrayBuffer` is refused.
 *
 * @example A crash that loses one result
 * ```ts ignore
 * import { ProcessPool, RunnerExitError } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * export function crash(): void {
 *   Deno.exit(1);
 * }
 *
 * if (import.meta.main) {
 *   await using pool = new ProcessPool({ module: import.meta.url });
 *   await assertRejects(() => pool.submit(crash), RunnerExitError);
 * }
 * ```
 *
 * @example By name
 * ```ts
 * import { ProcessPool } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using pool = new ProcessPool({
 *   module: "data:text/javascript,export function add(a, b) { return a + b; }",
 *   workers: 1,
 * });
 * assertEquals(await pool.submit<number>("add", 1, 2), 3);
 * ```
 *
 * @example A time limit
 * ```ts
 * import { ProcessPool } from "@socketserver/socketserver";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using pool = new ProcessPool({
 *   module: "data:text/javascript,export function endless() { while (true); }",
 *   workers: 1,
 * });
 * const error = await assertRejects(
 *   () => pool.run("endless", [], { timeout: 100 }),
 *   DOMException,
 * );
 * assertEquals(error.name, "TimeoutError");
 * ```
 */
export class ProcessPool<A extends unknown[] = unknown[]> extends Pool {
  /**
   * Constructs a pool. Processes start when there is work.
   *
   * @param options The module and the limits.
   * @throws {TypeError} If an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If no module was given.
   */
  constructor(options: PoolOptions<A>) {
    super("process", options as PoolOptions);
  }
}
