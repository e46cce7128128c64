/**
 * Adding up counts.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_server.ts";

const COUNTS = [
  "accepted",
  "open",
  "rejected",
  "errors",
  "disconnects",
  "timeouts",
  "acceptErrors",
  "dropped",
] as const;

/** Adds up the counts of several servers, as far as they are known. */
export function addStats(all: (ServerStats | null)[]): ServerStats {
  const sum = {} as ServerStats;
  for (const count of COUNTS) {
    sum[count] = all.reduce((total, stats) => total + (stats?.[count] ?? 0), 0);
  }
  return sum;
}
