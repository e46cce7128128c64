/**
 * The Unix datagram server.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import type {
  DatagramRequest,
  DatagramSocket,
} from "../handlers/request_types.ts";
import {
  DatagramAcceptor,
  type PacketSocket,
} from "./sockets/packet_socket.ts";
import { assertUnstableNet, listenAt } from "./sockets/listen.ts";
import { fileOf } from "./sockets/unix_path.ts";
import { UnixPacketSocket } from "./sockets/unix_packet_socket.ts";
import { checkUnixAddress, type UnixAddress } from "./addresses.ts";
import { settings } from "./_internal.ts";
import { BaseServer } from "./base_server.ts";
import type { OptionsArgument, UnixDatagramServerOptions } from "./options.ts";

const MAX_PACKET_SIZE = 212_960;

/**
 * Serves packets on a Unix socket, on the event loop. Needs `--allow-read` and
 * `--allow-write` for the path, `--allow-net` and `--unstable-net`.
 *
 * A reply goes to the client's path. Replies to a client without a path are
 * dropped and counted in `stats()`.
 *
 * A client that leaves its replies unread delays the others for a second. After
 * that, the reply fails with `Deno.errors.TimedOut`. To give it up, a server
 * with `--allow-all` sends replies by way of an empty hidden folder beside its
 * socket, which `serverClose()` removes. Without `--allow-all`, or if unread
 * replies fill the socket's memory, about 50 KB, the server opens a new socket
 * on its path, with the same mode and owner. Packets that wait in the old socket
 * are lost then, and the reply keeps the program alive until the client reads or
 * leaves.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, UnixDatagramServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new UnixDatagramServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "unixpacket",
 *   path: `${dir}/c`,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 *
 * client.close();
 * await server.serverClose();
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class UnixDatagramServer<C = unknown>
  extends BaseServer<DatagramRequest, C> {
  /** The path. */
  declare serverAddress: Deno.UnixAddr & { transport: "unixpacket" };
  /** The socket; `null` until it is bound. */
  declare socket: DatagramSocket | null;
  /** The option `maxPacketSize`. */
  declare readonly maxPacketSize: number;

  static {
    Object.defineProperty(this.prototype, "maxPacketSize", {
      get(this: UnixDatagramServer) {
        return this[settings].maxPacketSize ?? MAX_PACKET_SIZE;
      },
    });
  }

  /**
   * Constructs a server and binds its address.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Limits, time-outs and the context.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   * @throws {Deno.errors.NotCapable} Without the permissions.
   * @throws {Deno.errors.NotSupported} Without `--unstable-net`.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<C, UnixDatagramServerOptions<C>>
  ) {
    super(
      checkUnixAddress(address, "unixpacket"),
      RequestHandlerClass,
      options[0],
    );
  }

  /**
   * Opens the socket. From then on the system queues packets.
   *
   * @example Binding later than constructing
   * ```ts
   * import { EchoHandler, UnixDatagramServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * const server = new UnixDatagramServer({ path: `${dir}/socket` }, EchoHandler, {
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
    const { serverAddress } = this;
    assertUnstableNet("receive packets");
    this.socket = listenAt(
      serverAddress,
      () => new UnixPacketSocket(fileOf(this)),
    );
  }

  /**
   * Takes packets from the socket. From then on the server can serve.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, UnixDatagramServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * const server = new UnixDatagramServer({ path: `${dir}/socket` }, EchoHandler, {
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
    this.acceptor = new DatagramAcceptor(
      this.socket as PacketSocket,
      () => this.maxPacketSize,
      this.RequestHandlerClass,
    );
  }
}
