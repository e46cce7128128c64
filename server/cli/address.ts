/**
 * The address on the command line.
 *
 * @module
 */

import type { TcpAddress, UnixAddress } from "../addresses.ts";
import { UsageError } from "./usage_error.ts";
import { choice, integer, refuse, text, type Values } from "./values.ts";

const INTERNET_REGEXP =
  /^(tcp|udp):\/\/(?:\[([^\]]+)\]|([^:/?#]*))(?::([^/]*))?\/?$/;
const UNIX_REGEXP = /^(unix|unix-datagram):(?:\/\/(?=\/))?(.*)$/;
const DEFAULT_HOSTNAME = "127.0.0.1";
const DEFAULT_PORT = 8080;

const TRANSPORTS = ["tcp", "udp", "unix", "unix-datagram"] as const;

/** The transport. */
export type Transport = typeof TRANSPORTS[number];

/** The options of an address, for `parseArgs()`. */
export const ADDRESS_OPTIONS = {
  transport: { type: "string", short: "t" },
  hostname: { type: "string" },
  port: { type: "string", short: "p" },
  path: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

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
export function isUnix(transport: Transport): boolean {
  return transport === "unix" || transport === "unix-datagram";
}

/** Reads the address, which is one argument or several options. */
export function parseAddress(values: Values, positionals: string[]): Where {
  const [written, another] = positionals;
  if (written === undefined) return fromOptions(values);
  if (another !== undefined) {
    throw new UsageError(
      `Unexpected argument "${another}": one address is enough`,
    );
  }
  const parts = split(written);
  const name = ["transport", "hostname", "port", "path"]
    .find((name) => values[name] !== undefined);
  if (name === undefined) return fromOptions(parts);
  throw new UsageError(`Cannot use both "${written}" and --${name}: give one`);
}

function split(written: string): Values {
  const internet = written.match(INTERNET_REGEXP);
  if (internet !== null) {
    const [, transport, ipv6, hostname = "", port] = internet;
    return {
      transport: transport!,
      hostname: ipv6 ?? (hostname || DEFAULT_HOSTNAME),
      ...(port !== undefined && { port }),
    };
  }
  const unix = written.match(UNIX_REGEXP);
  if (unix !== null) return { transport: unix[1]!, path: unix[2]! };
  throw new UsageError(
    `Unexpected argument "${written}": expected an address such as tcp://${DEFAULT_HOSTNAME}:${DEFAULT_PORT}, udp://[::1]:53, unix:/path or unix-datagram:/path`,
  );
}

function fromOptions(values: Values): Where {
  const transport = choice(values, "transport", TRANSPORTS) ?? "tcp";
  if (!isUnix(transport)) {
    refuse(values, ["path"], "--transport unix or unix-datagram");
    const hostname = text(values, "hostname") ?? DEFAULT_HOSTNAME;
    const port = integer(values, "port", 0, 65_535) ?? DEFAULT_PORT;
    return { transport, address: { hostname, port } };
  }
  refuse(values, ["hostname", "port"], "--transport tcp or udp");
  const path = text(values, "path");
  if (path === undefined) {
    throw new UsageError(`--transport ${transport} needs a --path`);
  }
  return { transport, address: { path } };
}
