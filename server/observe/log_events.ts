/**
 * A logger for servers.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";
import type { BaseServer } from "../base_server.ts";
import { EVENT_NAMES } from "../core/telemetry.ts";
import type { ServerEvents } from "../server_events.ts";

const PLAIN_REGEXP = /^[^\s"=\p{Cc}]+$/u;
const encoder = new TextEncoder();

/** Options of {@linkcode logEvents}. */
export interface LogOptions {
  /**
   * The format of a line: `"text"` for a time, the event and `key=value` pairs,
   * `"json"` for an object with the same keys.
   *
   * @default {"text"}
   */
  format?: "text" | "json";
  /**
   * The events to log. Events of single requests slow a busy server down.
   *
   * @default {all of them}
   */
  events?: readonly (keyof ServerEvents)[];
  /**
   * Receives each line, without an end of line.
   *
   * @default {a write to stderr}
   */
  write?: (line: string) => void;
}

/**
 * Logs each event of a server as one line, until the log is disposed.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, logEvents, TCPServer } from "@socketserver/socketserver";
 * import { assertMatch } from "@std/assert";
 *
 * const lines: string[] = [];
 * const server = new TCPServer({ port: 0 }, EchoHandler);
 * using _log = logEvents(server, { write: (line) => void lines.push(line) });
 * await server.serverClose();
 * assertMatch(lines[0]!, /^\S+Z drainStart server=127\.0\.0\.1:\d+ open=0$/);
 * ```
 *
 * @param server The server.
 * @param options The format, the events and the receiver of the lines.
 * @returns The log. Dispose it to end it.
 * @throws {TypeError} If an option has the wrong shape.
 */
export function logEvents(
  server: Pick<BaseServer<never, never>, "on" | "off">,
  options: LogOptions = {},
): Disposable {
  const { format = "text", write = writeToStderr } = options;
  const names = options.events ?? EVENT_NAMES;
  if (format !== "text" && format !== "json") {
    throw new TypeError(
      `Cannot use "${format}" as "format": expected "text" or "json"`,
    );
  }
  const ends = names.map((name) => {
    const listener = (event: ServerEvents[typeof name]) => {
      const record = describe(name, event);
      write(format === "json" ? JSON.stringify(record) : toText(record));
    };
    server.on(name, listener);
    return () => server.off(name, listener);
  });
  return {
    [Symbol.dispose]: () => {
      for (const end of ends) end();
    },
  };
}

type Entry = { time: string; event: string } & Record<string, unknown>;

/** An event as plain values under short names. */
function describe(name: string, event: object): Entry {
  const entry: Entry = { time: new Date().toISOString(), event: name };
  for (const [key, value] of Object.entries(event)) {
    if (key === "serverAddress") entry.server = formatAddress(value);
    else if (key === "clientAddress") {
      entry.client = value === null ? null : formatAddress(value);
    } else if (key === "error") {
      // handleError() prints the stack
      entry.error = value instanceof Error
        ? `${value.name}: ${value.message}`
        : String(value);
    } else if (key === "report") {
      entry.completed = value.completed;
      entry.aborted = value.aborted.map(formatAddress);
    } else {
      entry[key] = typeof value === "number"
        ? Math.round(value * 1_000) / 1_000
        : value;
    }
  }
  return entry;
}

function toText({ time, event, ...rest }: Entry): string {
  const pairs = Object.entries(rest).map(([key, value]) => {
    const text = String(value);
    return `${key}=${PLAIN_REGEXP.test(text) ? text : JSON.stringify(text)}`;
  });
  return [time, event, ...pairs].join(" ");
}

function writeToStderr(line: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(`${line}\n`));
  } catch {
    // A closed stderr must not stop the server
  }
}
