/**
 * The clock and the time-out of readers and writers.
 *
 * @module
 */

/** A source of time and timers. */
export interface Clock {
  /** The time in milliseconds since any fixed moment. */
  now(): number;
  /** Calls `run` after `ms`. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The key of a connection's own clock. */
export const clock: unique symbol = Symbol("clock");

/** The system's time. */
const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * How long the system needs to pass on bytes that have arrived. After a stall
 * of the event loop timers fire before them: what is late then is looked at
 * again after this time.
 */
export const ARRIVAL_MS = 10;

/** The clock of a connection. */
export function clockOf(connection: unknown): Clock {
  return (connection as { [clock]?: Clock })[clock] ?? SYSTEM_CLOCK;
}

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
    const since = this.#since;
    if (since < 0) return;
    const left = since + this.timeout - this.#clock.now();
    if (left > 0) {
      this.#cancel = this.#clock.after(left, this.#look);
      return;
    }
    const grace = this.#clock === SYSTEM_CLOCK ? ARRIVAL_MS : 0;
    this.#cancel = this.#clock.after(grace, () => {
      if (this.#since !== since) return this.#look();
      this.#cancel = null;
      this.#expire();
    });
  };
}
