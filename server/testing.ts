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
} from "../handlers/datagram_request.ts";
import type { BufferedReader } from "../handlers/io/buffered_reader.ts";
import type { BufferedWriter } from "../handlers/io/buffered_writer.ts";
import type { RequestServer } from "../handlers/request_server.ts";
import { checkHandler, runHandler } from "./core/run_handler.ts";
import {
  checkConnectOptions,
  checkPacketOptions,
} from "./memory/check_options.ts";
import { LocalServer } from "./memory/local_server.ts";
import { makeLine } from "./memory/memory_conn.ts";
import { LocalClient } from "./memory/local_client.ts";
import type { TestClock } from "./memory/test_clock.ts";
import type { OptionsArgument } from "./options.ts";

export { TestClock } from "./memory/test_clock.ts";

const SERVER_ADDRESS = {
  transport: "tcp",
  hostname: "127.0.0.1",
  port: 7,
} as const;
const CLIENT_ADDRESS = { ...SERVER_ADDRESS, port: 30_000 } as const;

/**
 * What the handler is told.
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
 * What the handler is told, and what is odd about its connection.
 *
 * @typeParam C The type of `context`.
 */
export interface ConnectOptions<C = unknown> extends SendPacketOptions<C> {
  /**
   * Most bytes that a read of the handler gets; 1 splits at every byte.
   *
   * @default {Infinity}
   */
  chunkSize?: number;
  /**
   * Where a read of the handler ends, in bytes from the beginning, whatever the
   * client has written at once.
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
   * Bytes of the handler that reach the client before the connection is reset.
   *
   * @default {Infinity}
   */
  resetAfterWriting?: number;
  /**
   * Bytes that the handler can write while the client does not read: then it
   * waits, as for a client that stalls.
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
   * Settles when the handler has ended; rejects with what a server would give
   * to `handleError()`.
   */
  readonly ended: Promise<void>;
  /** The time of the handler's `rfile` and `wfile`. */
  readonly clock: TestClock;
  /** Reads what the handler sent. */
  readonly rfile: BufferedReader;
  /** Writes to the handler, at once. */
  readonly wfile: BufferedWriter;

  /** Resets the connection: what both ends do with it fails. */
  reset(): void;

  /**
   * Does what a server does that closes: a handler that waits for a new request
   * finds the end, within 50 ms of `clock`.
   *
   * @example Usage
   * ```ts
   * import { connect } from "@socketserver/socketserver/testing";
   * import { EchoHandler } from "@socketserver/socketserver";
   *
   * await using client = connect(EchoHandler);
   * client.drain();
   * await client.clock.advance(50);
   * await client.ended;
   * ```
   */
  drain(): void;

  /**
   * Does what a server does when `shutdownTimeout` is over: the handler's
   * `signal` is aborted and its connection closed.
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
   * @param reason Why, for the signal.
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
 * Makes a handler and connects to it. The handler runs as in a server, but for
 * the server: hooks, limits and deadlines of servers are not there.
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
 * @param options What the handler is told, what is odd about the connection.
 * @returns The client's end.
 * @throws {TypeError} If the handler or an option is of the wrong shape.
 * @throws {RangeError} If a number is out of its range.
 */
export function connect<C, H extends BaseRequestHandler>(
  Handler: HandlerClass<C, H>,
  ...[options = {} as never]: OptionsArgument<C, ConnectOptions<C>>
): TestClient<H> {
  checkHandler(Handler);
  checkConnectOptions(options);
  const { clientAddress = CLIENT_ADDRESS, serverAddress = SERVER_ADDRESS } =
    options;
  const server = new LocalServer(serverAddress, options.context as C);
  const [conn, line] = makeLine(options, serverAddress, clientAddress);
  const handler = new Handler(conn as never, clientAddress, server);
  return new LocalClient(line, conn, handler);
}

/**
 * Gives a packet to a handler.
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
 * @param packet What the client sent; a text as UTF-8.
 * @param options What the handler is told.
 * @returns The packets that the handler sent, and where to.
 * @throws {TypeError} If the handler is of the wrong shape.
 */
export async function sendPacket<C>(
  Handler: HandlerClass<C, BaseRequestHandler>,
  packet: string | Uint8Array,
  ...[options = {} as never]: OptionsArgument<C, SendPacketOptions<C>>
): Promise<[packet: Uint8Array, address: Deno.Addr][]> {
  checkHandler(Handler);
  checkPacketOptions(options);
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
