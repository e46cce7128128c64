/** Sources and dice for the tests of readers and writers. */

import type { ReaderSource } from "../../mod.ts";
import { clock } from "../../handlers/_internal.ts";
import { TestClock } from "../../server/testing.ts";

/** Numbers that are the same for the same seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed;
  }

  /** An integer of 0 or more, below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  /** One of some values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** Runs `run` with dice of many seeds; a failure tells its seed. */
export async function forSeeds(
  count: number,
  run: (dice: Dice) => Promise<void>,
): Promise<void> {
  const first = Number(Deno.env.get("FUZZ_SEED") ?? Date.now() % 1e9);
  for (let seed = first; seed < first + count; seed++) {
    try {
      await run(new Dice(seed));
    } catch (cause) {
      throw new Error(`Failed with FUZZ_SEED=${seed}: ${cause}`, { cause });
    }
  }
}

/** Gives bytes in chunks of random sizes. */
export class ChunkySource implements ReaderSource {
  /** The number of bytes that it has given. */
  given = 0;
  ended = false;
  #rest: Uint8Array;
  #dice: Dice;
  #largest: number;

  constructor(bytes: Uint8Array, dice: Dice, largest: number) {
    this.#rest = bytes;
    this.#dice = dice;
    this.#largest = largest;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#dice.below(3) === 0) await null;
    if (this.#rest.length === 0) {
      this.ended = true;
      return null;
    }
    const size = 1 + this.#dice.below(this.#largest);
    const count = Math.min(into.length, size, this.#rest.length);
    into.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    this.given += count;
    return count;
  }
}

/**
 * Gives what it is told to, when it is told to; like a connection, in a time of
 * its own.
 */
export class ManualSource implements ReaderSource {
  readonly [clock] = new TestClock();
  #queue: (Uint8Array | null)[] = [];
  #waiting: (() => void) | null = null;
  reads = 0;

  /** Lets time pass. */
  wait(ms: number): Promise<void> {
    return this[clock].advance(ms);
  }

  push(text: string | null): void {
    this.#queue.push(text === null ? null : new TextEncoder().encode(text));
    this.#waiting?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    this.reads++;
    if (this.#queue.length === 0) {
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
    const bytes = this.#queue.shift() ?? null;
    if (bytes === null) return null;
    into.set(bytes);
    return bytes.length;
  }
}
