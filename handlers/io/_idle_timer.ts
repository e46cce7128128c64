/**
 * Watches one connection's pending read or write without a timer per
 * operation: the timer runs on through busy times and only looks, when it
 * fires, how long the operation of that moment has been waiting.
 *
 * @module
 */

/** A timer of more would fire at once. */
export const MAX_TIMEOUT_MS: number = 2 ** 31 - 1;

/** Calls back once an operation has been pending for `timeout` ms. */
export class IdleTimer {
  readonly timeout: number;
  #expire: () => void;
  #since = -1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(timeout: number, expire: () => void) {
    this.timeout = timeout;
    this.#expire = expire;
  }

  /** An operation has begun to wait. */
  begin(): void {
    this.#since = performance.now();
    this.#timer ??= setTimeout(() => this.#look(), this.timeout);
  }

  /** The operation has ended. */
  end(): void {
    this.#since = -1;
  }

  /** No operation will follow. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#since = -1;
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#since < 0) return;
    const left = this.#since + this.timeout - performance.now();
    if (left > 0) this.#timer = setTimeout(() => this.#look(), left);
    else this.#expire();
  }
}
