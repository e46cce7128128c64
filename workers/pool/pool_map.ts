/**
 * The results of a pool's `map()` or `starmap()`, in the order of the items
 * unless `ordered` is `false`: `await` it for an array, or loop over it with
 * `for await`, which takes no more items than are needed to keep the workers
 * busy.
 *
 * Nothing begins before one of them is done; each loop begins anew.
 *
 * After an error no further task begins; the error is thrown once those under
 * way have ended. Leaving a loop early waits for them, too.
 *
 * @typeParam T What the function returns.
 *
 * @example Both ways
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
   * Constructs results to be; a pool's `map()` does it.
   *
   * @param run Begins to work, and gives the results.
   */
  constructor(run: () => AsyncGenerator<T, void>) {
    this.#run = run;
  }

  /**
   * Works on the items while the results are taken.
   *
   * @returns The results, in order.
   */
  [Symbol.asyncIterator](): AsyncGenerator<T, void> {
    return this.#run();
  }

  /**
   * Works on all items, at the first call.
   *
   * @param onfulfilled Called with all results.
   * @param onrejected Called with the first error.
   * @returns A promise for what these return.
   */
  then<R = T[], E = never>(
    onfulfilled?: ((results: T[]) => R | PromiseLike<R>) | null,
    onrejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    this.#all ??= Array.fromAsync(this.#run());
    return this.#all.then(onfulfilled, onrejected);
  }
}
