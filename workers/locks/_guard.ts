/**
 * Guards for `using`.
 *
 * @module
 */

import type { WaitSyncOptions } from "./wait_options.ts";

/**
 * Makes a guard for `using`, which releases once.
 *
 * @param lock What it releases at the end of the block.
 * @param acquired Whether the lock was acquired.
 * @param name The kind of lock, for the message.
 * @param options The time-out.
 * @returns The guard.
 * @throws {DOMException} A `TimeoutError`, as of `AbortSignal.timeout()`, if it
 * was not acquired.
 */
export function guardOf(
  lock: { release(): void },
  acquired: boolean,
  name: string,
  { timeout }: WaitSyncOptions = {},
): Disposable {
  if (!acquired) {
    throw new DOMException(
      `Cannot acquire the ${name} within ${timeout} ms`,
      "TimeoutError",
    );
  }
  let held = true;
  return {
    [Symbol.dispose](): void {
      if (!held) return;
      held = false;
      lock.release();
    },
  };
}
