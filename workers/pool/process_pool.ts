/**
 * The pool of processes.
 *
 * @module
 */

import { Pool } from "./_pool_base.ts";
import type { PoolOptions } from "./_options.ts";

/**
 * Options of a {@linkcode ProcessPool}.
 *
 * @typeParam A The parameters of `initializer`.
 */
export type ProcessPoolOptions<A extends unknown[] = unknown[]> = PoolOptions<
  A
>;

/**
 * Processes that run the functions of a module: Python's
 * `ProcessPoolExecutor`, which goes on when a process dies.
 *
 * Processes are started when there is work for them, and replaced when they
 * die; the task is then rejected, or run again if `retries` allows. A pool
 * keeps the program alive while it has tasks; one that has had nothing to do
 * for a tenth of a second does not. `await using` waits for what was
 * submitted; `terminate()` doesn't.
 *
 * Functions that so far took a quarter of a millisecond or less are given to a
 * process many at once. If the process dies, all of them are lost; if one takes
 * long, those behind it wait. A task that is run with a `signal` or a `timeout`
 * has its process to itself, which is killed if the task must be ended.
 *
 * Arguments and results are copied. Locks and queues may be passed: they stay
 * in this program, and the process calls them. A `SharedArrayBuffer` is
 * refused.
 *
 * @example A crash that costs one result
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
   * Constructs a pool, which starts no process yet.
   *
   * @param options What the processes run, and how.
   * @throws {TypeError} If an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {HandlerImportError} If no module was given.
   */
  constructor(options: ProcessPoolOptions<A>) {
    super("process", options as PoolOptions);
  }
}
