import type { TimeSummary } from "./_options.ts";

/** How many buckets there are from a time to its double. */
const PER_OCTAVE = 8;
/** The first bucket is that of 60 nanoseconds: 2 ** -14 milliseconds. */
const FIRST_OCTAVE = -14;
/** The last bucket is that of two days. */
const BUCKETS = 42 * PER_OCTAVE;

/** Times, told apart by a tenth of their size. */
export class Histogram {
  #counts = new Float64Array(BUCKETS);
  #count = 0;
  #total = 0;
  #min = Infinity;
  #max = 0;

  /** The sum of all times, in milliseconds. */
  get total(): number {
    return this.#total;
  }

  /**
   * Counts a time.
   *
   * @param time Milliseconds.
   */
  record(time: number): void {
    // Two threads' clocks may differ by a hair.
    if (time < 0) time = 0;
    const octave = Math.max(Math.log2(time) - FIRST_OCTAVE, 0);
    const bucket = Math.min(Math.round(octave * PER_OCTAVE), BUCKETS - 1);
    this.#counts[bucket]!++;
    this.#count++;
    this.#total += time;
    if (time < this.#min) this.#min = time;
    if (time > this.#max) this.#max = time;
  }

  /** Sums up. */
  summary(): TimeSummary {
    if (this.#count === 0) return { mean: 0, min: 0, max: 0, p50: 0, p99: 0 };
    return {
      mean: this.#total / this.#count,
      min: this.#min,
      max: this.#max,
      p50: this.#percentile(0.5),
      p99: this.#percentile(0.99),
    };
  }

  #percentile(share: number): number {
    let left = this.#count * share;
    let bucket = 0;
    while (bucket < BUCKETS && (left -= this.#counts[bucket]!) > 0) bucket++;
    const time = 2 ** (bucket / PER_OCTAVE + FIRST_OCTAVE);
    return Math.min(Math.max(time, this.#min), this.#max);
  }
}
