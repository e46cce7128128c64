/**
 * Turns the options of a wait into a deadline.
 *
 * @module
 */

import type { AcquireOptions } from "./wait_options.ts";

/** The deadline of a wait. */
export interface Deadline {
  /** In the time of `performance.now()`; `-Infinity` means "try only". */
  at: number;
  signal?: AbortSignal | undefined;
  /** Whether the program may end meanwhile. */
  background?: boolean | undefined;
}

/**
 * The option of a wait during which the program may end: an item goes back to
 * its queue.
 */
export const IN_BACKGROUND: unique symbol = Symbol("in background");

/** Never. */
export const FOREVER: Deadline = { at: Infinity };

/**
 * Checks the options of a wait.
 *
 * @param doing The operation, for the message.
 * @param options The caller's options.
 * @returns The deadline.
 */
export function deadlineOf(doing: string, options?: AcquireOptions): Deadline {
  if (options === undefined) return FOREVER;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot ${doing}: expected options such as { timeout: 1_000 }, ` +
        `received ${options}`,
    );
  }
  const { blocking = true, timeout, signal, [IN_BACKGROUND]: background } =
    options as AcquireOptions & { [IN_BACKGROUND]?: boolean };
  if (!blocking) {
    if (timeout !== undefined) {
      throw new TypeError(
        `Cannot ${doing}: "timeout" has no meaning with "blocking: false"`,
      );
    }
    return { at: -Infinity, signal };
  }
  return { at: moment(doing, timeout), signal, background };
}

/**
 * Checks a time-out.
 *
 * @param doing The operation, for the message.
 * @param timeout Milliseconds, or `undefined` for none.
 * @returns The time when it is over.
 */
function moment(doing: string, timeout?: number): number {
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== "number") {
    throw new TypeError(
      `Cannot ${doing}: "timeout" must be a number of milliseconds, ` +
        `received ${typeof timeout}`,
    );
  }
  if (!(timeout >= 0)) {
    throw new RangeError(
      `Cannot ${doing}: "timeout" must be 0 or more milliseconds, ` +
        `received ${timeout}`,
    );
  }
  return timeout === 0 ? -Infinity : performance.now() + timeout;
}
