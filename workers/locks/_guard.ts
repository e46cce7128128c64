/**
 * Guards for `using`.
 *
 * @module
 */

import type { WaitSyncOptions } from "./wait_options.ts";

/**
 * Makes a guard for `using`, which releases once.
 *
 * @param release Called at the end of the block.
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
 * Makes the error of a guard that timed out.
 *
 * @param name The kind of lock.
 * @param options The time-out.
 * @returns A `TimeoutError`, as of `AbortSignal.timeout()`.
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
