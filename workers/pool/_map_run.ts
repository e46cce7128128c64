/**
 * One run of `map()` or `starmap()`.
 *
 * @module
 */

import type { Scheduler } from "./_scheduler.ts";
import type { MapSettings } from "./_options.ts";
import { FLAGS } from "./_protocol.ts";
import type { TaskGroup } from "./_task.ts";
import { quote } from "../_validate.ts";

/** The items of a `map()`. */
export type MapItems<I> = Iterable<I> | AsyncIterable<I>;

type Step = IteratorResult<unknown>;

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
  /** The available results. */
  #ready: unknown[] = [];
  /**
   * The results that came too early for their order, by the number of their
   * task.
   */
  #early = new Map<number, unknown>();
  /** The number of results that were taken or are available. */
  #passed = 0;
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
    items: MapItems<unknown>,
    settings: MapSettings,
  ) {
    this.kill = settings.kill;
    this.#core = core;
    this.#name = name;
    this.#settings = settings;
    this.#items = Symbol.asyncIterator in items
      ? items[Symbol.asyncIterator]()
      : items[Symbol.iterator]();
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
        if (this.#ready.length > 0) {
          const value = this.#ready.shift();
          this.#change();
          if (chunkSize === 1) yield value;
          else yield* value as unknown[];
        } else if (this.#readAll && this.#ended === this.#submitted) {
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

  /** The number of running tasks and results that were not taken. */
  get #open(): number {
    return this.#submitted - this.#passed + this.#ready.length;
  }

  /** Reads and submits items while there is room. */
  async #read(): Promise<void> {
    const { chunkSize, concurrency } = this.#settings;
    let chunk: unknown[] = [];
    let open = true;
    try {
      while (!this.cancelled) {
        if (this.#open >= concurrency) {
          await this.#changed.promise;
        } else if (this.#core.queue.needsDrain) {
          await this.#core.queue.drained();
        } else {
          open = false;
          const step = this.#items.next();
          // Awaits only if necessary: otherwise tasks are sent together.
          const { done, value }: Step = "then" in step ? await step : step;
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
    const { chunkSize, spread } = this.#settings;
    const single = chunkSize === 1;
    const flags = (single ? 0 : FLAGS.chunk) | (spread ? FLAGS.spread : 0);
    const args = single && spread ? [...chunk[0] as unknown[]] : chunk;
    const options = { group: this, flags };
    const { promise } = this.#core.submit(this.#name, args, options);
    const number = this.#submitted++;
    promise.then(
      (value) => this.#finish(number, value),
      (error) => this.#fail(error),
    ).then(() => {
      this.#ended++;
      this.#change();
    });
  }

  #finish(number: number, value: unknown): void {
    if (!this.#settings.ordered) {
      this.#passed++;
      this.#ready.push(value);
      return;
    }
    this.#early.set(number, value);
    while (this.#early.has(this.#passed)) {
      this.#ready.push(this.#early.get(this.#passed));
      this.#early.delete(this.#passed++);
    }
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
