/**
 * Histograms with logarithmic buckets.
 *
 * @module
 */

/** The number of buckets from a quantity to its double. */
const PER_OCTAVE = 8;
/** The first bucket ends near 2 ** -14: 60 nanoseconds, in milliseconds. */
const FIRST_OCTAVE = -14;
/** The last bucket begins at two days in milliseconds, or at 256 MB. */
const BUCKETS = 42 * PER_OCTAVE;

/** The distribution of a quantity, for example the durations of requests. */
export interface Distribution {
  /** The number of values. */
  count: number;
  /** The sum of the values. */
  total: number;
  /** The mean. This and the following are 0 without values. */
  mean: number;
  /** The smallest. */
  min: number;
  /** The largest. */
  max: number;
  /** The median, accurate within a tenth. */
  p50: number;
  /** The 90th percentile, accurate within a tenth. */
  p90: number;
  /** The 99th percentile, accurate within a tenth. */
  p99: number;
  /**
   * The number of values in each range up to and with `upTo`. Empty ranges are omitted.
   */
  buckets: { upTo: number; count: number }[];
}

/** A histogram that resolves a tenth of a value. */
export class Histogram {
  #counts: Float64Array = new Float64Array(BUCKETS);
  #count = 0;
  #total = 0;
  #min = Infinity;
  #max = 0;

  /** The sum of all. */
  get total(): number {
    return this.#total;
  }

  /**
   * Adds a value.
   *
   * @param quantity The value: milliseconds or bytes.
   */
  record(quantity: number): void {
    // The clocks of two threads may differ slightly
    if (quantity < 0) quantity = 0;
    const octave = Math.log2(quantity) - FIRST_OCTAVE;
    // A bound belongs to the bucket below it
    const above = Math.ceil(octave * PER_OCTAVE) - 1;
    const bucket = Math.min(Math.max(above, 0), BUCKETS - 1);
    this.#counts[bucket]!++;
    this.#count++;
    this.#total += quantity;
    if (quantity < this.#min) this.#min = quantity;
    if (quantity > this.#max) this.#max = quantity;
  }

  /**
   * Adds the values of another histogram.
   *
   * @param other The other.
   */
  add(other: Histogram): void {
    other.#counts.forEach((count, bucket) => this.#counts[bucket]! += count);
    this.#count += other.#count;
    this.#total += other.#total;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** Summarizes the values. */
  summary(): Omit<Distribution, "count" | "total" | "p90" | "buckets"> {
    if (this.#count === 0) return { mean: 0, min: 0, max: 0, p50: 0, p99: 0 };
    return {
      mean: this.#total / this.#count,
      min: this.#min,
      max: this.#max,
      p50: this.#percentile(0.5),
      p99: this.#percentile(0.99),
    };
  }

  /** Summarizes the values, with the number in each range. */
  distribution(): Distribution {
    const buckets: Distribution["buckets"] = [];
    this.#counts.forEach((count, bucket) => {
      if (count > 0) buckets.push({ upTo: boundOf(bucket + 1), count });
    });
    return {
      count: this.#count,
      total: this.#total,
      ...this.summary(),
      p90: this.#percentile(0.9),
      buckets,
    };
  }

  #percentile(share: number): number {
    let left = this.#count * share;
    let bucket = 0;
    while (bucket < BUCKETS && (left -= this.#counts[bucket]!) > 0) bucket++;
    return Math.min(Math.max(boundOf(bucket + 0.5), this.#min), this.#max);
  }
}

function boundOf(bucket: number): number {
  return 2 ** (bucket / PER_OCTAVE + FIRST_OCTAVE);
}
