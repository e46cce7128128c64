/**
 * Listening sockets: how they are opened, take connections, and are found in
 * `/proc`, because Deno has no call for a socket's descriptor.
 *
 * @module
 */

import { imports, USE_THE_GUARD } from "../../workers/runner/context.ts";
import { printable } from "../../handlers/_internal.ts";
import {
  assertLinux,
  formatAddress,
  ipv6Groups,
  IS_LINUX,
} from "../addresses.ts";
import { ListenerAcceptor } from "../acceptor.ts";

/**
 * Calls `open`. Its errors keep their class; their message gets the address.
 */
export function listenAt<S>(address: Deno.Addr, open: () => S): S {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const at = formatAddress(address);
    const isTwice = error instanceof Deno.errors.AddrInUse &&
      imports.chain.length > 0;
    const message = `Cannot listen on "${at}": ${error.message}${
      // Most likely in use by the program that started this one
      isTwice ? `; ${USE_THE_GUARD}` : ""}`;
    const ErrorClass = error.constructor as ErrorConstructor;
    throw Object.assign(new ErrorClass(message, { cause: error }), {
      ...("code" in error && { code: error.code }),
    });
  }
}

/** The address of a socket that was opened at `requested`. */
export function boundAddress<A extends Deno.NetAddr>(
  requested: A,
  actual: Deno.Addr,
): A {
  const { hostname, port } = actual as A;
  // The system's answer lacks the zone, without which nobody can bind it again
  const isZoned = requested.hostname.includes("%");
  return printable({
    ...requested,
    hostname: isZoned ? requested.hostname : hostname,
    port,
  });
}

/** Throws without the flag that packets and shared ports need. */
export function assertUnstableNet(what: string): void {
  // Without the flag, Deno lacks this function; using other parts of the API
  // ends the program
  if (Deno.listenDatagram === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot ${what} without Deno's flag --unstable-net; give it to "deno run" or put "unstable": ["net"] into deno.json`,
    );
  }
}

/** Options of a connection's socket. */
export interface SocketOptions {
  noDelay: boolean;
  keepAlive: boolean;
}

/** Takes TCP connections from a listener. */
export class TcpAcceptor extends ListenerAcceptor<Deno.TcpConn> {
  #options: SocketOptions;

  constructor(listener: Deno.TcpListener, options: SocketOptions) {
    super(listener);
    this.#options = options;
  }

  override accept(): Promise<
    [request: Deno.TcpConn, clientAddress: Deno.Addr]
  > {
    return super.accept().then(this.#setUp);
  }

  #setUp = (
    accepted: [request: Deno.TcpConn, clientAddress: Deno.Addr],
  ): [request: Deno.TcpConn, clientAddress: Deno.Addr] => {
    const [conn] = accepted;
    const { noDelay, keepAlive } = this.#options;
    if (noDelay) conn.setNoDelay(true);
    if (keepAlive) conn.setKeepAlive(true);
    return accepted;
  };
}

const SOCKET_REGEXP = /^socket:\[(\d+)\]$/;
const LISTENING = "0A";
const ACCEPTS_CONNECTIONS = "00010000";
const NO_FLAGS = "00000000";
/** The flags, inode and path of a Unix socket, after its address. */
const UNIX_ROW_REGEXP = /^\S+ \S+ (\S+) \S+ \S+ +(\d+)(?: (.*))?\n$/s;
const PROC_FD = "/proc/self/fd";
const FINDING = "find the file descriptor of the socket";
const TABLE_CHUNK_SIZE = 16_384;

/** Finds the descriptor of the socket bound to `address`; -1 if there is none. */
export function findDescriptor(address: Deno.Addr): number {
  assertLinux(FINDING);
  let inodes: Set<string>;
  try {
    inodes = findInodes(address);
    for (const { name } of Deno.readDirSync(PROC_FD)) {
      if (inodes.has(inodeOf(name))) return Number(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new Deno.errors.NotSupported(
        `Cannot ${FINDING}: reading /proc needs --allow-all`,
      );
    }
    throw error;
  }
  return -1;
}

/** Whether a TCP listener has this port already; `null` if that is not known. */
export function isTaken(port: number): boolean | null {
  if (!IS_LINUX) return null;
  const end = `:${hex(port, 4)}`;
  try {
    return ["tcp", "tcp6"].some((name) =>
      readTable(name).some((line) => {
        const [, local, , state] = columnsOf(line);
        return local?.endsWith(end) && state === LISTENING;
      })
    );
  } catch {
    return null; // no permission to read /proc
  }
}

function inodeOf(descriptor: string): string {
  try {
    const target = Deno.readLinkSync(`${PROC_FD}/${descriptor}`);
    return SOCKET_REGEXP.exec(target)?.[1] ?? "";
  } catch (error) {
    // The descriptor of the directory itself is gone by now
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function findInodes(address: Deno.Addr): Set<string> {
  const { transport } = address;
  if (transport !== "tcp" && transport !== "udp") {
    return findUnixInodes(address as Deno.UnixAddr);
  }
  const table = address.hostname.includes(":") ? `${transport}6` : transport;
  const end = tableAddress(address);
  const inodes = new Set<string>();
  for (const line of readTable(table)) {
    const columns = columnsOf(line);
    const isListening = columns[3] === LISTENING;
    // Listeners come first; thousands of connections may follow
    if (transport === "tcp" && !isListening && inodes.size > 0) break;
    if (!columns[1]?.endsWith(end)) continue;
    if (transport === "udp" || isListening) inodes.add(columns[9]!);
  }
  return inodes;
}

function findUnixInodes({ path, transport }: Deno.UnixAddr): Set<string> {
  const sought = path.replace("\0", "@");
  const flags = transport === "unix" ? ACCEPTS_CONNECTIONS : NO_FLAGS;
  const table = Deno.readTextFileSync("/proc/self/net/unix");
  // A path may have blanks and ends of line
  const [, ...rows] = table.split(/^[\da-f]+: /m);
  return new Set(
    rows.map((row) => UNIX_ROW_REGEXP.exec(row) ?? [])
      .filter((row) => row[3] === sought && row[1] === flags)
      .map((row) => row[2]!),
  );
}

/** An address as the tables write it: in words whose lowest byte is first. */
function tableAddress({ hostname, port }: Deno.NetAddr): string {
  const bytes = hostname.includes(":")
    ? ipv6Groups(hostname).flatMap((group) => [group >> 8, group & 0xff])
    : hostname.split(".").map(Number);
  let host = "";
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4).reverse();
    host += word.map((byte) => hex(byte, 2)).join("");
  }
  return `${host}:${hex(port, 4)}`;
}

function hex(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, "0");
}

function columnsOf(line: string): string[] {
  return line.trim().split(/\s+/);
}

/** The lines of a table of all sockets; the system makes them as they are read. */
function* readTable(name: string): Generator<string, void> {
  using file = Deno.openSync(`/proc/self/net/${name}`);
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(TABLE_CHUNK_SIZE);
  let rest = "";
  for (let n; (n = file.readSync(chunk)) !== null;) {
    rest += decoder.decode(chunk.subarray(0, n), { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
