/**
 * A logger for servers.
 *
 * @module
 */

import { escapeControls, formatAddress } from "../../handlers/_internal.ts";
import { assertOptions, assertType } from "../../workers/base/check.ts";
import type { BaseServer } from "../base_server.ts";
import { printOnStderr } from "../core/stderr.ts";
import { EVENT_NAMES } from "../_internal.ts";
import type { ServerEvents } from "../server_events.ts";

const PLAIN_REGEXP = /^[^\s"=\p{Cc}\p{Cf}]+$/u;

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
  assertOptions(options, "logEvents()", ["format", "events", "write"]);
  const { format = "text", write = writeToStderr } = options;
  assertType("write", write, typeof write === "function", "a function");
  const names = options.events ?? EVENT_NAMES;
  if (format !== "text" && format !== "json") {
    throw new TypeError(
      `Cannot use "${format}" as "format": expected "text" or "json"`,
    );
  }
  const ends: (() => void)[] = [];
  const log = {
    [Symbol.dispose]: () => {
      for (const end of ends) end();
    },
  };
  try {
    for (const name of names) ends.push(follow(server, name, format, write));
  } catch (error) {
    log[Symbol.dispose](); // a name is none of an event
    throw error;
  }
  return log;
}

function follow<K extends keyof ServerEvents>(
  server: Pick<BaseServer<never, never>, "on" | "off">,
  name: K,
  format: "text" | "json",
  write: (line: string) => void,
): () => void {
  const listener = (event: ServerEvents[K]) => {
    const record = describe(name, event);
    // What a client sends, or its path, can't forge a line
    write(escapeControls(
      format === "json" ? JSON.stringify(record) : toText(record),
    ));
  };
  server.on(name, listener);
  return () => server.off(name, listener);
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
      entry.error = describeError(value);
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

/** User code may throw anything, also what can't be looked at. */
function describeError(error: unknown): string {
  try {
    return error instanceof Error
      ? `${error.name}: ${error.message}`
      : String(error);
  } catch {
    return "what was thrown can't be described";
  }
}

function writeToStderr(line: string): void {
  printOnStderr(`${line}\n`);
}
