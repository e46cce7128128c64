/**
 * Guards for `using`.
 *
 * @module
 */

import type { WaitSyncOptions } from "./wait_options.ts";

/**
 * A guard for `using`: releases once, when it is disposed of.
 *
 * @param release What is to be done then.
 * @returns The guard.
 */
export function guardOf(release: () => void): Disposable {
  let held = true;
  return {
    [Symbol.dispose](): void {
      if (!held) return;
      held = false;
      release();
    },
  };
}

/**
 * The error of a guard that was not had in time.
 *
 * @param name What was waited for.
 * @param options How long.
 * @returns A `TimeoutError`, as `AbortSignal.timeout()` has it.
 */
export function guardTimedOut(
  name: string,
  options: WaitSyncOptions = {},
): DOMException {
  return new DOMException(
    `Cannot acquire the ${name} within ${options.timeout} ms`,
    "TimeoutError",
  );
}
