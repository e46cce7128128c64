import { Pool } from "./_pool_base.ts";
import type { PoolOptions } from "./_options.ts";

/**
 * Options of a {@linkcode ThreadPool}.
 *
 * @typeParam A The parameters of `initializer`.
 */
export type ThreadPoolOptions<A extends unknown[] = unknown[]> = PoolOptions<A>;

/**
 * Threads that run the functions of a module: Python's `ThreadPoolExecutor`.
 *
 * Threads are started when there is work for them, and replaced when they
 * die. A pool keeps the program alive while it has tasks; one that has had
 * nothing to do for a tenth of a second does not, but where a version of Deno
 * has no way to let go of a `Worker`. A pool whose module can't be imported
 * rejects all tasks.
 *
 * After a task a thread waits for the next one for up to 5 ms before timers
 * and the like that tasks left behind get their turn. Of a thread that dies,
 * only the task that it ran is lost: it is rejected, or run again if `retries`
 * allows.
 *
 * Locks, queues and `SharedArrayBuffer`s in arguments and results are shared.
 * A task that has begun can't be stopped.
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
 * ```
 */
export class ThreadPool<A extends unknown[] = unknown[]> extends Pool {
  /**
   * Constructs a pool, which starts no thread yet.
   *
   * @param options What the threads run, and how.
   * @throws {TypeError} If an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {HandlerImportError} If no module was given.
   */
  constructor(options: ThreadPoolOptions<A>) {
    super("thread", options as PoolOptions);
  }
}
