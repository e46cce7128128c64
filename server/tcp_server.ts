/**
 * The TCP server.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import {
  core,
  loadRole,
  type OpenListener,
  role,
  settings,
} from "./_internal.ts";
import {
  assertUnstableNet,
  boundAddress,
  listenAt,
  TcpAcceptor,
} from "./sockets/listen.ts";
import { checkTcpAddress, type TcpAddress } from "./addresses.ts";
import { BaseServer } from "./base_server.ts";
import { checkTls } from "./core/check_options.ts";
import { ListenerAcceptor } from "./acceptor.ts";
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
    const { serverAddress } = this;
    if (this.allowReusePort) assertUnstableNet("share a TCP port");
    const open = opener(this);
    this.socket = listenAt(
      serverAddress,
      () => this[role].open(serverAddress, open),
    );
    this.serverAddress = boundAddress(serverAddress, this.socket.addr);
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

  /**
   * Replaces the certificate of a server with TLS while it runs. Open
   * connections go on.
   *
   * Deno can't change the certificate of a listener, so the server opens another
   * one:
   *
   * - With `allowReusePort`, it opens the new one first. A client is lost only
   *   if it connects in the moment in which the old one closes.
   * - Otherwise the port is closed for about a millisecond. A client that
   *   connects in this time is refused and should try again.
   * - Replicas that accept by themselves do so while the server accepts. Each
   *   closes its old listener when no client has come for 1 s, after 1.5 s at
   *   most.
   *
   * @example Usage
   * ```ts ignore
   * const [cert, key] = await Promise.all([
   *   Deno.readTextFile("fullchain.pem"),
   *   Deno.readTextFile("privkey.pem"),
   * ]);
   * await server.replaceCertificate({ cert, key });
   * ```
   *
   * @param certificate The certificate chain and its private key in PEM format.
   * @returns A promise that settles when new clients get the new certificate.
   * @throws {TypeError} If they can't be used, or the server has no TLS. The
   * server goes on as before.
   * @throws {ServerClosedError} If the server is closed.
   * @throws {Deno.errors.AddrInUse} If another socket took the address
   * meanwhile. Then the server is suspended; call `resume()`.
   */
  async replaceCertificate(
    certificate: { cert: string; key: string },
  ): Promise<void> {
    if (this[settings].cert === undefined) {
      throw new TypeError(
        'Cannot replace the certificate: the server has no TLS; give "cert" and "key" to its constructor',
      );
    }
    this[role].assertMay("replace the certificate of");
    checkTls(certificate);
    const { cert, key } = certificate;
    await this[core].listening.reopen(async () => {
      const part = await loadRole(this);
      Object.assign(this[settings], { cert, key });
      await part.replaceCertificate({ cert, key });
    }, () => this.#listenBeside());
  }

  /** Opens another listener on the port, if it can be shared. */
  #listenBeside(): Deno.TcpListener | null {
    const { serverAddress, allowReusePort } = this;
    const open = opener(this);
    return listenAt(
      serverAddress,
      () =>
        allowReusePort
          ? open(serverAddress, {})
          : this[role].openBeside(serverAddress, open),
    );
  }
}

/** Returns the function that opens the listeners of a server. */
function opener<C>(server: TCPServer<C>): OpenListener {
  const { allowReusePort, requestQueueSize, [settings]: options } = server;
  const { cert, key, alpnProtocols } = options;
  return ({ hostname, port }, sharing) => {
    const socket = {
      hostname,
      port,
      tcpBacklog: requestQueueSize,
      ...(allowReusePort && { reusePort: true }),
      ...sharing,
    };
    if (cert === undefined) return Deno.listen(socket);
    const tls = {
      cert,
      key: key!,
      ...(alpnProtocols !== undefined && { alpnProtocols }),
    };
    return Deno.listenTls({ ...socket, ...tls }) as unknown as Deno.TcpListener;
  };
}
