/**
 * The UDP server.
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
  type DatagramConn,
  MAX_UDP6_PAYLOAD,
  type PacketSocket,
  UdpSocket,
} from "./sockets/packet_socket.ts";
import { assertUnstableNet, boundAddress, listenAt } from "./sockets/listen.ts";
import { checkTcpAddress, type TcpAddress } from "./addresses.ts";
import { settings } from "./_internal.ts";
import { BaseServer } from "./base_server.ts";
import type { OptionsArgument, UdpServerOptions } from "./options.ts";

/** The socket of a UDP server. */
export interface UdpServerSocket extends DatagramSocket {
  /**
   * Joins a multicast group, whose packets the server then gets.
   *
   * @param address The group, for example `"224.0.0.251"`.
   * @param networkInterface The address of the interface; `"0.0.0.0"` for any.
   * @returns The membership. Its `leave()` ends it.
   */
  joinMulticastV4(
    address: string,
    networkInterface: string,
  ): Promise<Deno.MulticastV4Membership>;
  /**
   * Joins a multicast group of IPv6.
   *
   * @param address The group, for example `"ff02::fb"`.
   * @param networkInterface The number of the interface; 0 for any.
   * @returns The membership. Its `leave()` ends it.
   */
  joinMulticastV6(
    address: string,
    networkInterface: number,
  ): Promise<Deno.MulticastV6Membership>;
}

/**
 * Serves UDP packets on the event loop. Needs `--allow-net` and
 * `--unstable-net`.
 *
 * Each packet is a request. The handler gets its own copy.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, UDPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new UDPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 * client.close();
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class UDPServer<C = unknown> extends BaseServer<DatagramRequest, C> {
  /** The requested address; once bound, the socket's actual address. */
  declare serverAddress: Deno.NetAddr & { transport: "udp" };
  /** The socket; `null` until it is bound. */
  declare socket: UdpServerSocket | null;
  /** The option `maxPacketSize`. */
  declare readonly maxPacketSize: number;

  static {
    Object.defineProperty(this.prototype, "maxPacketSize", {
      get(this: UDPServer) {
        return this[settings].maxPacketSize ?? MAX_UDP6_PAYLOAD;
      },
    });
  }

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
   * @throws {Deno.errors.NotSupported} Without `--unstable-net`.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<C, UdpServerOptions<C>>
  ) {
    super(checkTcpAddress(address, "udp"), RequestHandlerClass, options[0]);
  }

  /**
   * Opens the socket. From then on the system queues packets.
   *
   * @example Binding later than constructing
   * ```ts
   * import { EchoHandler, UDPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const server = new UDPServer({ port: 0 }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * assert(server.socket !== null);
   * await server.serverActivate();
   * await server.serverClose();
   * ```
   */
  override serverBind(): void | Promise<void> {
    const { hostname, port } = this.serverAddress;
    assertUnstableNet("receive packets");
    this.socket = listenAt(this.serverAddress, () =>
      new UdpSocket(
        Deno.listenDatagram({
          transport: "udp",
          hostname,
          port,
        }) as DatagramConn,
      ));
    this.serverAddress = boundAddress(this.serverAddress, this.socket.addr);
  }

  /**
   * Takes packets from the socket. From then on the server can serve.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, UDPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const server = new UDPServer({ port: 0 }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * await server.serverActivate();
   * assert(server.acceptor !== null);
   * await server.serverClose();
   * ```
   */
  override serverActivate(): void | Promise<void> {
    this.acceptor = new DatagramAcceptor(
      this.socket as DatagramSocket as PacketSocket,
      () => this.maxPacketSize,
      this.RequestHandlerClass,
    );
  }
}
