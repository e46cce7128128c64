/**
 * The options of queues.
 *
 * @module
 */

/**
 * Options of {@linkcode SharedQueue}, {@linkcode LifoQueue} and
 * {@linkcode PriorityQueue}.
 */
export interface SharedQueueOptions {
  /**
   * Most items at once.
   *
   * @default {Infinity}
   */
  maxSize?: number;
  /**
   * Most bytes of all items together. An item takes the size of its structured
   * clone plus 4 bytes, or plus 16 in a `LifoQueue` or a `PriorityQueue`. A
   * larger item can never be put.
   *
   * @default {1048576}
   */
  capacity?: number;
}
