/**
 * Counts of servers for Prometheus.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_server.ts";
import type { Distribution } from "../workers/_histogram.ts";

const LABEL_REGEXP = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const ESCAPES: Record<string, string> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
};

/** What is counted from the start on. */
const COUNTERS: Partial<
  Record<keyof ServerStats, [name: string, help: string]>
> = {
  accepted: ["requests_accepted", "Requests taken from the socket."],
  rejected: ["requests_rejected", "Requests that verifyRequest() turned away."],
  refused: ["requests_refused", "Requests refused because of a limit."],
  waited: ["requests_waited", "Requests that a limit made wait."],
  failedHandshakes: ["tls_handshakes_failed", "TLS handshakes that failed."],
  badProxyHeaders: [
    "proxy_headers_bad",
    "Connections closed for their PROXY header.",
  ],
  errors: ["errors", "Errors of handlers and hooks."],
  disconnects: ["disconnects", "Clients that left in the middle of a request."],
  timeouts: ["timeouts", "Requests that ran into a time-out."],
  acceptErrors: ["accept_errors", "Failures to accept."],
  dropped: ["replies_dropped", "Replies to clients without an address."],
  restarts: ["replica_restarts", "Replicas that were replaced."],
};

/** What holds for this moment. */
const GAUGES: Partial<Record<keyof ServerStats, [name: string, help: string]>> =
  {
    open: ["requests_open", "Requests open now."],
    workers: ["replicas", "Replicas there are now."],
  };

/** The bounds of the buckets, as powers of two: of a millisecond, of a byte. */
const DURATION_POWERS = [-3, 16];
const SIZE_POWERS = [4, 26];

/** Options of {@linkcode toPrometheus}. */
export interface PrometheusOptions {
  /**
   * What all names begin with.
   *
   * @default {"socketserver"}
   */
  prefix?: string;
  /**
   * Labels of all values, to tell servers apart.
   *
   * @default {{}}
   */
  labels?: Readonly<Record<string, string>>;
}

/**
 * Writes a server's counts in the text format of Prometheus, version 0.0.4.
 *
 * @example An endpoint
 * ```ts
 * import { EchoHandler, TCPServer, toPrometheus } from "@socketserver/socketserver";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, EchoHandler);
 * await using metrics = Deno.serve({ port: 0, onListen() {} }, async () => {
 *   const text = toPrometheus(await server.stats(), { labels: { name: "echo" } });
 *   return new Response(text, {
 *     headers: { "content-type": "text/plain; version=0.0.4" },
 *   });
 * });
 * const response = await fetch(`http://localhost:${metrics.addr.port}/metrics`);
 * assertStringIncludes(
 *   await response.text(),
 *   'socketserver_requests_open{name="echo"} 0\n',
 * );
 * ```
 *
 * @param stats What `server.stats()` gave.
 * @param options The names' prefix and the labels.
 * @returns The text, with an end of line.
 * @throws {TypeError} If the prefix or a label's name can't be one.
 */
export function toPrometheus(
  stats: ServerStats,
  options: PrometheusOptions = {},
): string {
  const { prefix = "socketserver", labels = {} } = options;
  for (const name of [prefix, ...Object.keys(labels)]) {
    if (!LABEL_REGEXP.test(name)) {
      throw new TypeError(
        `Cannot use "${name}" as a name for Prometheus: expected letters, digits and "_"`,
      );
    }
  }
  const page = new Page(prefix, labels);
  for (const [key, [name, help]] of Object.entries(COUNTERS)) {
    page.value("counter", `${name}_total`, help, stats[key as "accepted"]);
  }
  for (const [key, [name, help]] of Object.entries(GAUGES)) {
    page.value("gauge", name, help, stats[key as "open"]);
  }
  const { duration, bytesRead, bytesWritten } = stats;
  page.histogram(
    ...["request_duration_seconds", "How long requests took."] as const,
    ...[duration, 1_000, DURATION_POWERS] as const,
  );
  page.histogram(
    ...[
      "request_read_bytes",
      "Bytes read in requests that were watched.",
    ] as const,
    ...[bytesRead, 1, SIZE_POWERS] as const,
  );
  page.histogram(
    ...[
      "request_written_bytes",
      "Bytes written in requests that were watched.",
    ] as const,
    ...[bytesWritten, 1, SIZE_POWERS] as const,
  );
  return page.text;
}

class Page {
  text = "";
  #prefix: string;
  #labels: [name: string, value: string][];

  constructor(prefix: string, labels: Readonly<Record<string, string>>) {
    this.#prefix = prefix;
    this.#labels = Object.entries(labels);
  }

  value(type: string, name: string, help: string, value?: number): void {
    if (value === undefined) return;
    this.#head(type, name, help);
    this.#line(name, value);
  }

  /** `unit` is how many of the distribution's make one of Prometheus's. */
  histogram(
    name: string,
    help: string,
    { count, total, buckets }: Distribution,
    unit: number,
    [first = 0, last = 0]: readonly number[],
  ): void {
    this.#head("histogram", name, help);
    for (let power = first; power <= last; power++) {
      const bound = 2 ** power;
      // The buckets' bounds are powers of the eighth root of 2
      const below = buckets.filter(({ upTo }) => upTo < bound * 1.01);
      const sum = below.reduce((sum, { count }) => sum + count, 0);
      this.#line(`${name}_bucket`, sum, ["le", String(bound / unit)]);
    }
    this.#line(`${name}_bucket`, count, ["le", "+Inf"]);
    this.#line(`${name}_sum`, total / unit);
    this.#line(`${name}_count`, count);
  }

  #head(type: string, name: string, help: string): void {
    const full = `${this.#prefix}_${name}`;
    this.text += `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
  }

  #line(name: string, value: number, ...more: [string, string][]): void {
    const labels = [...this.#labels, ...more].map(([name, value]) =>
      `${name}="${value.replaceAll(/[\\"\n]/g, (c) => ESCAPES[c]!)}"`
    );
    const list = labels.length === 0 ? "" : `{${labels.join(",")}}`;
    this.text += `${this.#prefix}_${name}${list} ${value}\n`;
  }
}
