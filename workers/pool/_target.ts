/**
 * A pool's record of a function: its name and its run time.
 *
 * @module
 */

import { TINY } from "./_protocol.ts";

/** The weight of the newest run time in the mean. */
const MEAN_WEIGHT = 1 / 128;

/** A pool's record of a function. */
export class PoolTarget {
  /** The name of the export. */
  readonly name: string;
  #mean = Infinity;

  /**
   * Constructs an empty record.
   *
   * @param name The name of the export.
   */
  constructor(name: string) {
    this.name = name;
  }

  /** Whether it is so short that a worker gets several tasks at once. */
  get tiny(): boolean {
    return this.#mean <= TINY;
  }

  /**
   * Counts a call.
   *
   * @param time Its run time in milliseconds.
   */
  count(time: number): void {
    this.#mean = this.#mean === Infinity
      ? time
      : this.#mean + (time - this.#mean) * MEAN_WEIGHT;
  }
}
