/** What the mixed soak makes of its clients' outcomes. */

import type { Outcome } from "./_mixed_clients.ts";
import type { Report } from "./_mixed_program.ts";

/** How long before and after a suspension clients may find nobody. */
const MARGIN_MS = 1_500;
/** A report belongs to a client that ended within this time. */
const REPORTED_WITHIN_MS = 15_000;
/**
 * A replica that leaves gives clients which have connected 50 ms to say a first
 * word. On a busy machine some come too late.
 */
const SPEAKS_WITHIN_MS = 40;

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
  "ended idle": number;
  refused: number;
  "at a suspend": number;
  "spoke late": number;
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
    "ended idle": 0,
    refused: 0,
    "at a suspend": 0,
    "spoke late": 0,
    "not begun": 0,
  };
  for (const outcome of outcomes) {
    const { kind, client, from, spoke, to, result, isGood } = outcome;
    if (result === "served") row.served++;
    else if (result === "ended") row["ended idle"]++;
    else if (!isGood && result !== "late") row.served++;
    else if (
      reports.some((report) =>
        report.client === client &&
        Math.abs(report.at - to) < REPORTED_WITHIN_MS
      )
    ) row.reported++;
    else if (
      suspensions.some(([begin, end]) =>
        from < end + MARGIN_MS && to > begin - MARGIN_MS
      ) && result !== "wrong" && result !== "late" && result !== "cut"
    ) row[result === "refused" ? "refused" : "at a suspend"]++;
    else if (result === "unbegun" && spoke - from > SPEAKS_WITHIN_MS) {
      row["spoke late"]++;
    } else if (
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
