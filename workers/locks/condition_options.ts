/**
 * The options of conditions.
 *
 * @module
 */

import type { Lock } from "./lock.ts";
import type { RLock } from "./rlock.ts";

/** Options of a {@linkcode Condition}. */
export interface ConditionOptions {
  /**
   * The lock that guards the shared state. With an `RLock`, the default in
   * Python, `wait()` also releases what the thread's other tasks hold: use it
   * between threads, not between tasks of one event loop.
   *
   * @default {new Lock()}
   */
  lock?: Lock | RLock;
}
