/**
 * Lets the program end while a pool is idle.
 *
 * @module
 */

/** An idle pool lets the program end after this time, in milliseconds. */
const REST_AFTER = 100;

/** The watched pool. */
interface Watched {
  /** Whether there is nothing to do. */
  readonly idle: boolean;
}

/** The workers that keep the program alive. */
interface Living {
  /** Makes it keep the program alive, or lets it end. */
  keepAlive(alive: boolean): void;
}

/** Lets the program end while a pool is idle. */
export class IdleWatch {
  #pool: Watched;
  #workers: Living;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #touched = false;

  /**
   * Constructs a watch.
   *
   * @param pool The pool.
   * @param workers Its workers.
   */
  constructor(pool: Watched, workers: Living) {
    this.#pool = pool;
    this.#workers = workers;
  }

  /** Reports that there is work. */
  wake(): void {
    this.#touched = true;
    if (!this.#resting) return;
    this.#resting = false;
    this.#workers.keepAlive(true);
  }

  /** Reports that there may be no work. */
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
