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
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** How long the system needs to pass on bytes that have arrived. */
const ARRIVAL_MS = 10;

/**
 * As `clock.after()`, but bytes that have arrived come first: after a stall of
 * the event loop, timers fire before them.
 */
export function afterArrivals(
  clock: Clock,
  ms: number,
  run: () => void,
): () => void {
  const grace = clock === SYSTEM_CLOCK ? ARRIVAL_MS : 0;
  let cancel = clock.after(ms, () => cancel = clock.after(grace, run));
  return () => cancel();
}

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
    this.#cancel ??= afterArrivals(this.#clock, this.timeout, this.#look);
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
    if (left > 0) this.#cancel = afterArrivals(this.#clock, left, this.#look);
    else this.#expire();
  };
}
