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
  isUnix,
  parseAddress,
  type Where,
} from "./address.ts";
import { UsageError } from "./usage_error.ts";
import * as read from "./values.ts";
import { splitCommand } from "./words.ts";

const DEFAULT_ANSWER_TIMEOUT_MS = 1_000;
/** A timer of more would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A handler from a file, in a URL or not. */
const FILE_REGEXP = /^(?:file:|(?!\w{2,}:)).*#/;
const PERMISSIONS = ["none", "inherit"] as const;
const MODES = ["threading", "event-loop", "forking"] as const;
const DISPATCHES = ["auto", "shard", "relay", "isolate"] as const;

/** Where handlers run. */
export type Mode = typeof MODES[number];

/** The arguments of `serve`. */
export interface ServeCommand extends Where {
  mode: Mode;
  handler: string;
  /** The command to run for each connection, instead of a handler. */
  exec: string[] | null;
  /** The format in which requests are printed. */
  log: "plain" | "none" | "text" | "json";
  /** PEM files, which turn on TLS. */
  tls: { cert: string; key: string } | null;
  /** The live statistics, and their interval in seconds. */
  live: { kind: "stats" | "top"; seconds: number } | null;
  /** Whether the handler's files are reloaded when they change. */
  watch: boolean;
  /** The options of the server's class; those not given are left out. */
  options: Partial<
    & Pick<TcpServerOptions, "maxConnections" | "shutdownTimeout">
    & Pick<TcpServerOptions, "allow" | "deny" | "idleTimeout">
    & Pick<UdpServerOptions, "maxPacketSize">
    & Pick<ReplicaOptions, "workers" | "dispatch" | "permissions">
  >;
}

/** The arguments of `client`. */
export interface ClientCommand extends Where {
  /** How long to wait for an answer to a packet, in milliseconds. */
  timeout: number;
  /** Whether lines end with CR LF, whatever the input's end with. */
  crlf: boolean;
  tls: boolean;
  /** A PEM file: the authority of the server's certificate. */
  ca: string | null;
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
  cert: { type: "string" },
  key: { type: "string" },
  allow: { type: "string", multiple: true },
  deny: { type: "string", multiple: true },
  timeout: { type: "string" },
  permissions: { type: "string" },
  log: { type: "string" },
  stats: { type: "string" },
  top: { type: "boolean" },
  watch: { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
} as const;

const CLIENT_OPTIONS = {
  ...ADDRESS_OPTIONS,
  timeout: { type: "string" },
  crlf: { type: "boolean" },
  tls: { type: "boolean" },
  ca: { type: "string" },
} as const;

/** Reads the arguments of `serve`. */
export function parseServe(args: string[]): ServeCommand | "help" {
  const { values, positionals } = read.parse(args, SERVE_OPTIONS);
  if (values.help) return "help";
  const where = parseAddress(values, positionals);
  const mode = read.choice(values, "mode", MODES) ?? "threading";
  refuseWithoutEffect(values, where, mode);
  read.exclude(values, ["handler", "exec"]);
  read.exclude(values, ["exec", "permissions"]);
  read.exclude(values, ["log", "quiet"]);
  const handler = read.text(values, "handler") ?? "echo";
  if (!FILE_REGEXP.test(handler)) {
    read.refuse(values, ["watch"], "--handler FILE#CLASS");
  }
  const exec = read.text(values, "exec");
  return {
    ...where,
    mode,
    handler,
    exec: exec === undefined ? null : splitCommand(exec),
    log: parseLog(values),
    tls: parseTls(values),
    live: parseLive(values),
    watch: values.watch === true,
    options: read.given({
      maxConnections: read.integer(values, "max-connections", 1),
      maxPacketSize: read.integer(values, "max-packet-size", 1),
      shutdownTimeout: read.integer(values, "shutdown-timeout", 0),
      workers: read.integer(values, "workers", 1),
      dispatch: read.choice<Dispatch>(values, "dispatch", DISPATCHES),
      allow: read.list(values, "allow"),
      deny: read.list(values, "deny"),
      idleTimeout: read.integer(values, "timeout", 1, MAX_TIMER_MS),
      permissions: read.choice(values, "permissions", PERMISSIONS),
    }),
  };
}

function parseLog(values: read.Values): ServeCommand["log"] {
  const log = read.choice(values, "log", ["text", "json"] as const);
  // Lines of requests would push the table away
  return log ?? (values.quiet || values.top ? "none" : "plain");
}

function parseTls(values: read.Values): ServeCommand["tls"] {
  const [cert, key] = [read.text(values, "cert"), read.text(values, "key")];
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === undefined && key === undefined) return null;
  const [one, other] = key === undefined ? ["cert", "key"] : ["key", "cert"];
  throw new UsageError(`Cannot use --${one} without --${other}: give both`);
}

function parseLive(values: read.Values): ServeCommand["live"] {
  read.exclude(values, ["stats", "top"]);
  const seconds = read.integer(values, "stats", 1, MAX_TIMER_MS / 1_000);
  if (seconds !== undefined) return { kind: "stats", seconds };
  if (!values.top) return null;
  if (Deno.stderr.isTerminal()) return { kind: "top", seconds: 1 };
  throw new UsageError(
    "Cannot use --top: stderr is no terminal; give --stats SECONDS",
  );
}

function refuseWithoutEffect(
  values: read.Values,
  { transport }: Where,
  mode: Mode,
): void {
  if (mode === "event-loop") {
    read.refuse(
      values,
      ["workers", "dispatch", "permissions", "top", "watch"],
      "--mode threading or forking",
    );
  }
  if (transport !== "tcp") {
    read.refuse(values, ["cert", "key"], "--transport tcp");
  }
  if (isUnix(transport)) {
    read.refuse(values, ["allow", "deny"], "--transport tcp or udp");
  }
  if (isDatagram(transport)) {
    read.refuse(values, ["exec", "timeout"], "--transport tcp or unix");
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
  if (isDatagram(where.transport)) {
    read.refuse(values, ["crlf"], "--transport tcp or unix");
  } else {
    read.refuse(values, ["timeout"], "--transport udp or unix-datagram");
  }
  if (where.transport !== "tcp") {
    read.refuse(values, ["tls"], "--transport tcp");
  }
  if (!values.tls) read.refuse(values, ["ca"], "--tls");
  if ("port" in where.address && where.address.port === 0) {
    throw new UsageError("Cannot connect to port 0: give the server's --port");
  }
  const timeout = read.integer(values, "timeout", 1) ??
    DEFAULT_ANSWER_TIMEOUT_MS;
  return {
    ...where,
    timeout,
    crlf: values.crlf === true,
    tls: values.tls === true,
    ca: read.text(values, "ca") ?? null,
  };
}
