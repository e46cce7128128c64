/**
 * A pool's record of a function: its name and its run time.
 *
 * @module
 */

import { TINY } from "./_protocol.ts";

/** How much of a mean run time the newest one is. */
const MEAN_WEIGHT = 1 / 128;

/** What a pool knows of a function that tasks call. */
export class PoolTarget {
  /** The name of the export. */
  readonly name: string;
  #mean = Infinity;

  /**
   * Constructs what is known at first.
   *
   * @param name The name of the export.
   */
  constructor(name: string) {
    this.name = name;
  }

  /** Whether it ran so shortly that many tasks are given at once. */
  get tiny(): boolean {
    return this.#mean <= TINY;
  }

  /**
   * Counts a call.
   *
   * @param time How long it ran, in milliseconds.
   */
  count(time: number): void {
    this.#mean = this.#mean === Infinity
      ? time
      : this.#mean + (time - this.#mean) * MEAN_WEIGHT;
  }
}
