/**
 * The options of barriers.
 *
 * @module
 */

import type { WaitOptions } from "./wait_options.ts";

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

/** Options of {@linkcode Barrier.wait} and {@linkcode Barrier.waitSync}. */
export interface BarrierWaitOptions extends WaitOptions {
  /**
   * Called if this one is the last to arrive. Overrides the barrier's action. For
   * `waitSync()` it must not return a promise.
   */
  action?: () => void | Promise<void>;
}
