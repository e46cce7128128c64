/**
 * One run of `map()` or `starmap()`.
 *
 * @module
 */

import { checkSignal } from "../threads/_options.ts";
import type { PoolSettings } from "./_options.ts";
import { FLAGS } from "./_protocol.ts";
import type { Scheduler } from "./_scheduler.ts";
import type { TaskGroup } from "./_task.ts";
import {
  assertOptions,
  assertPositiveInteger,
  assertType,
  quote,
} from "../base/check.ts";

/** Options of a pool's `map()` and `starmap()`. */
export interface PoolMapOptions {
  /**
   * Items per task. Larger chunks make tiny functions faster. The items of a
   * chunk run one after the other.
   *
   * @default {1}
   */
  chunkSize?: number;
  /**
   * Whether results come in the order of the items. Otherwise they come as they
   * are finished.
   *
   * @default {true}
   */
  ordered?: boolean;
  /**
   * Most tasks at once, including those whose results have not been taken yet.
   * No more items are read ahead.
   *
   * @default {8 * workers}
   */
  concurrency?: number;
  /**
   * Ends the work early: no more items are read, waiting tasks are cancelled,
   * and the reason is thrown once the running tasks have ended. A function that
   * runs in a thread can't be stopped.
   */
  signal?: AbortSignal;
  /**
   * Whether `signal`, an error, and leaving a loop early also kill the
   * processes that run the tasks. They are replaced. Not for threads.
   *
   * @default {false}
   */
  kill?: boolean;
}

/** Options of a `map()` that have been checked. */
export interface MapSettings extends Required<Omit<PoolMapOptions, "signal">> {
  /** Whether each item is a list of arguments. */
  spread: boolean;
  /** As in {@linkcode PoolMapOptions}. */
  signal: AbortSignal | undefined;
}

/** The items of a `map()`. */
export type MapItems = Iterable<unknown> | AsyncIterable<unknown>;

const MAP_OPTIONS: (keyof PoolMapOptions)[] = [
  "chunkSize",
  "ordered",
  "concurrency",
  "signal",
  "kill",
];

function checkBoolean(name: string, value: unknown): void {
  assertType(name, value, typeof value === "boolean", "a boolean");
}

/** Checks the options of a `map()` and adds the defaults. */
export function checkMapOptions(
  { kind, workers }: PoolSettings,
  options: PoolMapOptions,
  spread: boolean,
): MapSettings {
  assertOptions(options, "map()", MAP_OPTIONS);
  const { chunkSize = 1, concurrency = 8 * workers, kill = false } = options;
  const { signal, ordered = true } = options;
  assertPositiveInteger("chunkSize", chunkSize);
  assertPositiveInteger("concurrency", concurrency);
  checkSignal(signal);
  checkBoolean("ordered", ordered);
  checkBoolean("kill", kill);
  if (kill && kind === "thread") {
    throw new TypeError(
      'Cannot use "kill" with a ThreadPool: a function that runs in a thread ' +
        "can't be stopped; use a ProcessPool",
    );
  }
  return { chunkSize, ordered, spread, concurrency, signal, kill };
}

/** Checks the items of a `map()`. */
export function checkItems(items: unknown): void {
  const iterable = Object(items) as Partial<Record<symbol, unknown>>;
  const make = iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator];
  if (typeof make === "function") return;
  throw new TypeError(
    `Cannot map over ${quote(items)}: expected an Iterable or AsyncIterable`,
  );
}

/**
 * A running `map()`. It reads ahead, and keeps the order unless `ordered` is
 * `false`.
 */
export class MapRun implements TaskGroup {
  readonly kill: boolean;
  cancelled = false;
  #core: Scheduler;
  #name: string;
  #items: Iterator<unknown> | AsyncIterator<unknown>;
  #settings: MapSettings;
  /** The number of submitted tasks. */
  #submitted = 0;
  /** The number of tasks that have ended. */
  #ended = 0;
  /** The results that were not taken, by their place. */
  #results = new Map<number, unknown>();
  /** The number of results that were taken. */
  #taken = 0;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  #readAll = false;
  #failure: { error: unknown } | null = null;

  /**
   * Constructs a run. It reads nothing yet.
   *
   * @param core The pool's core.
   * @param name The export to call.
   * @param items The items.
   * @param settings The options.
   */
  constructor(
    core: Scheduler,
    name: string,
    items: MapItems,
    settings: MapSettings,
  ) {
    this.kill = settings.kill;
    this.#core = core;
    this.#name = name;
    this.#settings = settings;
    // Not `in`, which refuses a string
    const { [Symbol.asyncIterator]: async } = items as AsyncIterable<unknown>;
    this.#items = async == null
      ? (items as Iterable<unknown>)[Symbol.iterator]()
      : async.call(items);
  }

  /** Runs and yields the results. */
  async *results(): AsyncGenerator<unknown, void> {
    const { signal, chunkSize } = this.#settings;
    const abort = () => this.#fail(signal!.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    this.#read();
    try {
      while (this.#failure === null) {
        if (this.#results.has(this.#taken)) {
          const value = this.#results.get(this.#taken);
          this.#results.delete(this.#taken++);
          this.#change();
          if (chunkSize === 1) yield value;
          else yield* value as unknown[];
        } else if (this.#readAll && this.#taken === this.#submitted) {
          break;
        } else {
          await this.#changed.promise;
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      // The loop was left early: nobody takes the other results.
      if (!this.#readAll || this.#ended < this.#submitted) {
        this.#cancel(undefined);
      }
      while (this.#ended < this.#submitted) await this.#changed.promise;
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Reads and submits items while there is room. */
  async #read(): Promise<void> {
    const { chunkSize, concurrency } = this.#settings;
    let chunk: unknown[] = [];
    let open = true;
    try {
      while (!this.cancelled) {
        if (this.#submitted - this.#taken >= concurrency) {
          await this.#changed.promise;
        } else if (this.#core.queue.needsDrain) {
          await this.#core.queue.drained();
        } else {
          open = false;
          const step = this.#items.next();
          // Awaits only if necessary: otherwise tasks are sent together.
          const { done, value } = "then" in step ? await step : step;
          if (done) break;
          open = true;
          chunk.push(this.#check(value));
          if (chunk.length < chunkSize) continue;
          this.#submit(chunk);
          chunk = [];
        }
      }
      if (chunk.length > 0) this.#submit(chunk);
    } catch (error) {
      this.#fail(error);
    }
    try {
      if (open) await this.#items.return?.();
    } catch (error) {
      this.#fail(error);
    }
    this.#readAll = true;
    this.#change();
  }

  #check(item: unknown): unknown {
    if (!this.#settings.spread || Array.isArray(item)) return item;
    throw new TypeError(
      `Cannot call "${this.#name}" with ${quote(item)}: starmap() expects ` +
        "arrays of arguments",
    );
  }

  #submit(chunk: unknown[]): void {
    if (this.cancelled) return;
    const { chunkSize, ordered, spread } = this.#settings;
    const single = chunkSize === 1;
    const flags = (single ? 0 : FLAGS.chunk) | (spread ? FLAGS.spread : 0);
    const args = single && spread ? [...chunk[0] as unknown[]] : chunk;
    const options = { group: this, flags };
    const { promise } = this.#core.submit(this.#name, args, options);
    const number = this.#submitted++;
    promise.then(
      (value) => {
        this.#results.set(ordered ? number : this.#ended, value);
        this.#ended++;
      },
      (error) => {
        this.#ended++;
        this.#fail(error);
      },
    ).then(() => this.#change());
  }

  /** Ends it for an error: the first one is thrown. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cancel(error);
  }

  #cancel(reason: unknown): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#core.cancel(this, reason);
    this.#change();
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }
}
