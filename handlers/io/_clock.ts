/**
 * The clock of readers and writers.
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

/** The clock of a connection. */
export function clockOf(connection: unknown): Clock {
  return (connection as { [clock]?: Clock })[clock] ?? SYSTEM_CLOCK;
}
