/**
 * Lets the program end while a pool is idle.
 *
 * @module
 */

/** An idle pool lets the program end after this time, in milliseconds. */
const REST_AFTER = 100;

/** Lets the program end while a pool is idle. */
export class IdleWatch {
  #isIdle: () => boolean;
  #keepAlive: (alive: boolean) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #touched = false;

  /**
   * Constructs a watch.
   *
   * @param isIdle Whether there is nothing to do.
   * @param keepAlive Makes the workers keep the program alive, or let it end.
   */
  constructor(isIdle: () => boolean, keepAlive: (alive: boolean) => void) {
    this.#isIdle = isIdle;
    this.#keepAlive = keepAlive;
  }

  /** Reports that there is work. */
  wake(): void {
    this.#touched = true;
    if (!this.#resting) return;
    this.#resting = false;
    this.#keepAlive(true);
  }

  /** Reports that there may be no work. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#touched = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isIdle()) return;
      if (this.#touched) return this.watch();
      this.#resting = true;
      this.#keepAlive(false);
    }, REST_AFTER);
    Deno.unrefTimer(this.#timer);
  }

  /** Stops for good. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
