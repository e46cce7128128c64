/**
 * The options that everything one can wait for has in common.
 *
 * @module
 */

/** Options of waits that block the thread, such as `waitSync()`. */
export interface WaitSyncOptions {
  /**
   * How long to wait, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** Options of waits on the event loop, such as `wait()`. */
export interface WaitOptions extends WaitSyncOptions {
  /** Ends the wait: its promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of `acquireSync()`, `putSync()` and `getSync()`. */
export interface AcquireSyncOptions extends WaitSyncOptions {
  /**
   * Whether to wait at all; with `false` there must be no `timeout`.
   *
   * @default {true}
   */
  blocking?: boolean;
}

/** Options of `acquire()`, `put()` and `get()`. */
export interface AcquireOptions extends AcquireSyncOptions, WaitOptions {}
