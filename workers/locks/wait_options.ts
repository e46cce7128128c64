/**
 * The options of waits.
 *
 * @module
 */

/** Options of waits that block the thread, for example `waitSync()`. */
export interface WaitSyncOptions {
  /**
   * Longest wait in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** Options of waits on the event loop, for example `wait()`. */
export interface WaitOptions extends WaitSyncOptions {
  /** Ends the wait: its promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of `acquireSync()`, `putSync()` and `getSync()`. */
export interface AcquireSyncOptions extends WaitSyncOptions {
  /**
   * Whether to wait at all. With `false`, give no `timeout`.
   *
   * @default {true}
   */
  blocking?: boolean;
}

/** Options of `acquire()`, `put()` and `get()`. */
export interface AcquireOptions extends AcquireSyncOptions, WaitOptions {}
