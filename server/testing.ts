/**
 * Testing handlers in memory: without a server, a port or a permission, and in
 * microseconds.
 *
 * ```ts
 * import { connect } from "@socketserver/socketserver/testing";
 * import { SumHandler } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using client = connect(SumHandler, { chunkSize: 1 });
 * await client.wfile.write("2 3\n");
 * assertEquals(await client.rfile.readLine(), "5");
 * ```
 *
 * @module
 */

import type { BaseRequestHandler } from "../handlers/base_request_handler.ts";
import type {
  DatagramRequest,
  DatagramSocket,
} from "../handlers/request_types.ts";
import type { BufferedReader } from "../handlers/io/buffered_reader.ts";
import type { BufferedWriter } from "../handlers/io/buffered_writer.ts";
import type { RequestServer } from "../handlers/request_types.ts";
import { clock } from "../handlers/_internal.ts";
import { checkHandler, runHandler } from "./core/request.ts";
import { watchConn } from "./core/watched_conn.ts";
import { assertOptions } from "../workers/base/check.ts";
import { LocalServer } from "./memory/local_server.ts";
import { LEAST, makeLine } from "./memory/memory_conn.ts";
import { LocalClient } from "./memory/local_client.ts";
import { TestClock } from "./memory/test_clock.ts";

export { TestClock } from "./memory/test_clock.ts";

const SERVER_ADDRESS = {
  transport: "tcp",
  hostname: "127.0.0.1",
  port: 7,
} as const;
const PACKET_OPTIONS = ["context", "clientAddress", "serverAddress"];
const CONNECT_OPTIONS = [...PACKET_OPTIONS, ...Object.keys(LEAST)];
const CLIENT_ADDRESS = { ...SERVER_ADDRESS, port: 30_000 } as const;

/**
 * Options of {@linkcode sendPacket}.
 *
 * @typeParam C The type of `context`.
 */
export interface SendPacketOptions<C = unknown> {
  /** The handler's `this.server.context`. */
  context?: C;
  /** The handler's `this.clientAddress`. */
  clientAddress?: Deno.Addr;
  /** The handler's `this.server.serverAddress`. */
  serverAddress?: Deno.Addr;
}

/**
 * Options of {@linkcode connect}: the handler's surroundings, and faults of its
 * connection.
 *
 * @typeParam C The type of `context`.
 */
export interface ConnectOptions<C = unknown> extends SendPacketOptions<C> {
  /**
   * Most bytes per read of the handler; 1 splits at every byte.
   *
   * @default {Infinity}
   */
  chunkSize?: number;
  /**
   * The position in bytes at which a read of the handler ends, however the
   * client writes.
   *
   * @default {Infinity}
   */
  splitAt?: number;
  /**
   * Bytes that the handler reads before the connection is reset.
   *
   * @default {Infinity}
   */
  resetAfterReading?: number;
  /**
   * Bytes that the handler writes before the connection is reset.
   *
   * @default {Infinity}
   */
  resetAfterWriting?: number;
  /**
   * Bytes that the handler can write while the client does not read. Then its
   * writes wait, as for a stalled client.
   *
   * @default {65536}
   */
  windowSize?: number;
}

/**
 * The client's end of a connection to a handler. It is a `Deno.Conn`, with
 * `rfile` and `wfile` as handlers have them.
 *
 * @example A client that leaves in the middle
 * ```ts
 * import { connect } from "@socketserver/socketserver/testing";
 * import { StreamRequestHandler } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * class Exact extends StreamRequestHandler {
 *   override async handle() {
 *     await this.rfile.readExact(100);
 *   }
 * }
 *
 * await using client = connect(Exact);
 * await client.wfile.write("only this");
 * client.reset();
 * await assertRejects(() => client.ended, Deno.errors.ConnectionReset);
 * ```
 *
 * @typeParam H The type of the handler.
 */
export interface TestClient<H extends BaseRequestHandler = BaseRequestHandler>
  extends Deno.TcpConn, AsyncDisposable {
  /** The handler at the other end. */
  readonly handler: H;
  /**
   * Resolves when the handler has ended. Rejects with the error that
   * `handleError()` would get.
   */
  readonly ended: Promise<void>;
  /** The clock of the handler's `rfile` and `wfile`. */
  readonly clock: TestClock;
  /** Reads from the handler. */
  readonly rfile: BufferedReader;
  /** Writes to the handler, unbuffered. */
  readonly wfile: BufferedWriter;

  /** Resets the connection. Reads and writes at both ends fail. */
  reset(): void;

  /**
   * Acts as a server that begins to close. A handler that waits between two
   * requests reads the end within 50 ms of `clock`; one that has read nothing
   * yet, 5 s after its begin.
   *
   * @example Usage
   * ```ts
   * import { connect } from "@socketserver/socketserver/testing";
   * import { EchoHandler } from "@socketserver/socketserver";
   *
   * await using client = connect(EchoHandler);
   * await client.wfile.write("hello\n");
   * await client.rfile.readLine();
   * client.drain();
   * await client.clock.advance(50);
   * await client.ended;
   * ```
   */
  drain(): void;

  /**
   * Acts as a server after `shutdownTimeout`: aborts the handler's `signal` and
   * closes its connection.
   *
   * @example Usage
   * ```ts
   * import { connect } from "@socketserver/socketserver/testing";
   * import { EchoHandler } from "@socketserver/socketserver";
   * import { assert, assertRejects } from "@std/assert";
   *
   * await using client = connect(EchoHandler);
   * client.abort();
   * await assertRejects(() => client.ended, DOMException);
   * assert(client.handler.signal.aborted);
   * ```
   *
   * @param reason The signal's reason.
   */
  abort(reason?: unknown): void;
}

/**
 * The class of a handler.
 *
 * @typeParam C The type of the server's `context`.
 * @typeParam H The type of the handler.
 */
export type HandlerClass<C, H extends BaseRequestHandler> = new (
  request: never,
  clientAddress: Deno.Addr,
  server: RequestServer<C>,
) => H;

/**
 * Makes a handler and connects to it. The handler runs as in a server, without
 * the server's hooks, limits and deadlines.
 *
 * @example Half-closing
 * ```ts
 * import { connect } from "@socketserver/socketserver/testing";
 * import { EchoHandler } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using client = connect(EchoHandler);
 * await client.wfile.write("hello");
 * await client.closeWrite();
 * assertEquals(await client.rfile.readAll(), new TextEncoder().encode("hello"));
 * await client.ended;
 * ```
 *
 * @example Every way to split a request
 * ```ts
 * import { connect } from "@socketserver/socketserver/testing";
 * import { SumHandler } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * for (let splitAt = 0; splitAt <= 4; splitAt++) {
 *   await using client = connect(SumHandler, { splitAt });
 *   await client.wfile.write("2 3\n");
 *   assertEquals(await client.rfile.readLine(), "5");
 * }
 * ```
 *
 * @typeParam C The type of `context`.
 * @typeParam H The type of the handler.
 * @param Handler The class of the handler.
 * @param options The handler's surroundings, and faults of its connection.
 * @returns The client's end.
 * @throws {TypeError} If the handler or an option has the wrong shape.
 * @throws {RangeError} If a number is out of range.
 */
export function connect<C, H extends BaseRequestHandler>(
  Handler: HandlerClass<C, H>,
  ...[options = {} as never]: undefined extends C
    ? [options?: ConnectOptions<C>]
    : [options: ConnectOptions<C> & { context: C }]
): TestClient<H> {
  checkHandler(Handler);
  assertOptions(options, "connect()", CONNECT_OPTIONS);
  const { clientAddress = CLIENT_ADDRESS, serverAddress = SERVER_ADDRESS } =
    options;
  const server = new LocalServer(serverAddress, options.context as C);
  const [conn, line] = makeLine(options, serverAddress, clientAddress);
  const time = new TestClock();
  Object.assign(conn, { [clock]: time });
  watchConn(conn);
  const handler = new Handler(conn as never, clientAddress, server);
  return new LocalClient(line, conn, time, handler);
}

/**
 * Sends one packet to a handler.
 *
 * @example Usage
 * ```ts
 * import { sendPacket } from "@socketserver/socketserver/testing";
 * import { SumHandler } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const [reply] = await sendPacket(SumHandler, "2 3");
 * assertEquals(new TextDecoder().decode(reply![0]), "5\n");
 * ```
 *
 * @typeParam C The type of `context`.
 * @param Handler The class of the handler.
 * @param packet The packet. A text is sent as UTF-8.
 * @param options The handler's surroundings.
 * @returns The packets that the handler sent, with their receivers.
 * @throws {TypeError} If the handler has the wrong shape.
 */
export async function sendPacket<C>(
  Handler: HandlerClass<C, BaseRequestHandler>,
  packet: string | Uint8Array,
  ...[options = {} as never]: undefined extends C
    ? [options?: SendPacketOptions<C>]
    : [options: SendPacketOptions<C> & { context: C }]
): Promise<[packet: Uint8Array, address: Deno.Addr][]> {
  checkHandler(Handler);
  assertOptions(options, "sendPacket()", PACKET_OPTIONS);
  const { clientAddress = CLIENT_ADDRESS, serverAddress = SERVER_ADDRESS } =
    options;
  const replies: [Uint8Array, Deno.Addr][] = [];
  const socket: DatagramSocket = {
    addr: serverAddress,
    send(bytes, address) {
      replies.push([bytes.slice(), address]);
      return Promise.resolve(bytes.length);
    },
  };
  const bytes = typeof packet === "string"
    ? new TextEncoder().encode(packet)
    : packet.slice();
  const request: DatagramRequest = { packet: bytes, socket, truncated: false };
  const server = new LocalServer(serverAddress, options.context as C);
  await runHandler(new Handler(request as never, clientAddress, server));
  return replies;
}
