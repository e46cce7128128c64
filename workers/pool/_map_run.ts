import type { Scheduler } from "./_scheduler.ts";
import type { MapSettings } from "./_options.ts";
import type { TaskGroup } from "./_task.ts";

/** What a `map()` can go over. */
export type MapItems<I> = Iterable<I> | AsyncIterable<I>;

type Step = IteratorResult<unknown>;

/** A `map()` under way: it reads ahead, and keeps the order. */
export class MapRun implements TaskGroup {
  readonly kill: boolean;
  cancelled = false;
  #core: Scheduler;
  #name: string;
  #items: Iterator<unknown> | AsyncIterator<unknown>;
  #settings: MapSettings;
  /** The results of the tasks, in order. */
  #pending: Promise<unknown>[] = [];
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  #readAll = false;
  #failure: { error: unknown } | null = null;

  /**
   * Constructs a run, which reads nothing yet.
   *
   * @param core The pool's core.
   * @param name The export to call.
   * @param items What to go over.
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

  /** Runs, and gives the results in order. */
  async *results(): AsyncGenerator<unknown, void> {
    const { signal, chunkSize } = this.#settings;
    const abort = () => this.#fail(signal!.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    this.#read();
    try {
      while (true) {
        const head = this.#pending[0];
        if (head !== undefined) {
          const value = await head;
          this.#pending.shift();
          this.#change();
          if (chunkSize === 1) yield value;
          else yield* value as unknown[];
        } else if (this.#readAll || this.cancelled) {
          break;
        } else {
          await this.#changed.promise;
        }
      }
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      signal?.removeEventListener("abort", abort);
      // Left early: what is under way has no taker.
      if (!this.#readAll || this.#pending.length > 0) this.#cancel(undefined);
      await Promise.allSettled(this.#pending);
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Reads items and submits them, as far as there is room. */
  async #read(): Promise<void> {
    const { chunkSize, concurrency } = this.#settings;
    let chunk: unknown[] = [];
    try {
      while (!this.cancelled) {
        if (this.#pending.length >= concurrency) {
          await this.#changed.promise;
        } else if (this.#core.needsDrain) {
          await this.#core.drained();
        } else {
          const step = this.#items.next();
          // Without an await where there is no need: then tasks go together.
          const { done, value }: Step = "then" in step ? await step : step;
          if (done) break;
          chunk.push(value);
          if (chunk.length < chunkSize) continue;
          this.#submit(chunk);
          chunk = [];
        }
      }
      if (this.cancelled) await this.#items.return?.();
      else if (chunk.length > 0) this.#submit(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#readAll = true;
    this.#change();
  }

  #submit(chunk: unknown[]): void {
    if (this.cancelled) return;
    const single = this.#settings.chunkSize === 1;
    const result = this.#core.submit(this.#name, chunk, this, !single);
    result.catch((error) => this.#fail(error));
    this.#pending.push(result);
    this.#change();
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
