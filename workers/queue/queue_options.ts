/** Options of a {@linkcode SharedQueue} and its kin. */
export interface SharedQueueOptions {
  /**
   * How many items there may be at once.
   *
   * @default {Infinity}
   */
  maxSize?: number;
  /**
   * How many bytes the items may take together, each written as a structured
   * clone and 4 more, 20 in a `LifoQueue` or a `PriorityQueue`. An item that is
   * larger can never be put.
   *
   * @default {1048576}
   */
  capacity?: number;
}
