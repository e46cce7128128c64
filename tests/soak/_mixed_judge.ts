/** What the mixed soak makes of its clients' outcomes. */

import type { Outcome } from "./_mixed_clients.ts";
import type { Report } from "./_mixed_program.ts";

/** How long before and after a suspension clients may find nobody. */
const MARGIN_MS = 1_500;
/** A report belongs to a client that ended within this time. */
const REPORTED_WITHIN_MS = 15_000;

/** What happened while the clients came and went. */
export interface Course {
  /** The server's class and its dispatch. */
  mode: string;
  reports: Report[];
  suspensions: [from: number, to: number][];
  /** When replicas were killed. */
  deaths: number[];
}

/** How many clients met with what. */
export interface Verdicts {
  clients: number;
  served: number;
  reported: number;
  crossed: number;
  refused: number;
  "at a suspend": number;
  "not begun": number;
}

/** Says of each good client without its right answer why that may be. */
export function judge(
  outcomes: Outcome[],
  { mode, reports, suspensions, deaths }: Course,
): { row: Verdicts; failures: string[] } {
  const failures: string[] = [];
  const row: Verdicts = {
    clients: outcomes.length,
    served: 0,
    reported: 0,
    crossed: 0,
    refused: 0,
    "at a suspend": 0,
    "not begun": 0,
  };
  for (const outcome of outcomes) {
    const { kind, client, from, spoke, to, result, isGood } = outcome;
    // Between two requests a server may end a connection at any time
    if (result === "served" || result === "ended") row.served++;
    else if (!isGood && result !== "late") row.served++;
    else if (
      reports.some((report) =>
        report.client === client &&
        Math.abs(report.at - to) < REPORTED_WITHIN_MS
      )
    ) row.reported++;
    else if (result === "crossed") row.crossed++;
    else if (
      suspensions.some(([begin, end]) =>
        from < end + MARGIN_MS && to > begin - MARGIN_MS
      ) && result !== "wrong" && result !== "late" && result !== "cut"
    ) row[result === "refused" ? "refused" : "at a suspend"]++;
    else if (
      // In a queue of its own, or accepted and not begun when its replica died
      result === "unbegun" && (mode === "ForkingTCPServer shard" ||
        mode === "ThreadingTCPServer shard" &&
          deaths.some((at) => at < to && at > from - MARGIN_MS))
    ) {
      row["not begun"]++;
    } else {
      failures.push(
        `${kind} ${client}: ${result} after ${
          (to - from).toFixed(0)
        } ms, spoke after ${(spoke - from).toFixed(0)} ms`,
      );
    }
  }
  return { row, failures };
}
