/**
 * Where the time of readers and writers comes from.
 *
 * @module
 */

/** Tells the time and calls back later. */
export interface Clock {
  /** The time in milliseconds, from any beginning. */
  now(): number;
  /** Calls `run` after `ms`, unless what is returned is called before. */
  after(ms: number, run: () => void): () => void;
}

/** Under it a connection carries a clock of its own. */
export const clock: unique symbol = Symbol("clock");

/** The system's time. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** The clock for what is read from or written to a connection. */
export function clockOf(connection: unknown): Clock {
  return (connection as { [clock]?: Clock })[clock] ?? SYSTEM_CLOCK;
}
