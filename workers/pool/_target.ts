import { MEAN_WEIGHT } from "./_protocol.ts";

/** What a pool knows of a function that tasks call. */
export class PoolTarget {
  /** The name of the export. */
  readonly name: string;
  /** How long it runs, in milliseconds, on an average of the last calls. */
  mean = Infinity;

  /**
   * Constructs what is known at first.
   *
   * @param name The name of the export.
   */
  constructor(name: string) {
    this.name = name;
  }

  /**
   * Counts a call.
   *
   * @param time How long it ran, in milliseconds.
   */
  count(time: number): void {
    this.mean = this.mean === Infinity
      ? time
      : this.mean + (time - this.mean) * MEAN_WEIGHT;
  }
}
