/**
 * The arguments of the command line.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import type { TcpAddress, UnixAddress } from "../addresses.ts";
import { UsageError } from "./usage_error.ts";
import { splitCommand } from "./words.ts";

const DIGITS_REGEXP = /^\d+$/;
const DEFAULT_HOSTNAME = "127.0.0.1";
const DEFAULT_PORT = 8080;
const DEFAULT_ANSWER_TIMEOUT_MS = 1_000;

const TRANSPORTS = ["tcp", "udp", "unix", "unix-datagram"] as const;
const MODES = ["threading", "event-loop", "forking"] as const;
const DISPATCHES = ["auto", "shard", "relay", "isolate"] as const;

/** What carries the bytes. */
export type Transport = typeof TRANSPORTS[number];
/** Where handlers run. */
export type Mode = typeof MODES[number];
/** How replicas get their requests. */
export type Dispatch = typeof DISPATCHES[number];

/** What `serve` was told. */
export interface ServeCommand {
  transport: Transport;
  mode: Mode;
  address: TcpAddress | UnixAddress;
  handler: string;
  /** The command to run for each connection, in the place of a handler. */
  exec: string[] | null;
  quiet: boolean;
  /** The options of the server's class; those not given are left out. */
  options: {
    maxConnections?: number;
    shutdownTimeout?: number;
    maxPacketSize?: number;
    workers?: number;
    dispatch?: Dispatch;
  };
}

/** What `client` was told. */
export interface ClientCommand {
  transport: Transport;
  address: TcpAddress | UnixAddress;
  /** How long an answer to a packet is waited for, in milliseconds. */
  timeout: number;
}

const ADDRESS_OPTIONS = {
  transport: { type: "string", short: "t" },
  hostname: { type: "string" },
  port: { type: "string", short: "p" },
  path: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

const SERVE_OPTIONS = {
  ...ADDRESS_OPTIONS,
  handler: { type: "string" },
  exec: { type: "string" },
  mode: { type: "string", short: "m" },
  workers: { type: "string" },
  dispatch: { type: "string" },
  "max-connections": { type: "string" },
  "max-packet-size": { type: "string" },
  "shutdown-timeout": { type: "string" },
  quiet: { type: "boolean", short: "q" },
} as const;

const CLIENT_OPTIONS = {
  ...ADDRESS_OPTIONS,
  timeout: { type: "string" },
} as const;

type Values = Partial<Record<string, string | boolean>>;

/** Whether requests are packets. */
export function isDatagram(transport: Transport): boolean {
  return transport === "udp" || transport === "unix-datagram";
}

/** Whether the address is a path. */
export function isUnix(transport: Transport): boolean {
  return transport === "unix" || transport === "unix-datagram";
}

/** Reads the arguments of `serve`. */
export function parseServe(args: string[]): ServeCommand | "help" {
  const values = parse(args, SERVE_OPTIONS);
  if (values.help) return "help";
  const transport = choice(values, "transport", TRANSPORTS);
  const mode = choice(values, "mode", MODES);
  if (mode === "event-loop") {
    refuse(values, ["workers", "dispatch"], "--mode threading or forking");
  }
  if (!isDatagram(transport)) {
    refuse(values, ["max-packet-size"], "--transport udp or unix-datagram");
  }
  if (isDatagram(transport)) {
    refuse(values, ["exec"], "--transport tcp or unix");
  }
  const exec = text(values, "exec");
  if (exec !== undefined && values.handler !== undefined) {
    throw new UsageError("Cannot use both --handler and --exec: give one");
  }
  return {
    transport,
    mode,
    address: parseAddress(values, transport),
    handler: text(values, "handler") ?? "echo",
    exec: exec === undefined ? null : splitCommand(exec),
    quiet: values.quiet === true,
    options: {
      ...given("maxConnections", integer(values, "max-connections", 1)),
      ...given("maxPacketSize", integer(values, "max-packet-size", 1)),
      ...given("shutdownTimeout", integer(values, "shutdown-timeout", 0)),
      ...given("workers", integer(values, "workers", 1)),
      ...given(
        "dispatch",
        values.dispatch === undefined
          ? undefined
          : choice(values, "dispatch", DISPATCHES),
      ),
    },
  };
}

/** Reads the arguments of `client`. */
export function parseClient(args: string[]): ClientCommand | "help" {
  const values = parse(args, CLIENT_OPTIONS);
  if (values.help) return "help";
  const transport = choice(values, "transport", TRANSPORTS);
  if (!isDatagram(transport)) {
    refuse(values, ["timeout"], "--transport udp or unix-datagram");
  }
  const address = parseAddress(values, transport);
  if ("port" in address && address.port === 0) {
    throw new UsageError("Cannot connect to port 0: give the server's --port");
  }
  const timeout = integer(values, "timeout", 1) ?? DEFAULT_ANSWER_TIMEOUT_MS;
  return { transport, address, timeout };
}

function parse(
  args: string[],
  options: NonNullable<ParseArgsConfig["options"]>,
): Values {
  try {
    return parseArgs({ args, options }).values as Values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const [sentence = ""] = error.message.split(/\.\s/);
    const problem = sentence.replaceAll("'", '"').replace(
      /argument (missing|is ambiguous)$/,
      "needs a value",
    );
    throw new UsageError(`${problem}; --help shows what there is`);
  }
}

function parseAddress(
  values: Values,
  transport: Transport,
): TcpAddress | UnixAddress {
  if (!isUnix(transport)) {
    refuse(values, ["path"], "--transport unix or unix-datagram");
    return {
      hostname: text(values, "hostname") ?? DEFAULT_HOSTNAME,
      port: integer(values, "port", 0, 65_535) ?? DEFAULT_PORT,
    };
  }
  refuse(values, ["hostname", "port"], "--transport tcp or udp");
  const path = text(values, "path");
  if (path === undefined) {
    throw new UsageError(`--transport ${transport} needs a --path`);
  }
  return { path };
}

function text(values: Values, name: string): string | undefined {
  const value = values[name] as string | undefined;
  if (value === "") throw new UsageError(`--${name} is empty: give a value`);
  return value;
}

/** One of `choices`, the first unless given. */
function choice<T extends string>(
  values: Values,
  name: string,
  choices: readonly [T, ...T[]],
): T {
  const value = values[name] ?? choices[0];
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected ${choices.join(", ")}`,
  );
}

function integer(
  values: Values,
  name: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const number = DIGITS_REGEXP.test(String(value)) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  const range = max === Number.MAX_SAFE_INTEGER
    ? `of ${min} or more`
    : `from ${min} to ${max}`;
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected an integer ${range}`,
  );
}

function refuse(values: Values, names: string[], needed: string): void {
  const name = names.find((name) => values[name] !== undefined);
  if (name === undefined) return;
  throw new UsageError(`--${name} has no effect without ${needed}`);
}

function given<N extends string, T>(
  name: N,
  value: T | undefined,
): { [K in N]?: T } {
  return value === undefined ? {} : { [name]: value } as { [K in N]?: T };
}
