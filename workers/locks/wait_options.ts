/**
 * The options of waits.
 *
 * @module
 */

/** Options of everything that waits for others. */
export interface WaitOptions {
  /**
   * Longest wait in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * Ends the wait: its promise rejects with the signal's reason. A wait that
   * blocks the thread, for example `waitSync()`, refuses it.
   */
  signal?: AbortSignal;
  /**
   * Whether `acquire()`, `put()` and `get()` wait at all. With `false`, give no
   * `timeout`. Others refuse it.
   *
   * @default {true}
   */
  blocking?: boolean;
}
