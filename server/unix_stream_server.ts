/**
 * The Unix stream server.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import { listenAt } from "./sockets/listen.ts";
import { fileOf } from "./sockets/unix_path.ts";
import { checkUnixAddress, type UnixAddress } from "./addresses.ts";
import { BaseServer } from "./base_server.ts";
import { ListenerAcceptor } from "./acceptor.ts";
import type { OptionsArgument, UnixStreamServerOptions } from "./options.ts";

/**
 * Serves connections on a Unix socket, on the event loop. Needs `--allow-read`
 * and `--allow-write` for the path, and `--allow-net`.
 *
 * The server replaces a socket file without a listener, but never a live one or
 * another kind of file. It removes its own file when it closes.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, UnixStreamServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new UnixStreamServer({ path: `${dir}/socket` }, EchoHandler);
 * server.serveForever();
 * const client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 *
 * await server.serverClose();
 * await Deno.remove(dir);
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class UnixStreamServer<C = unknown>
  extends BaseServer<Deno.UnixConn, C> {
  /** The path. */
  declare serverAddress: Deno.UnixAddr & { transport: "unix" };
  /** The listener; `null` until it is bound. */
  declare socket: Deno.UnixListener | null;

  /**
   * Constructs a server and binds its address.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Limits, time-outs and the context.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {Deno.errors.AddrInUse} If another server listens there, or the
   * path is another kind of file.
   * @throws {Deno.errors.NotCapable} Without the permissions.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.UnixConn, C>,
    ...options: OptionsArgument<C, UnixStreamServerOptions<C>>
  ) {
    super(checkUnixAddress(address, "unix"), RequestHandlerClass, options[0]);
  }

  /**
   * Opens the listener. From then on the system queues clients.
   *
   * @example Binding later than constructing
   * ```ts
   * import { EchoHandler, UnixStreamServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * const server = new UnixStreamServer({ path: `${dir}/socket` }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * assert(server.socket !== null);
   * await server.serverActivate();
   * await server.serverClose();
   * await Deno.remove(dir, { recursive: true });
   * ```
   */
  override serverBind(): void | Promise<void> {
    const file = fileOf(this);
    this.socket = listenAt(
      this.serverAddress,
      () => file.bind((path) => Deno.listen({ transport: "unix", path })),
    );
    file.keepSuccessor(this.socket);
  }

  /**
   * Takes connections from the listener. From then on the server can serve.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, UnixStreamServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * const server = new UnixStreamServer({ path: `${dir}/socket` }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * await server.serverActivate();
   * assert(server.acceptor !== null);
   * await server.serverClose();
   * await Deno.remove(dir, { recursive: true });
   * ```
   */
  override serverActivate(): void | Promise<void> {
    this.acceptor = new ListenerAcceptor(this.socket!);
  }
}
