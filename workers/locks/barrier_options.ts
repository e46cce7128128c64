/**
 * The options of barriers.
 *
 * @module
 */

import type { WaitOptions, WaitSyncOptions } from "./wait_options.ts";

/** Options of a {@linkcode Barrier}. */
export interface BarrierOptions {
  /**
   * Called by the last one to arrive, before all continue. It can't cross to
   * another thread: pass it to each `wait()` of a shared barrier.
   */
  action?: () => void | Promise<void>;
  /**
   * The default time-out of `wait()` in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** Options of {@linkcode Barrier.wait}. */
export interface BarrierWaitOptions extends WaitOptions {
  /**
   * Called if this one is the last to arrive. Overrides the barrier's action.
   */
  action?: () => void | Promise<void>;
}

/** Options of {@linkcode Barrier.waitSync}. */
export interface BarrierWaitSyncOptions extends WaitSyncOptions {
  /**
   * Called if this one is the last to arrive. Overrides the barrier's action.
   */
  action?: () => void;
}
