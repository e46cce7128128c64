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
   * The lock that guards what the condition is about. With an `RLock`, the
   * default in Python, `wait()` releases what the thread holds: also what its
   * other tasks hold. It is for threads that do not share their event loop.
   *
   * @default {new Lock()}
   */
  lock?: Lock | RLock;
}
