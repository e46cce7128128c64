import { targetName } from "../threads/_options.ts";
import { MapRun } from "./_map_run.ts";
import { Scheduler } from "./_scheduler.ts";
import {
  checkItems,
  checkMapOptions,
  checkPoolOptions,
  checkRunOptions,
} from "./_checks.ts";
import type {
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
  PoolShutdownOptions,
  PoolStats,
} from "./_options.ts";
import { PoolMap } from "./pool_map.ts";
import type { RunnerKind } from "../runner/runner.ts";

/**
 * What a {@linkcode ThreadPool} and a {@linkcode ProcessPool} have in common:
 * workers that run the functions of a module.
 */
export abstract class Pool implements AsyncDisposable {
  #core: Scheduler;

  /**
   * Constructs a pool, which starts no worker yet.
   *
   * @param kind The kind of workers.
   * @param options What they run, and how.
   */
  constructor(kind: RunnerKind, options: PoolOptions) {
    this.#core = new Scheduler(checkPoolOptions(kind, options));
  }

  /** The name. */
  get name(): string {
    return this.#core.settings.name;
  }

  /**
   * Whether so many tasks wait that no more should be submitted for now: from
   * 32 for each worker on, or `maxQueue`, until there are half as many.
   */
  get needsDrain(): boolean {
    return this.#core.queue.needsDrain;
  }

  /**
   * Waits until more tasks may be submitted.
   *
   * @returns A promise that settles when `needsDrain` is false.
   */
  drained(): Promise<void> {
    return this.#core.queue.drained();
  }

  /**
   * Runs a function in a worker.
   *
   * A worker runs one function at a time, an asynchronous one to its end.
   * Arguments are copied when a worker takes the task: don't change them
   * meanwhile.
   *
   * @param target The function, which `module` must export under its name.
   * @param args Its arguments.
   * @returns What it returns. Rejects with a {@linkcode RemoteError} for what
   * it throws, a {@linkcode RunnerExitError} if its worker died, a
   * {@linkcode HandlerImportError} if it can't be imported, a `TypeError` for
   * an argument that can't be cloned, a {@linkcode PoolFullError} and a
   * {@linkcode PoolClosedError}.
   */
  submit<A extends unknown[], R>(
    target: (...args: A) => R,
    ...args: A
  ): Promise<Awaited<R>>;
  /**
   * Runs a function in a worker.
   *
   * @typeParam T What it returns.
   * @param target The name of the export.
   * @param args Its arguments.
   * @returns What it returns.
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
   * @param target The function, which `module` must export under its name.
   * @param args Its arguments.
   * @param options When to end it early, and what of the arguments moves. A
   * task with a `signal` or a `timeout` has its worker to itself.
   * @returns What it returns. Rejects as with `submit()`, with the reason of
   * the signal, and with a `TimeoutError`.
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
   * @typeParam T What it returns.
   * @param target The name of the export.
   * @param args Its arguments.
   * @param options When to end it early, and what of the arguments moves.
   * @returns What it returns.
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
   * @param target The function, which `module` must export under its name.
   * @param items The items; they are read as results are taken.
   * @param options How many at once, and when to end early.
   * @returns The results, in the order of the items unless `ordered` is `false`,
   * as an array to `await` or one by one.
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
   * @typeParam T What it returns.
   * @param target The name of the export.
   * @param items The items; they are read as results are taken.
   * @param options How many at once, and when to end early.
   * @returns The results.
   */
  map<T = unknown>(
    target: string,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options?: PoolMapOptions,
  ): PoolMap<T>;
  map(
    target: string | ((item: never) => unknown),
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: PoolMapOptions = {},
  ): PoolMap<unknown> {
    return this.#map(target, items, options, false);
  }

  /**
   * Runs a function once for each list of arguments.
   *
   * @param target The function, which `module` must export under its name.
   * @param items The lists of arguments; they are read as results are taken.
   * @param options How many at once, and when to end early.
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
   * @typeParam T What it returns.
   * @param target The name of the export.
   * @param items The lists of arguments; they are read as results are taken.
   * @param options How many at once, and when to end early.
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
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: PoolMapOptions,
    spread: boolean,
  ): PoolMap<unknown> {
    const name = targetName(target);
    checkItems(items);
    const settings = checkMapOptions(this.#core.settings, options, spread);
    return new PoolMap(() =>
      new MapRun(this.#core, name, items, settings).results()
    );
  }

  /**
   * Stops accepting tasks, finishes queued ones, then ends the workers.
   *
   * @param options Whether to wait, and whether to do what has not begun.
   * @returns A promise that settles when nothing of the workers is left.
   */
  shutdown(options: PoolShutdownOptions = {}): Promise<void> {
    const { wait = true, cancel = false } = options;
    const ended = this.#core.close(cancel);
    return wait ? ended : Promise.resolve();
  }

  /**
   * Ends the workers at once; what was not done is rejected with a
   * {@linkcode PoolClosedError}. A thread that does not stop within half a
   * second, such as one in an endless loop, is set aside.
   *
   * @returns A promise that settles when nothing of the workers is left.
   */
  terminate(): Promise<void> {
    return this.#core.terminate();
  }

  /**
   * Tells how the pool is doing.
   *
   * @returns Counts and times since it was constructed.
   */
  stats(): PoolStats {
    return this.#core.stats();
  }

  /** Finishes what was submitted, as `shutdown()` does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#core.close(false);
  }
}
