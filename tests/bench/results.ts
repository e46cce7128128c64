/**
 * What the rounds of a row come to.
 *
 * @module
 */

import type { Started } from "./servers.ts";

/** What was found of one contender. */
export interface Result {
  name: string;
  /** Messages a second: the median of the rounds. */
  rate: number;
  /** The rate beside that of the row's first contender. */
  ratio: number;
  /** The least and the most of that in any one round. */
  spread: [least: number, most: number];
  /** Microseconds that 50, 99 and 99.9 % of the messages took at most. */
  times: number[];
  errors: number;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Sums up the rounds of a row. */
export function summarize(servers: Started[]): Result[] {
  const base = servers[0]!.readings.map(({ rate }) => rate);
  return servers.map(({ name, readings }) => {
    const rates = readings.map(({ rate }) => rate);
    const ratios = rates.map((rate, round) => rate / base[round]!);
    return {
      name,
      rate: median(rates),
      ratio: median(rates) / median(base),
      spread: [Math.min(...ratios), Math.max(...ratios)],
      times: (readings[0]?.times ?? []).map((_, i) =>
        median(readings.map(({ times }) => times[i]!))
      ),
      errors: readings.reduce((sum, { errors }) => sum + errors, 0),
    };
  });
}

/** A result as a line of the table. */
export function line(result: Result): string {
  const { name, rate, ratio, spread, times, errors } = result;
  const failed = errors === 0 ? "" : `   ${errors} errors`;
  return `  ${name.padEnd(40)}${
    Math.round(rate).toLocaleString("en").padStart(11)
  }${ratio.toFixed(2).padStart(7)}   ${
    spread.map((value) => value.toFixed(2)).join("–")
  }   ${times.join("/")} µs${failed}`;
}
