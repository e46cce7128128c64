/** What the tests of servers share: the four kinds, clients, waiting. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type BaseServer,
  type DatagramRequest,
  type DatagramServerOptions,
  type RequestHandlerClass,
  TCPServer,
  UDPServer,
  UnixDatagramServer,
  UnixStreamServer,
} from "../../mod.ts";
import "../support/leaks.ts";
import { within } from "../support/waiting.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A handler class of any kind of server. */
export type AnyHandlerClass = RequestHandlerClass<never, never>;

/** Any of the four servers. */
export type AnyServer = BaseServer<Deno.Conn | DatagramRequest>;

/** A server as clients see it. */
export type Addressed = Pick<BaseServer, "serverAddress">;

/** A constructor of a server, whatever its kind. */
type Opener = (
  handler: RequestHandlerClass,
  options?: DatagramServerOptions,
) => unknown;

/** One of the four servers, and how to talk to it. */
export interface Kind {
  readonly name: string;
  readonly isStream: boolean;
  open(handler: AnyHandlerClass, options?: DatagramServerOptions): AnyServer;
  connect(server: Addressed): Promise<Client>;
}

/** A client of a server of any kind. */
export interface Client extends Disposable {
  send(text: string): Promise<void>;
  /** Ends a connection in this direction; nothing for packets. */
  end(): Promise<void>;
  /** A line of a connection without its end, or a packet; null at the end. */
  receive(): Promise<string | null>;
}

let scratch: string | undefined;
let pathCount = 0;

/** A path that is free, short enough for a socket. */
export function freePath(): string {
  scratch ??= makeScratch();
  return `${scratch}/${++pathCount}`;
}

/** Programs that are killed import this, too: most need no folder to leave. */
function makeScratch(): string {
  const folder = Deno.makeTempDirSync({ prefix: "servers_" });
  addEventListener(
    "unload",
    () => Deno.removeSync(folder, { recursive: true }),
  );
  return folder;
}

/** Runs a test that fails, rather than hangs, when something never settles. */
export function test(
  name: string,
  run: () => void | Promise<void>,
  options: { ignore?: boolean } = {},
): void {
  Deno.test({
    name,
    ...options,
    fn: () => within("the test", run()),
  });
}

/** Runs the steps of a test side by side: they take long, but mostly wait. */
export async function sideBySide(
  t: Deno.TestContext,
  steps: [name: string, run: () => Promise<void>][],
): Promise<void> {
  await Promise.all(steps.map(([name, run]) =>
    t.step({
      name,
      fn: () => within("the test", run()),
      // What the steps leave behind, the test notices
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
    })
  ));
}

/** Collects what `handleError()` gets instead of printing it. */
export function collectErrors(
  server: Pick<BaseServer<never>, "handleError">,
): unknown[] {
  const errors: unknown[] = [];
  server.handleError = (error) => void errors.push(error);
  return errors;
}

/** The messages of errors. */
export function messages(errors: unknown[]): string[] {
  return errors.map((error) => error instanceof Error ? error.message : "?");
}

/** Writes all of a text or of bytes. */
export async function writeAll(
  conn: Deno.Conn,
  data: string | Uint8Array,
): Promise<void> {
  let rest = typeof data === "string" ? encoder.encode(data) : data;
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

/** Reads to the end; leaves the connection open. */
export async function readToEnd(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (let n; (n = await conn.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, n), { stream: true });
  }
  return text + decoder.decode();
}

/** Reads exactly so many bytes. */
export async function readExactly(
  conn: Deno.Conn,
  count: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let filled = 0; filled < count;) {
    const n = await conn.read(bytes.subarray(filled));
    if (n === null) throw new Error(`Ended after ${filled} of ${count} bytes`);
    filled += n;
  }
  return bytes;
}

/** Sends a line and reads the answer. */
export async function exchange(client: Client, line: string): Promise<string> {
  await client.send(`${line}\n`);
  return (await client.receive())?.trimEnd() ?? "(the end)";
}

/** Connects, lets one line be echoed, and leaves. */
export async function assertEchoes(
  kind: Kind,
  server: Addressed,
  line = "still here",
): Promise<void> {
  using client = await kind.connect(server);
  assertEquals(await within("an echo", exchange(client, line)), line);
}

class StreamClient implements Client {
  #conn: Deno.Conn;
  #text = "";

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  send(text: string): Promise<void> {
    return writeAll(this.#conn, text);
  }

  end(): Promise<void> {
    return this.#conn.closeWrite();
  }

  async receive(): Promise<string | null> {
    const buffer = new Uint8Array(4_096);
    while (!this.#text.includes("\n")) {
      const n = await this.#conn.read(buffer);
      if (n === null) return null;
      this.#text += decoder.decode(buffer.subarray(0, n));
    }
    const at = this.#text.indexOf("\n");
    const line = this.#text.slice(0, at);
    this.#text = this.#text.slice(at + 1);
    return line;
  }

  [Symbol.dispose](): void {
    this.#conn[Symbol.dispose]();
  }
}

class PacketClient implements Client {
  #socket: Deno.DatagramConn;
  #server: Deno.Addr;
  #closed = false;

  constructor(socket: Deno.DatagramConn, server: Deno.Addr) {
    this.#socket = socket;
    this.#server = server;
  }

  async send(text: string): Promise<void> {
    await this.#socket.send(encoder.encode(text), this.#server);
  }

  end(): Promise<void> {
    return Promise.resolve();
  }

  async receive(): Promise<string> {
    const [packet] = await this.#socket.receive(new Uint8Array(212_960));
    return decoder.decode(packet);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** Opens a connection to a server of connections. */
export function dial(
  server: Addressed,
): Promise<Deno.Conn> {
  return Deno.connect(
    server.serverAddress as Deno.NetAddr & { transport: "tcp" },
  );
}

async function connectStream(server: Addressed): Promise<Client> {
  return new StreamClient(await dial(server));
}

function opener(open: Opener): Kind["open"] {
  return (handler, options) =>
    open(handler as RequestHandlerClass, options) as AnyServer;
}

/** A UDP socket of a client. */
export function udpSocket(hostname = "127.0.0.1"): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
}

/** A Unix datagram socket of a client, bound to a path. */
export function unixSocket(path: string = freePath()): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "unixpacket", path });
}

/** Each server class by its name. */
export const kinds: {
  readonly tcp: Kind;
  readonly udp: Kind;
  readonly unix: Kind;
  readonly unixDatagram: Kind;
} = {
  tcp: {
    name: "TCPServer",
    isStream: true,
    open: opener((handler, options) =>
      new TCPServer({ port: 0 }, handler, options)
    ),
    connect: connectStream,
  },
  udp: {
    name: "UDPServer",
    isStream: false,
    open: opener((handler, options) =>
      new UDPServer({ port: 0 }, handler, options)
    ),
    connect: (server) =>
      Promise.resolve(new PacketClient(udpSocket(), server.serverAddress)),
  },
  unix: {
    name: "UnixStreamServer",
    isStream: true,
    open: opener((handler, options) =>
      new UnixStreamServer({ path: freePath() }, handler, options)
    ),
    connect: connectStream,
  },
  unixDatagram: {
    name: "UnixDatagramServer",
    isStream: false,
    open: opener((handler, options) =>
      new UnixDatagramServer({ path: freePath() }, handler, options)
    ),
    connect: (server) =>
      Promise.resolve(new PacketClient(unixSocket(), server.serverAddress)),
  },
};

/** All four. */
export const ALL: readonly Kind[] = Object.values(kinds);
/** Those that serve connections. */
export const STREAMS: readonly Kind[] = ALL.filter(({ isStream }) => isStream);
/** Those that serve packets. */
export const DATAGRAMS: readonly Kind[] = ALL.filter((kind) => !kind.isStream);

/** Runs a test for each of some kinds of servers. */
export function testEach(
  group: readonly Kind[],
  what: string,
  run: (kind: Kind) => Promise<void>,
  options: { ignore?: boolean } = {},
): void {
  for (const kind of group) {
    test(`${kind.name} ${what}`, () => run(kind), options);
  }
}

/** Asserts that a server has a socket, by its descriptor where there is one. */
export function assertBound(server: Pick<BaseServer, "fileno">): void {
  if (Deno.build.os === "linux") assert(server.fileno() > 2);
  else assertThrows(() => server.fileno(), Deno.errors.NotSupported, "Linux");
}

/** Collects what this program prints to stderr, instead of printing it. */
export function captureStderr(): Disposable & { readonly text: string } {
  return capture(Deno.stderr);
}

/** Collects what this program prints to a stream, instead of printing it. */
export function capture(
  stream: Pick<typeof Deno.stderr, "writeSync">,
): Disposable & { readonly text: string } {
  const original = stream.writeSync;
  let text = "";
  stream.writeSync = (bytes) => {
    text += decoder.decode(bytes);
    return bytes.length;
  };
  return {
    get text() {
      return text;
    },
    [Symbol.dispose]: () => void (stream.writeSync = original),
  };
}
