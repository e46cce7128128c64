/**
 * The arguments of the commands.
 *
 * @module
 */

import type { TcpServerOptions, UdpServerOptions } from "../options.ts";
import type { Dispatch, ReplicaOptions } from "../options.ts";
import {
  ADDRESS_OPTIONS,
  isDatagram,
  parseAddress,
  type Where,
} from "./address.ts";
import { UsageError } from "./usage_error.ts";
import * as read from "./values.ts";
import { splitCommand } from "./words.ts";

const DEFAULT_ANSWER_TIMEOUT_MS = 1_000;
const MODES = ["threading", "event-loop", "forking"] as const;
const DISPATCHES = ["auto", "shard", "relay", "isolate"] as const;

/** Where handlers run. */
export type Mode = typeof MODES[number];

/** What `serve` was told. */
export interface ServeCommand extends Where {
  mode: Mode;
  handler: string;
  /** The command to run for each connection, in the place of a handler. */
  exec: string[] | null;
  /** How requests are printed. */
  log: "plain" | "none" | "text" | "json";
  /** The options of the server's class; those not given are left out. */
  options: Partial<
    & Pick<TcpServerOptions, "maxConnections" | "shutdownTimeout">
    & Pick<UdpServerOptions, "maxPacketSize">
    & Pick<ReplicaOptions, "workers" | "dispatch">
  >;
}

/** What `client` was told. */
export interface ClientCommand extends Where {
  /** How long an answer to a packet is waited for, in milliseconds. */
  timeout: number;
}

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

/** Reads the arguments of `serve`. */
export function parseServe(args: string[]): ServeCommand | "help" {
  const { values, positionals } = read.parse(args, SERVE_OPTIONS);
  if (values.help) return "help";
  const where = parseAddress(values, positionals);
  const mode = read.choice(values, "mode", MODES) ?? "threading";
  refuseWithoutEffect(values, where, mode);
  read.exclude(values, ["handler", "exec"]);
  const exec = read.text(values, "exec");
  return {
    ...where,
    mode,
    handler: read.text(values, "handler") ?? "echo",
    exec: exec === undefined ? null : splitCommand(exec),
    log: values.quiet ? "none" : "plain",
    options: read.given({
      maxConnections: read.integer(values, "max-connections", 1),
      maxPacketSize: read.integer(values, "max-packet-size", 1),
      shutdownTimeout: read.integer(values, "shutdown-timeout", 0),
      workers: read.integer(values, "workers", 1),
      dispatch: read.choice<Dispatch>(values, "dispatch", DISPATCHES),
    }),
  };
}

function refuseWithoutEffect(
  values: read.Values,
  { transport }: Where,
  mode: Mode,
): void {
  if (mode === "event-loop") {
    read.refuse(
      values,
      ["workers", "dispatch"],
      "--mode threading or forking",
    );
  }
  if (isDatagram(transport)) {
    read.refuse(values, ["exec"], "--transport tcp or unix");
  } else {
    const needed = "--transport udp or unix-datagram";
    read.refuse(values, ["max-packet-size"], needed);
  }
}

/** Reads the arguments of `client`. */
export function parseClient(args: string[]): ClientCommand | "help" {
  const { values, positionals } = read.parse(args, CLIENT_OPTIONS);
  if (values.help) return "help";
  const where = parseAddress(values, positionals);
  if (!isDatagram(where.transport)) {
    read.refuse(values, ["timeout"], "--transport udp or unix-datagram");
  }
  if ("port" in where.address && where.address.port === 0) {
    throw new UsageError("Cannot connect to port 0: give the server's --port");
  }
  const timeout = read.integer(values, "timeout", 1) ??
    DEFAULT_ANSWER_TIMEOUT_MS;
  return { ...where, timeout };
}
