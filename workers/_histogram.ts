/**
 * Counting quantities by their size.
 *
 * @module
 */

/** How many buckets there are from a quantity to its double. */
const PER_OCTAVE = 8;
/** The first bucket ends near 2 ** -14: 60 nanoseconds, in milliseconds. */
const FIRST_OCTAVE = -14;
/** The last bucket is that of two days in milliseconds, or 256 MB. */
const BUCKETS = 42 * PER_OCTAVE;

/** How quantities are spread: the times or the sizes of requests, say. */
export interface Distribution {
  /** How many there were. */
  count: number;
  /** Their sum. */
  total: number;
  /** The mean; like those below 0 when there were none. */
  mean: number;
  /** The smallest. */
  min: number;
  /** The largest. */
  max: number;
  /** Half of them were no larger than this, within a tenth. */
  p50: number;
  /** 90 of 100 were no larger than this, within a tenth. */
  p90: number;
  /** 99 of 100 were no larger than this, within a tenth. */
  p99: number;
  /** How many there were in each range up to `upTo`; empty ranges are left out. */
  buckets: { upTo: number; count: number }[];
}

/** Quantities, told apart by a tenth of their size. */
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
   * Counts a quantity.
   *
   * @param quantity What was measured: milliseconds, bytes.
   */
  record(quantity: number): void {
    // Two threads' clocks may differ by a hair
    if (quantity < 0) quantity = 0;
    const octave = Math.max(Math.log2(quantity) - FIRST_OCTAVE, 0);
    const bucket = Math.min(Math.floor(octave * PER_OCTAVE), BUCKETS - 1);
    this.#counts[bucket]!++;
    this.#count++;
    this.#total += quantity;
    if (quantity < this.#min) this.#min = quantity;
    if (quantity > this.#max) this.#max = quantity;
  }

  /**
   * Counts what another has counted.
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

  /** Sums up. */
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

  /** Sums up, and tells how many there are of each size. */
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
