import { Pool } from "./_pool.ts";
import type { PoolOptions } from "./_pool_options.ts";

/** Options of a {@linkcode ProcessPool}. */
export type ProcessPoolOptions = PoolOptions;

/**
 * Processes that run the functions of a module: Python's
 * `ProcessPoolExecutor`, which goes on when a process dies.
 *
 * Processes are started when there is work for them, and replaced when they
 * die; a task is then rejected, or run again if `retries` allows. So are tiny
 * ones, of a quarter of a millisecond or less, that the same process had been
 * given ahead. A pool keeps the program alive while it has tasks; one that has
 * had nothing to do for a tenth of a second does not.
 *
 * Nothing is shared: locks and `SharedArrayBuffer`s are refused.
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
 */
export class ProcessPool extends Pool {
  /**
   * Constructs a pool, which starts no process yet.
   *
   * @param options What the processes run, and how.
   * @throws {TypeError} If an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {HandlerImportError} If no module was given.
   */
  constructor(options: ProcessPoolOptions) {
    super("process", options);
  }
}
