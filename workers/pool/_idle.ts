/**
 * Lets the program end while a pool is idle.
 *
 * @module
 */

/** A pool that has had nothing to do for so long lets the program end. */
const REST_AFTER = 100;

/** What may have nothing to do. */
interface Watched {
  /** Whether there is nothing to do. */
  readonly idle: boolean;
}

/** What keeps the program alive. */
interface Living {
  /** Makes it keep the program alive, or lets it end. */
  keepAlive(alive: boolean): void;
}

/** Lets the program end while a pool has nothing to do. */
export class IdleWatch {
  #pool: Watched;
  #workers: Living;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #touched = false;

  /**
   * Constructs a watch.
   *
   * @param pool What is watched.
   * @param workers What keeps the program alive.
   */
  constructor(pool: Watched, workers: Living) {
    this.#pool = pool;
    this.#workers = workers;
  }

  /** Tells that there is something to do. */
  wake(): void {
    this.#touched = true;
    if (!this.#resting) return;
    this.#resting = false;
    this.#workers.keepAlive(true);
  }

  /** Tells that there may be nothing to do. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#touched = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#pool.idle) return;
      if (this.#touched) return this.watch();
      this.#resting = true;
      this.#workers.keepAlive(false);
    }, REST_AFTER);
    Deno.unrefTimer(this.#timer);
  }

  /** Stops for good. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
