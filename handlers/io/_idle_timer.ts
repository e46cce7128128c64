/**
 * Watches the pending read or write of one connection. It does not set a timer
 * per operation: one timer runs through busy times, and when it fires, it
 * checks how long the current operation has waited.
 *
 * @module
 */

import { type Clock, SYSTEM_CLOCK } from "./_clock.ts";

/** A longer timer would fire at once. */
export const MAX_TIMEOUT_MS: number = 2 ** 31 - 1;

/** Calls back once an operation has been pending for `timeout` ms. */
export class IdleTimer {
  readonly timeout: number;
  #expire: () => void;
  #clock: Clock;
  #since = -1;
  #cancel: (() => void) | null = null;

  constructor(
    timeout: number,
    expire: () => void,
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.timeout = timeout;
    this.#expire = expire;
    this.#clock = clock;
  }

  /** An operation has begun to wait. */
  begin(): void {
    this.#since = this.#clock.now();
    this.#cancel ??= this.#clock.after(this.timeout, this.#look);
  }

  /** The operation has ended. */
  end(): void {
    this.#since = -1;
  }

  /** No operation will follow: clears the timer. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#since = -1;
  }

  #look = (): void => {
    this.#cancel = null;
    if (this.#since < 0) return;
    const left = this.#since + this.timeout - this.#clock.now();
    if (left > 0) this.#cancel = this.#clock.after(left, this.#look);
    else this.#expire();
  };
}
