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
  /** The rate beside that of the row's first contender, round by round. */
  ratio: number;
  /** Half of the rounds' ratios lie between these. */
  spread: [low: number, high: number];
  /** Microseconds of the server's processor time a message. */
  cost: number;
  /** The first contender's cost beside this one's. */
  thrift: number;
  /** Microseconds that 50, 99 and 99.9 % of the messages took at most. */
  times: number[];
  errors: number;
}

function quantile(values: number[], share: number): number {
  const last = values.length - 1;
  return values.toSorted((a, b) => a - b)[Math.round(last * share)]!;
}

function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** Sums up the rounds of a row. */
export function summarize(servers: Started[]): Result[] {
  const base = servers[0]!.readings;
  const baseCost = median(base.map(({ cost }) => cost));
  return servers.map(({ name, readings }) => {
    const rates = readings.map(({ rate }) => rate);
    const ratios = rates.map((rate, round) => rate / base[round]!.rate);
    const cost = median(readings.map(({ cost }) => cost));
    return {
      name,
      rate: median(rates),
      ratio: median(ratios),
      spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
      cost,
      thrift: baseCost / cost,
      times: (readings[0]?.times ?? []).map((_, i) =>
        median(readings.map(({ times }) => times[i]!))
      ),
      errors: readings.reduce((sum, { errors }) => sum + errors, 0),
    };
  });
}

/** A result as a line of the table. */
export function line(result: Result): string {
  const { name, rate, ratio, spread, cost, thrift, times, errors } = result;
  const failed = errors === 0 ? "" : `   ${errors} errors`;
  return `  ${name.padEnd(40)}${
    Math.round(rate).toLocaleString("en").padStart(11)
  }${ratio.toFixed(2).padStart(7)}   ${
    spread.map((value) => value.toFixed(2)).join("–")
  }   ${cost.toFixed(1).padStart(7)} µs${thrift.toFixed(2).padStart(6)}   ${
    times.join("/")
  } µs${failed}`;
}
