/**
 * Counts what the handlers of this thread or process do: requests that begin
 * and end, and reads and writes. By it a watchdog tells a handler that works
 * from one in an endless loop. And how a request that it had has ended.
 *
 * @module
 */

/** How a request ended elsewhere: the sum of what applies. */
export const Ending = {
  /** An error of it was reported. */
  failed: 1,
  /** It was aborted. */
  aborted: 2,
  /** Its handler was never made. */
  unmade: 4,
  /** Its connection is closed, or its client's side has ended. */
  isOver: 8,
} as const;

let counter: Int32Array = new Int32Array(1);
let tell: (() => void) | null = null;
let lastTold = 0;

/** A handler has gone on. */
export function progressed(): void {
  const count = counter[0] = counter[0]! + 1;
  // A look at the clock takes longer than the rest
  if (tell === null || count % 4 !== 0) return;
  // About four times a second, also while the event loop does not turn
  const now = Date.now() >>> 8;
  if (now === lastTold) return;
  lastTold = now;
  tell();
}

/**
 * Counts in memory that the owner of this thread shares, or tells the owner of
 * this process.
 */
export function watchProgress(by: Int32Array | (() => void)): void {
  if (typeof by === "function") tell = by;
  else counter = by;
}
