/**
 * The TCP server.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import { type OpenListener, role, settings } from "./_internal.ts";
import { TcpAcceptor } from "./sockets/tcp_acceptor.ts";
import { listenTls } from "./sockets/tls.ts";
import { assertUnstableNet, listenAt } from "./sockets/listen.ts";
import { checkTcpAddress, type TcpAddress } from "./addresses.ts";
import { BaseServer } from "./base_server.ts";
import { ListenerAcceptor } from "./listener_acceptor.ts";
import type { OptionsArgument, TcpServerOptions } from "./options.ts";

/**
 * Serves TCP connections on the event loop. Needs `--allow-net`.
 *
 * @example A server in a few lines
 * ```ts
 * import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Upper extends StreamRequestHandler {
 *   override async handle() {
 *     for await (const line of this.rfile) {
 *       await this.wfile.write(`${line.toUpperCase()}\n`);
 *     }
 *   }
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Upper);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("hello\n"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "HELLO\n");
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class TCPServer<C = unknown> extends BaseServer<Deno.TcpConn, C> {
  /** The requested address; once bound, the socket's actual address. */
  declare serverAddress: Deno.NetAddr & { transport: "tcp" };
  /** The listener; `null` until it is bound. */
  declare socket: Deno.TcpListener | null;

  /**
   * Constructs a server and binds its address.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Limits, time-outs and the context.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   * @throws {Deno.errors.NotCapable} Without `--allow-net`.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.TcpConn, C>,
    ...options: OptionsArgument<C, TcpServerOptions<C>>
  ) {
    super(checkTcpAddress(address, "tcp"), RequestHandlerClass, options[0]);
  }

  /**
   * Opens the listener. From then on the system queues clients.
   *
   * @example Binding later than constructing
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const server = new TCPServer({ port: 0 }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * assert(server.socket !== null);
   * await server.serverActivate();
   * await server.serverClose();
   * ```
   */
  override serverBind(): void | Promise<void> {
    const { serverAddress, allowReusePort, requestQueueSize } = this;
    const tls = this[settings];
    if (allowReusePort) assertUnstableNet("share a TCP port");
    const open: OpenListener = ({ hostname, port }, sharing) => {
      const options = {
        hostname,
        port,
        tcpBacklog: requestQueueSize,
        ...(allowReusePort && { reusePort: true }),
        ...sharing,
      };
      return tls.cert === undefined
        ? Deno.listen(options)
        : listenTls(options, tls) as unknown as Deno.TcpListener;
    };
    this.socket = listenAt(
      serverAddress,
      () => this[role]?.open?.(serverAddress, open) ?? open(serverAddress, {}),
    );
    this.serverAddress = this.socket.addr as this["serverAddress"];
  }

  /**
   * Takes connections from the listener. From then on the server can serve.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const server = new TCPServer({ port: 0 }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * await server.serverActivate();
   * assert(server.acceptor !== null);
   * await server.serverClose();
   * ```
   */
  override serverActivate(): void | Promise<void> {
    const { cert, noDelay = true, keepAlive = false } = this[settings];
    this.acceptor = cert === undefined
      ? new TcpAcceptor(this.socket!, { noDelay, keepAlive })
      : new ListenerAcceptor(this.socket!);
  }
}
