/**
 * The arguments of the commands.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { TcpAddress, UnixAddress } from "../addresses.ts";
import {
  CLIENT_OPTIONS,
  list,
  type Option,
  type Reader,
  SERVE_OPTIONS,
  type Table,
  type Transport,
} from "./options.ts";
import { UsageError } from "./problems.ts";
import { suggest } from "./suggest.ts";

const DEFAULT_HOSTNAME = "127.0.0.1";
const DEFAULT_PORT = 8_080;
const DIGITS_REGEXP = /^\d+$/;
/** `tcp://host:port` with any part left out, or `host:port`. */
const INTERNET_REGEXP =
  /^(?:(tcp|udp):\/\/)?(?:\[([^\]]+)\]|([^:/?#]*))(?::([^:/?#]*))?\/?$/;
/** `unix:path` or `unix:///path`; `unix://path` would name a host. */
const UNIX_REGEXP = /^(unix|unix-datagram):(?:\/\/(?=\/))?(?!\/\/)(.*)$/;
/** A handler from a file, in a URL or not. */
const FILE_REGEXP = /^(?:file:|(?!\w{2,}:)).*#/;
const UNKNOWN_REGEXP = /^Unknown option '(-[^']*)'/;

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

/** The address and the options of a command; those not given are left out. */
export interface Command<T extends Table> extends Where {
  options: Values<T>;
}
/** The arguments of `serve`. */
export type ServeCommand = Command<typeof SERVE_OPTIONS>;
/** The arguments of `client`. */
export type ClientCommand = Command<typeof CLIENT_OPTIONS>;

/** Reads the arguments of `serve`. */
export function parseServe(args: string[]): ServeCommand {
  const command = parse(args, SERVE_OPTIONS);
  const { watch, handler = "", top } = command.options;
  if (watch && !FILE_REGEXP.test(handler)) {
    throw new UsageError("--watch has no effect without --handler FILE#CLASS");
  }
  if (top && !Deno.stderr.isTerminal()) {
    throw new UsageError(
      "Cannot use --top: stderr is no terminal; give --stats SECONDS",
    );
  }
  return command;
}

/** Reads the arguments of `client`. */
export function parseClient(args: string[]): ClientCommand {
  const command = parse(args, CLIENT_OPTIONS);
  if (command.options.port === 0) {
    throw new UsageError("Cannot connect to port 0: give the server's --port");
  }
  return command;
}

/** The values of the options in a table. */
type Values<T extends Table> = { [N in keyof T]?: ValueOf<T[N]["kind"]> };
type ValueOf<K> = K extends Reader<infer V> ? V : boolean;
type Raw = Partial<Record<string, string | boolean | (string | boolean)[]>>;
type Checked = Partial<Record<string, unknown>>;

/** Reads the options of a table and the address. */
function parse<T extends Table>(args: string[], table: T): Command<T> {
  const { values: raw, positionals } = split(args, table);
  const address = addressIn(positionals);
  for (const name of Object.keys(address)) {
    if (raw[name] === undefined) continue;
    throw new UsageError(
      `Cannot use both "${positionals.join(" ")}" and --${name}: give one`,
    );
  }
  const options = Object.fromEntries(
    Object.entries({ ...raw, ...address }).map(([name, value]) => {
      const { kind } = table[name]!;
      return [name, kind === "flag" ? value : kind(String(value), name)];
    }),
  ) as Values<T>;
  const where = whereOf(options);
  refuseWithoutEffect(options as Checked, table, where.transport);
  return { ...where, options };
}

function split(
  args: string[],
  table: Table,
): { values: Raw; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { kind, short }]) => [name, {
      type: kind === "flag" ? "boolean" as const : "string" as const,
      multiple: kind === list,
      ...(short !== undefined && { short }),
    }]),
  );
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(
      explain(error.message, [...Object.keys(table), "help"]),
    );
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
function refuseWithoutEffect(
  options: Checked,
  table: Table,
  transport: Transport,
): void {
  for (const [name, option] of Object.entries(table)) {
    if (options[name] === undefined) continue;
    const other = option.without?.find((one) => options[one] !== undefined);
    if (other !== undefined) {
      throw new UsageError(
        `Cannot use both --${name} and --${other}: give one`,
      );
    }
    const needed = missing(options, option, transport);
    if (needed === null) continue;
    throw new UsageError(`--${name} has no effect without --${needed}`);
  }
}

function missing(
  options: Checked,
  { on, replicas, with: other }: Option,
  transport: Transport,
): string | null {
  if (replicas && options.mode === "event-loop") {
    return "mode threading or forking";
  }
  if (on !== undefined && !on.includes(transport)) {
    return `transport ${on.join(" or ")}`;
  }
  const isAlone = other !== undefined && options[other] === undefined;
  return isAlone ? other : null;
}

/** The values that are not `undefined`. */
export function given<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
