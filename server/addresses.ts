/**
 * The addresses of servers: types, checks and formatting.
 *
 * @module
 */

import { printable } from "../handlers/_internal.ts";
import { assertInteger, quote } from "../workers/base/check.ts";

export { formatAddress } from "../handlers/_internal.ts";

/**
 * Whether this is Linux, which alone has `/proc`, abstract sockets, and the
 * spreading of connections over the listeners of one port.
 */
export const IS_LINUX: boolean = Deno.build.os === "linux";

/** Longest path of a socket in bytes: `sockaddr_un` without its final zero. */
const MAX_SOCKET_PATH_BYTES: number = IS_LINUX ? 107 : 103;

/**
 * Throws unless this is Linux.
 *
 * @param doing What needs Linux, to stand after "Cannot".
 */
export function assertLinux(doing: string): void {
  if (IS_LINUX) return;
  throw new Deno.errors.NotSupported(
    `Cannot ${doing}: it needs Linux, and this is "${Deno.build.os}"`,
  );
}

const BLANK_REGEXP = /^$|[\s\0/]/;
const MAX_PORT = 65_535;

/** The members of Deno's own addresses. */
const MEMBERS = ["transport", "hostname", "port", "path"];

/** The address of a TCP or UDP server. */
export interface TcpAddress {
  /**
   * The name or the IP address of the interface. `"::"` also accepts IPv4.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** The port; 0 for any free one. */
  port: number;
}

/** The address of a server on a Unix socket. */
export interface UnixAddress {
  /**
   * The path of the socket. A path that begins with `"\0"` names a socket
   * without a file (Linux only).
   */
  path: string;
}

/** Checks a TCP or UDP address and fills in its defaults. */
export function checkTcpAddress<T extends "tcp" | "udp">(
  address: TcpAddress,
  transport: T,
): Deno.NetAddr & { transport: T } {
  assertAddress(address, `{ hostname: "127.0.0.1", port: 8080 }`);
  const { hostname = "127.0.0.1", port } = address;
  if (typeof hostname !== "string" || BLANK_REGEXP.test(hostname)) {
    throw new TypeError(
      `Cannot listen on hostname ${
        quote(hostname)
      }: expected a name or an IP address`,
    );
  }
  assertInteger("port", port, 0, MAX_PORT);
  return printable({ transport, hostname, port });
}

/** Checks the address of a Unix socket. */
export function checkUnixAddress<T extends "unix" | "unixpacket">(
  address: UnixAddress,
  transport: T,
): Deno.UnixAddr & { transport: T } {
  assertAddress(address, `{ path: "/run/my.sock" }`);
  const { path } = address;
  if (typeof path !== "string" || path === "" || path.indexOf("\0", 1) > 0) {
    throw new TypeError(
      `Cannot listen on path ${
        quote(path)
      }: expected text that is not empty and has no zero byte`,
    );
  }
  if (path.startsWith("\0")) assertLinux("listen on an abstract socket");
  const { length } = new TextEncoder().encode(path);
  if (length > MAX_SOCKET_PATH_BYTES) {
    throw new RangeError(
      `Cannot listen on "${path}": the path has ${length} bytes, a socket's has at most ${MAX_SOCKET_PATH_BYTES}`,
    );
  }
  return printable({ transport, path });
}

function assertAddress(address: unknown, example: string): void {
  if (
    typeof address !== "object" || address === null || Array.isArray(address)
  ) {
    throw new TypeError(
      `Cannot listen on ${
        Deno.inspect(address)
      }: expected an address such as ${example}`,
    );
  }
  for (const name of Object.keys(address)) {
    if (MEMBERS.includes(name)) continue;
    throw new TypeError(
      `Cannot use "${name}" in an address: expected an address such as ${example}`,
    );
  }
}

/** The eight groups of an IPv6 address, as numbers. */
export function ipv6Groups(hostname: string): number[] {
  const [head = "", tail] = hostname.split("%")[0]!.split("::");
  const groups = groupsOf(head);
  if (tail === undefined) return groups;
  const after = groupsOf(tail);
  const zeros = Math.max(0, 8 - groups.length - after.length);
  return [...groups, ...new Array(zeros).fill(0), ...after];
}

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [parseInt(group, 16)];
    const [a, b, c, d] = group.split(".").map(Number);
    return [a! << 8 | b!, c! << 8 | d!];
  });
}
