/** A pool that has had nothing to do for so long lets the program end. */
const REST_AFTER = 100;

/** What an {@linkcode IdleWatch} watches. */
interface Watched {
  /** Whether there is nothing to do. */
  readonly idle: boolean;
  /** Makes the workers keep the program alive, or lets it end. */
  keepAlive(alive: boolean): void;
}

/** Lets the program end while a pool has nothing to do. */
export class IdleWatch {
  #pool: Watched;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #touched = false;

  /**
   * Constructs a watch.
   *
   * @param pool What is watched.
   */
  constructor(pool: Watched) {
    this.#pool = pool;
  }

  /** Tells that there is something to do. */
  wake(): void {
    this.#touched = true;
    if (!this.#resting) return;
    this.#resting = false;
    this.#pool.keepAlive(true);
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
      this.#pool.keepAlive(false);
    }, REST_AFTER);
    Deno.unrefTimer(this.#timer);
  }

  /** Stops for good. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
