/**
 * The pool of processes.
 *
 * @module
 */

import { Pool } from "./pool.ts";
import type { PoolOptions } from "./_options.ts";

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
