/**
 * The options of barriers.
 *
 * @module
 */

import type { WaitOptions, WaitSyncOptions } from "./wait_options.ts";

/** Options of a {@linkcode Barrier}. */
export interface BarrierOptions {
  /**
   * Called by the last one to arrive, before all go on. It can't cross to
   * another thread: a barrier that is shared gets it with each `wait()`.
   */
  action?: () => void | Promise<void>;
  /**
   * How long each `wait()` waits unless told otherwise, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** Options of {@linkcode Barrier.wait}. */
export interface BarrierWaitOptions extends WaitOptions {
  /** Called if this one is the last to arrive; the barrier's own if absent. */
  action?: () => void | Promise<void>;
}

/** Options of {@linkcode Barrier.waitSync}. */
export interface BarrierWaitSyncOptions extends WaitSyncOptions {
  /** Called if this one is the last to arrive; the barrier's own if absent. */
  action?: () => void;
}
