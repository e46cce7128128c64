/**
 * The arguments of the commands.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import type { TcpAddress, UnixAddress } from "../addresses.ts";
import type {
  ReplicaOptions,
  TcpServerOptions,
  UdpServerOptions,
} from "../options.ts";
import {
  CLIENT_OPTIONS,
  type Mode,
  type Option,
  SERVE_OPTIONS,
  type Table,
  type Transport,
} from "./options.ts";
import { suggest } from "./suggest.ts";

export type { Mode, Transport } from "./options.ts";

const DEFAULT_HOSTNAME = "127.0.0.1";
const DEFAULT_PORT = 8_080;
const DEFAULT_ANSWER_TIMEOUT_MS = 1_000;
const DIGITS_REGEXP = /^\d+$/;
/** `tcp://host:port` with any part left out, or `host:port`. */
const INTERNET_REGEXP =
  /^(?:(tcp|udp):\/\/)?(?:\[([^\]]+)\]|([^:/?#]*))(?::([^:/?#]*))?\/?$/;
/** `unix:path` or `unix:///path`; `unix://path` would name a host. */
const UNIX_REGEXP = /^(unix|unix-datagram):(?:\/\/(?=\/))?(?!\/\/)(.*)$/;
/** A handler from a file, in a URL or not. */
const FILE_REGEXP = /^(?:file:|(?!\w{2,}:)).*#/;
const UNKNOWN_REGEXP = /^Unknown option '(-[^']*)'/;

/** Arguments that can't work; ends the program with exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The address to serve or to connect to. */
export interface Where {
  transport: Transport;
  address: TcpAddress | UnixAddress;
}

/** Whether requests are packets. */
export function isDatagram(transport: Transport): boolean {
  return transport === "udp" || transport === "unix-datagram";
}

/** Whether the address is a path. */
function isUnix(transport: Transport): boolean {
  return transport === "unix" || transport === "unix-datagram";
}

/** The arguments of `serve`. */
export interface ServeCommand extends Where {
  mode: Mode;
  handler: string;
  /** The command to run for each connection, instead of a handler. */
  exec: string | null;
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

/** Reads the arguments of `serve`. */
export function parseServe(args: string[]): ServeCommand | "help" {
  const read = parse(args, SERVE_OPTIONS);
  if (read === "help") return "help";
  const { values, transport, address } = read;
  const { mode = "threading", handler = "echo", exec } = values;
  refuseWithoutEffect(values, SERVE_OPTIONS, transport, mode);
  return {
    transport,
    address,
    mode,
    handler,
    exec: exec ?? null,
    // Lines of requests would push the table away
    log: values.log ?? (values.quiet || values.top ? "none" : "plain"),
    tls: tlsOf(values),
    live: liveOf(values),
    watch: values.watch === true,
    options: given({
      maxConnections: values["max-connections"],
      maxPacketSize: values["max-packet-size"],
      shutdownTimeout: values["shutdown-timeout"],
      workers: values.workers,
      dispatch: values.dispatch,
      allow: values.allow,
      deny: values.deny,
      idleTimeout: values.timeout,
      permissions: values.permissions,
    }),
  };
}

/** Reads the arguments of `client`. */
export function parseClient(args: string[]): ClientCommand | "help" {
  const read = parse(args, CLIENT_OPTIONS);
  if (read === "help") return "help";
  const { values, transport, address } = read;
  refuseWithoutEffect(values, CLIENT_OPTIONS, transport, null);
  if ("port" in address && address.port === 0) {
    throw new UsageError("Cannot connect to port 0: give the server's --port");
  }
  const { timeout = DEFAULT_ANSWER_TIMEOUT_MS, ca = null } = values;
  const [crlf, tls] = [values.crlf === true, values.tls === true];
  return { transport, address, timeout, crlf, tls, ca };
}

/** The checked values of the options in a table. */
type Values<T extends Table> = { [N in keyof T]?: ValueOf<T[N]["kind"]> };
type ValueOf<K> = K extends "flag" ? boolean
  : K extends "text" ? string
  : K extends "list" ? string[]
  : K extends readonly (infer Choice)[] ? Choice
  : number;
type Raw = Partial<Record<string, string | boolean | string[]>>;

/** Reads the options of a table and the address. */
function parse<T extends Table>(
  args: string[],
  table: T,
): Where & { values: Values<T> } | "help" {
  const { values: raw, positionals } = split(args, table);
  if (raw.help) return "help";
  const address = addressIn(positionals);
  for (const name of Object.keys(address)) {
    if (raw[name] === undefined) continue;
    throw new UsageError(
      `Cannot use both "${positionals.join(" ")}" and --${name}: give one`,
    );
  }
  const values = Object.fromEntries(
    Object.entries({ ...raw, ...address }).map(([name, value]) => [
      name,
      check(name, value!, table[name]!.kind),
    ]),
  ) as Values<T>;
  return { ...whereOf(values), values };
}

function split(
  args: string[],
  table: Table,
): { values: Raw; positionals: string[] } {
  const options: NonNullable<ParseArgsConfig["options"]> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [name, { kind, short }] of Object.entries(table)) {
    options[name] = {
      type: kind === "flag" ? "boolean" : "string",
      multiple: kind === "list",
      ...(short !== undefined && { short }),
    };
  }
  try {
    return parseArgs({ args, options, allowPositionals: true }) as {
      values: Raw;
      positionals: string[];
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(explain(error.message, Object.keys(options)));
  }
}

function explain(message: string, names: string[]): string {
  const unknown = message.match(UNKNOWN_REGEXP)?.[1];
  if (unknown !== undefined) {
    const near = suggest(unknown, names.map((name) => `--${name}`));
    return `Unknown option "${unknown}"${
      near || "; --help shows what there is"
    }`;
  }
  const [sentence = ""] = message.split(/\.\s/);
  const problem = sentence.replaceAll("'", '"').replace(
    /argument (missing|is ambiguous)$/,
    "needs a value",
  );
  return `${problem}; --help shows what there is`;
}

/** Checks the value of one option. */
function check(
  name: string,
  value: string | boolean | string[],
  kind: Option["kind"],
): unknown {
  if (kind === "flag") return value;
  if (kind === "list") {
    const items = (value as string[]).flatMap((item) => item.split(","))
      .map((item) => item.trim());
    if (items.includes("")) throw empty(name);
    return items;
  }
  if (kind === "text") {
    if (value === "") throw empty(name);
    return value;
  }
  if ("min" in kind) return checkInteger(name, String(value), kind);
  if (kind.includes(String(value))) return value;
  const near = suggest(String(value), kind);
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected ${kind.join(", ")}${near}`,
  );
}

function checkInteger(
  name: string,
  value: string,
  { min, max }: { min: number; max: number },
): number {
  const number = DIGITS_REGEXP.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  const range = max === Number.MAX_SAFE_INTEGER
    ? `of ${min} or more`
    : `from ${min} to ${max}`;
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected an integer ${range}`,
  );
}

function empty(name: string): UsageError {
  return new UsageError(`--${name} is empty: give a value`);
}

/** The values of the options that an address in words stands for. */
function addressIn([written, second, third]: string[]): Record<string, string> {
  if (written === undefined) return {};
  // As for nc: the host, then the port
  const isPair = second !== undefined && DIGITS_REGEXP.test(second) &&
    !written.includes("/");
  const extra = isPair ? third : second;
  if (extra !== undefined) {
    throw new UsageError(
      `Unexpected argument "${extra}": one address is enough`,
    );
  }
  if (isPair) return { hostname: unbracket(written), port: second };
  if (DIGITS_REGEXP.test(written)) return { port: written };
  const unix = written.match(UNIX_REGEXP);
  if (unix !== null) return { transport: unix[1]!, path: unix[2]! };
  const [whole, transport, ipv6, hostname, port] =
    written.match(INTERNET_REGEXP) ?? [];
  if (whole === undefined || (transport ?? port) === undefined) {
    throw new UsageError(
      `Unexpected argument "${written}": expected an address such as ${DEFAULT_PORT}, localhost:${DEFAULT_PORT}, tcp://${DEFAULT_HOSTNAME}:${DEFAULT_PORT}, udp://[::1]:53, unix:/path or unix-datagram:/path`,
    );
  }
  const values = {
    transport,
    hostname: ipv6 ?? (hostname || DEFAULT_HOSTNAME),
    port,
  };
  return given(values) as Record<string, string>;
}

function unbracket(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function whereOf(
  { transport = "tcp", hostname = DEFAULT_HOSTNAME, port, path }: Values<
    Pick<typeof SERVE_OPTIONS, "transport" | "hostname" | "port" | "path">
  >,
): Where {
  if (!isUnix(transport)) {
    return { transport, address: { hostname, port: port ?? DEFAULT_PORT } };
  }
  if (path !== undefined) return { transport, address: { path } };
  throw new UsageError(`--transport ${transport} needs a --path`);
}

/** Throws if an option was given that has no effect with the others. */
function refuseWithoutEffect<T extends Table>(
  values: Values<T>,
  table: T,
  transport: Transport,
  mode: Mode | null,
): void {
  for (const [name, option] of Object.entries(table) as [string, Option][]) {
    if (values[name] === undefined) continue;
    const other = option.without?.find((one) => values[one] !== undefined);
    if (other !== undefined) {
      throw new UsageError(
        `Cannot use both --${name} and --${other}: give one`,
      );
    }
    const needed = missing(values as Raw, option, transport, mode);
    if (needed === null) continue;
    throw new UsageError(`--${name} has no effect without --${needed}`);
  }
}

function missing(
  values: Raw,
  { on, replicas, with: other }: Option,
  transport: Transport,
  mode: Mode | null,
): string | null {
  if (replicas && mode === "event-loop") return "mode threading or forking";
  if (on !== undefined && !on.includes(transport)) {
    return `transport ${on.join(" or ")}`;
  }
  if (other === undefined) return null;
  const [name = "", form] = other.split(" ");
  const value = values[name];
  const fits = form === undefined
    ? value !== undefined
    : FILE_REGEXP.test(String(value ?? ""));
  return fits ? null : other;
}

function tlsOf(
  { cert, key }: Values<typeof SERVE_OPTIONS>,
): ServeCommand["tls"] {
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === undefined && key === undefined) return null;
  const [one, other] = key === undefined ? ["cert", "key"] : ["key", "cert"];
  throw new UsageError(`Cannot use --${one} without --${other}: give both`);
}

function liveOf(
  { stats, top }: Values<typeof SERVE_OPTIONS>,
): ServeCommand["live"] {
  if (stats !== undefined) return { kind: "stats", seconds: stats };
  if (!top) return null;
  if (Deno.stderr.isTerminal()) return { kind: "top", seconds: 1 };
  throw new UsageError(
    "Cannot use --top: stderr is no terminal; give --stats SECONDS",
  );
}

/** The values that are not `undefined`. */
function given<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
