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
 * After an error no further task begins. The error is thrown once the running
 * tasks have ended. Leaving a loop early also waits for them.
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
  #run: () => AsyncGenerator<T, void>;
  #all: Promise<T[]> | null = null;

  /**
   * Constructs the results; `map()` and `starmap()` do it.
   *
   * @param run A function that begins the work and yields the results.
   */
  constructor(run: () => AsyncGenerator<T, void>) {
    this.#run = run;
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
    return this.#run();
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
    this.#all ??= Array.fromAsync(this.#run());
    return this.#all.then(onfulfilled, onrejected);
  }
}
