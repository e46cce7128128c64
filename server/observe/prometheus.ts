/**
 * A server's counts in the format of Prometheus.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_types.ts";
import { assertOptions, assertType } from "../../workers/base/check.ts";
import type { Distribution } from "../../workers/base/histogram.ts";

const LABEL_REGEXP = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const ESCAPES: Record<string, string> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
};

/** A metric: its field in the counts, its name and its help text. */
type Metric = [key: string, name: string, help: string];

/** Counters: they only grow. */
const COUNTERS: Metric[] = [
  ["accepted", "requests_accepted", "Requests taken from the socket."],
  ["rejected", "requests_rejected", "Requests verifyRequest() turned away."],
  ["refused", "requests_refused", "Requests refused because of a limit."],
  ["waited", "requests_waited", "Requests that a limit made wait."],
  ["failedHandshakes", "tls_handshakes_failed", "TLS handshakes that failed."],
  ["badProxyHeaders", "proxy_headers_bad", "PROXY headers that were no good."],
  ["errors", "errors", "Errors of handlers and hooks."],
  ["disconnects", "disconnects", "Clients that left during a request."],
  ["timeouts", "timeouts", "Requests that ran into a time-out."],
  ["acceptErrors", "accept_errors", "Failures to accept."],
  ["dropped", "replies_dropped", "Packets that could not be answered."],
  ["restarts", "replica_restarts", "Replicas that ended or did not answer."],
  ["replaced", "replicas_replaced", "Replicas replaced while they worked."],
];

/** Gauges: values of this moment. */
const GAUGES: Metric[] = [
  ["open", "requests_open", "Requests open now."],
  ["workers", "replicas", "Replicas there are now."],
];

const DURATION: Metric = [
  "duration",
  "request_duration_seconds",
  "How long requests took.",
];

/** The same of each replica. */
const OF_REPLICAS: [type: string, metric: Metric][] = [
  ["gauge", ["open", "replica_requests_open", "Requests open in a replica."]],
  ["counter", ["errors", "replica_errors", "Errors in a replica."]],
  ["histogram", [
    "duration",
    "replica_request_duration_seconds",
    "How long requests took in a replica.",
  ]],
];

const SIZES: Metric[] = [
  ["bytesRead", "request_read_bytes", "Bytes read, of watched requests."],
  ["bytesWritten", "request_written_bytes", "Bytes written, likewise."],
];

/** The bounds of the buckets, as powers of two: of a millisecond, of a byte. */
const DURATION_POWERS = [-3, 16];
const SIZE_POWERS = [4, 26];

/** Options of {@linkcode toPrometheus}. */
export interface PrometheusOptions {
  /**
   * The prefix of all names.
   *
   * @default {"socketserver"}
   */
  prefix?: string;
  /**
   * Labels of all values, for example the server's name. A metric's own
   * labels, `replica` and `le`, replace those of the same name.
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
 * @param stats The result of `server.stats()`.
 * @param options The prefix and the labels.
 * @returns The text, with an end of line.
 * @throws {TypeError} If the prefix or a label is invalid.
 */
export function toPrometheus(
  stats: ServerStats,
  options: PrometheusOptions = {},
): string {
  assertOptions(options, "toPrometheus()", ["prefix", "labels"]);
  const { prefix = "socketserver", labels = {} } = options;
  for (const name of [prefix, ...Object.keys(labels)]) {
    if (!LABEL_REGEXP.test(name)) {
      throw new TypeError(
        `Cannot use "${name}" as a name for Prometheus: expected letters, digits and "_"`,
      );
    }
  }
  for (const [name, value] of Object.entries(labels)) {
    assertType(`labels.${name}`, value, typeof value === "string", "a string");
  }
  const page = new Page(prefix, labels);
  const whole: Series[] = [[{ ...stats }, []]];
  for (const metric of COUNTERS) page.metric("counter", metric, whole);
  for (const metric of GAUGES) page.metric("gauge", metric, whole);
  for (const metric of [DURATION, ...SIZES]) {
    page.metric("histogram", metric, whole);
  }
  const replicas = (stats.replicas ?? []).map((replica): Series => [
    { ...replica },
    [["replica", String(replica.replica)]],
  ]);
  for (const [type, metric] of OF_REPLICAS) page.metric(type, metric, replicas);
  return page.text;
}

type Labels = [name: string, value: string][];
/** Counts and their labels. */
type Series = [counts: Record<string, unknown>, labels: Labels];

class Page {
  text = "";
  #prefix: string;
  #labels: Labels;

  constructor(prefix: string, labels: Readonly<Record<string, string>>) {
    this.#prefix = prefix;
    this.#labels = Object.entries(labels);
  }

  /** Writes a metric for all counts that have it. */
  metric(type: string, [key, base, help]: Metric, all: Series[]): void {
    const name = type === "counter" ? `${base}_total` : base;
    const having = all.filter(([counts]) => counts[key] !== undefined);
    if (having.length > 0) this.#head(type, name, help);
    for (const [counts, labels] of having) {
      const value = counts[key] as number | Distribution;
      if (typeof value === "number") this.#line(name, value, labels);
      else this.#histogram(name, value, labels);
    }
  }

  #histogram(name: string, distribution: Distribution, labels: Labels): void {
    const { count, total, buckets } = distribution;
    const isTime = name.endsWith("_seconds");
    const unit = isTime ? 1_000 : 1;
    const [first = 0, last = 0] = isTime ? DURATION_POWERS : SIZE_POWERS;
    for (let power = first; power <= last; power++) {
      const bound = 2 ** power;
      // The buckets' bounds are powers of the eighth root of 2
      const below = buckets.filter(({ upTo }) => upTo < bound * 1.01);
      const sum = below.reduce((sum, { count }) => sum + count, 0);
      const le = String(bound / unit);
      this.#line(`${name}_bucket`, sum, [...labels, ["le", le]]);
    }
    this.#line(`${name}_bucket`, count, [...labels, ["le", "+Inf"]]);
    this.#line(`${name}_sum`, total / unit, labels);
    this.#line(`${name}_count`, count, labels);
  }

  #head(type: string, name: string, help: string): void {
    const full = `${this.#prefix}_${name}`;
    this.text += `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
  }

  #line(name: string, value: number, more: Labels): void {
    // A map: a name written twice makes the whole page invalid
    const all = new Map([...this.#labels, ...more]);
    const labels = [...all].map(([name, value]) =>
      `${name}="${value.replaceAll(/[\\"\n]/g, (c) => ESCAPES[c]!)}"`
    );
    const list = labels.length === 0 ? "" : `{${labels.join(",")}}`;
    this.text += `${this.#prefix}_${name}${list} ${value}\n`;
  }
}
