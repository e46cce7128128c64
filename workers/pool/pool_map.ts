/**
 * The results of `map()` and `starmap()`.
 *
 * @module
 */

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
