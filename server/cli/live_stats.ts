/**
 * The options `--stats` and `--top`.
 *
 * @module
 */

import type { Distribution } from "../../workers/base/histogram.ts";
import type {
  ReplicaStats,
  ServerStats,
} from "../../handlers/request_types.ts";
import { leave, printed, printNote, show } from "./output.ts";
import type { CliServer } from "./servers.ts";
import { isDisconnect } from "../core/faults.ts";
import type { RequestErrorEvent } from "../server_events.ts";

const COLUMNS: [title: string, show: (replica: ReplicaStats) => unknown][] = [
  ["replica", ({ replica }) => replica],
  ["state", ({ state }) => state],
  ["open", ({ open }) => open],
  ["requests", ({ duration }) => duration.count],
  ["errors", ({ errors }) => errors],
  ["p50 ms", ({ duration }) => toMs(duration, "p50")],
  ["p99 ms", ({ duration }) => toMs(duration, "p99")],
];

/** Shows a server's counts again and again, until it is disposed. */
export class LiveStats implements Disposable {
  readonly #server: CliServer;
  readonly #table: boolean;
  readonly #period: number;
  readonly #terminal: boolean = Deno.stderr.isTerminal();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #accepted = 0;
  #at = performance.now();
  #stalls = 0;

  /** Shows a line every `seconds`, or a table every second if none are given. */
  constructor(server: CliServer, seconds?: number) {
    this.#server = server;
    this.#table = seconds === undefined;
    this.#period = (seconds ?? 1) * 1_000;
    server.on("replicaStall", this.#onStall);
    server.on("error", this.#onError);
    if (this.#terminal) void this.#update();
    else this.#wait();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#server.off("replicaStall", this.#onStall);
    this.#server.off("error", this.#onError);
    leave();
  }

  #onStall = (): void => void this.#stalls++;

  /** A replica prints its errors itself: below what is shown. */
  #onError = ({ error }: RequestErrorEvent): void => {
    if (!isDisconnect(error)) leave();
  };

  #wait(): void {
    this.#timer = setTimeout(() => void this.#update(), this.#period);
  }

  async #update(): Promise<void> {
    const stats = await this.#server.stats();
    await printed(); // lines that are on their way come above
    if (this.#ended) return;
    const line = this.#summarize(stats);
    if (!this.#terminal) printNote(`${new Date().toISOString()} ${line}`);
    else show(this.#table ? [line, ...toTable(stats.replicas ?? [])] : [line]);
    this.#wait();
  }

  #summarize(stats: ServerStats): string {
    const now = performance.now();
    const rate = (stats.accepted - this.#accepted) * 1_000 / (now - this.#at);
    [this.#accepted, this.#at] = [stats.accepted, now];
    const parts = [
      `${stats.open} open`,
      `${stats.accepted} accepted (${Math.round(rate)}/s)`,
      `${stats.errors} errors`,
      `p50 ${toMs(stats.duration, "p50")} ms`,
      `p99 ${toMs(stats.duration, "p99")} ms`,
    ];
    if (stats.workers !== undefined) parts.push(`${stats.workers} replicas`);
    // The rare is left out while it is none: a terminal has 80 columns
    if (stats.refused > 0) parts.push(`${stats.refused} refused`);
    if (stats.restarts) parts.push(`${stats.restarts} restarts`);
    if (this.#stalls > 0) parts.push(`${this.#stalls} stalls`);
    return parts.join(", ");
  }
}

function toTable(replicas: ReplicaStats[]): string[] {
  const rows = replicas.map((replica) =>
    COLUMNS.map(([, show]) => String(show(replica)))
  );
  return [COLUMNS.map(([title]) => title), ...rows].map((row) =>
    row.map((cell, column) => cell.padStart(column === 0 ? 7 : 10)).join("")
  );
}

function toMs(durations: Distribution, percentile: "p50" | "p99"): string {
  if (durations.count === 0) return "-";
  const duration = durations[percentile];
  return duration.toFixed(duration < 10 ? 2 : 0);
}
