/**
 * The pool of threads.
 *
 * @module
 */

import { Pool } from "./pool.ts";
import type { PoolOptions } from "./_options.ts";

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
