/** What is made of events and counts: log lines, Prometheus's text, spans. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Histogram } from "../../workers/base/histogram.ts";
import { printOnStderr } from "../../server/core/stderr.ts";
import {
  BaseRequestHandler,
  EchoHandler,
  formatAddress,
  logEvents,
  type ServerEvents,
  TCPServer,
  toPrometheus,
  traceRequests,
} from "../../mod.ts";
import { collectErrors, dial, readToEnd, test, writeAll } from "./_support.ts";
import { until } from "../support/waiting.ts";

async function echo(server: TCPServer, text: string): Promise<void> {
  using client = await dial(server);
  await writeAll(client, text);
  await client.closeWrite();
  assertEquals(await readToEnd(client), text);
}

test("logEvents() writes a line of text for each event", async () => {
  const lines: string[] = [];
  const server = new TCPServer({ port: 0 }, EchoHandler);
  logEvents(server, { write: (line) => void lines.push(line) });
  server.serveForever();
  await echo(server, "hello");
  await until(async () => (await server.stats()).open === 0, "it ended");
  await server.serverClose();
  const at = `127\\.0\\.0\\.1:${server.serverAddress.port}`;
  const time = "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
  const client = "client=127\\.0\\.0\\.1:\\d+";
  const expected = [
    `connection server=${at} ${client}`,
    `requestEnd server=${at} ${client} duration=[\\d.]+ bytesRead=5 bytesWritten=5 failed=false`,
    `drainStart server=${at} open=0`,
    `drainEnd server=${at} completed=0 aborted=""`,
  ];
  assertEquals(lines.length, expected.length);
  for (const [i, line] of lines.entries()) {
    assertMatch(line, new RegExp(`${time} ${expected[i]}$`));
  }
});

test("logEvents() writes errors on one line, and JSON", async () => {
  const texts: string[] = [];
  const jsons: string[] = [];
  class Failing extends EchoHandler {
    override handle(): Promise<void> {
      return Promise.reject(new RangeError('a "word"\nand more'));
    }
  }
  await using server = new TCPServer({ port: 0 }, Failing);
  const events: (keyof ServerEvents)[] = ["error"];
  using text = logEvents(server, { events, write: (l) => void texts.push(l) });
  using _json = logEvents(server, {
    events,
    format: "json",
    write: (line) => void jsons.push(line),
  });
  const errors = collectErrors(server);
  server.serveForever();
  for (let count = 1; count <= 2; count++) {
    using client = await dial(server);
    await readToEnd(client);
    await until(() => errors.length === count, "the error");
    text[Symbol.dispose]();
  }
  assertEquals([texts.length, jsons.length], [1, 2]);
  assertStringIncludes(
    texts[0]!,
    String.raw` error="RangeError: a \"word\"\nand more"`,
  );
  const { time, client, ...rest } = JSON.parse(jsons[0]!);
  assert(!Number.isNaN(Date.parse(time)));
  assertMatch(client, /^127\.0\.0\.1:\d+$/);
  assertEquals(rest, {
    event: "error",
    server: `127.0.0.1:${server.serverAddress.port}`,
    error: 'RangeError: a "word"\nand more',
  });
});

test("logEvents() refuses what can't work", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  assertThrows(
    () => logEvents(server, { writ: () => {} } as object),
    TypeError,
    'Cannot use the option "writ"',
  );
  assertThrows(
    () => logEvents(server, { write: "a file" as never }),
    TypeError,
    'Cannot use "a file" as "write"',
  );
  assertThrows(
    () => logEvents(server, { format: "xml" as "text" }),
    TypeError,
    'Cannot use "xml" as "format"',
  );
  const events = ["nothing" as "error"];
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  assertThrows(
    () => logEvents(server, { events: ["drainStart", ...events], write }),
    TypeError,
    '"nothing"',
  );
  await server.serverClose();
  assertEquals(lines, []); // what was refused listens to nothing
});

test("toPrometheus() writes counts, and cumulative buckets", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  server.on("requestEnd", () => {});
  server.serveForever();
  for (const size of [3, 100, 5_000]) await echo(server, "x".repeat(size));
  await until(async () => (await server.stats()).open === 0, "it ended");
  const labels = { name: 'a"b\\c\nd' };
  const text = toPrometheus(await server.stats(), { prefix: "my", labels });
  const label = String.raw`name="a\"b\\c\nd"`;
  const lines = text.split("\n");
  for (
    const line of [
      "# TYPE my_requests_accepted_total counter",
      `my_requests_accepted_total{${label}} 3`,
      `my_requests_open{${label}} 0`,
      "# TYPE my_request_read_bytes histogram",
      `my_request_read_bytes_bucket{${label},le="16"} 1`,
      `my_request_read_bytes_bucket{${label},le="128"} 2`,
      `my_request_read_bytes_bucket{${label},le="4096"} 2`,
      `my_request_read_bytes_bucket{${label},le="8192"} 3`,
      `my_request_read_bytes_bucket{${label},le="+Inf"} 3`,
      `my_request_read_bytes_sum{${label}} 5103`,
      `my_request_read_bytes_count{${label}} 3`,
      `my_request_duration_seconds_count{${label}} 3`,
    ]
  ) assert(lines.includes(line), `${line} is not in\n${text}`);
  assert(!text.includes("replica"));
  const form = /^(# (HELP|TYPE) my_\w+ .+|my_\w+\{.*\} [\d.e+-]+|)$/;
  for (const line of lines) assertMatch(line, form);
  const stats = await server.stats();
  assertStringIncludes(toPrometheus(stats), "\nsocketserver_requests_open 0\n");
  assertThrows(() => toPrometheus(stats, { prefix: "a b" }), TypeError);
  assertThrows(() => toPrometheus(stats, { labels: { "1": "" } }), TypeError);
  const odd: [options: object, message: string][] = [
    [{ labels: { port: 8080 } }, "labels.port"],
    [{ label: {} }, '"label"'],
  ];
  for (const [options, message] of odd) {
    assertThrows(() => toPrometheus(stats, options), TypeError, message);
  }
});

test("traceRequests() refuses to work without OpenTelemetry", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  assertThrows(
    () => traceRequests(server),
    Deno.errors.NotSupported,
    "OTEL_DENO=true",
  );
});

test("traceRequests() reports a request as a span", async () => {
  const program = new URL("./_traced_program.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", program],
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "console",
      NO_COLOR: "1",
    },
  }).output();
  const text = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  assert(success, text);
  // deno-lint-ignore no-control-regex -- it colours in spite of NO_COLOR
  const plain = text.replaceAll(/\x1b\[[\d;]*m/g, "");
  assertStringIncludes(plain, "tcp request");
  assertStringIncludes(plain, "socketserver.bytes_read: 5");
  assertMatch(plain, /client\.address: 127\.0\.0\.1/);
  assert(!plain.includes("SPAN check"));
});

test("logEvents() writes a line of plain characters, whatever is thrown, and whatever a path holds", async () => {
  class Failing extends BaseRequestHandler {
    override handle() {
      throw this.server.context;
    }
  }
  const path = "a\nb\x1b[2J\x9b\u2028";
  for (const thrown of [Object.create(null), new Error(path), path]) {
    await using server = new TCPServer({ port: 0 }, Failing, {
      context: thrown,
    });
    server.handleError = () => {};
    const { promise, resolve } = Promise.withResolvers<string>();
    const options = { events: ["error"], write: resolve } as const;
    using _text = logEvents(server, options);
    server.serveForever();
    using _client = await dial(server);
    assertMatch(await promise, /^[\x20-\x7e]+ error [\x20-\x7e]+$/);
  }
  const shown = formatAddress({ transport: "unix", path });
  assertEquals(shown, "a\\u000ab\\u001b[2J\\u009b\\u2028");
  const abstract = formatAddress({ transport: "unix", path: "\0name" });
  assertEquals(abstract, "@name");
});

test("toPrometheus() counts a value in the bucket that it bounds, and writes no label twice", async () => {
  const histogram = new Histogram();
  for (const bytes of [0, 64, 65]) histogram.record(bytes);
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const stats = await server.stats();
  const bytesRead = histogram.distribution();
  const labels = { replica: "a", le: "b" };
  const replica = { ...stats, replica: 7, state: "ready" } as const;
  const text = toPrometheus(
    { ...stats, bytesRead, replicas: [replica] },
    { labels },
  );
  const bucket = "socketserver_request_read_bytes_bucket";
  assertStringIncludes(text, `\n${bucket}{replica="a",le="64"} 2\n`);
  assertStringIncludes(text, `\n${bucket}{replica="a",le="128"} 3\n`);
  assertStringIncludes(
    text,
    '\nsocketserver_replica_requests_open{replica="7",le="b"} 0\n',
  );
});

test("printOnStderr() writes whole lines to a stderr that is full for a while", async () => {
  const { writeSync } = Deno.stderr;
  const written: string[] = [];
  const decoder = new TextDecoder();
  let isFull = false;
  Deno.stderr.writeSync = (bytes) => {
    // Five bytes, then nothing, as a pipe does that is non-blocking
    isFull = !isFull;
    if (isFull) written.push(decoder.decode(bytes.subarray(0, 5)));
    else throw new Deno.errors.WouldBlock("full");
    return Math.min(bytes.length, 5);
  };
  try {
    printOnStderr("first line\n");
    printOnStderr("second line\n");
    await until(
      () => written.join("") === "first line\nsecond line\n",
      "both lines are written",
    );
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
});
