/**
 * The handler for packets.
 *
 * @module
 */

import { RequestHandler } from "./request_handler.ts";
import type { DatagramRequest, DatagramSocket } from "./request_types.ts";

/**
 * Answers a packet, UDP or Unix. All writes to `wfile` are sent to the client
 * as one packet after `handle()`. Without a write, nothing is sent.
 *
 * @example Answering packets
 * ```ts
 * import { DatagramRequestHandler, UDPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Size extends DatagramRequestHandler {
 *   override async handle() {
 *     await this.wfile.write(`${this.packet.length} bytes`);
 *   }
 * }
 *
 * await using server = new UDPServer({ port: 0 }, Size);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new Uint8Array(3), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(new TextDecoder().decode(reply), "3 bytes");
 * client.close();
 * ```
 *
 * @typeParam C The type of the server's `context`.
 */
export abstract class DatagramRequestHandler<C = unknown>
  extends RequestHandler<C, DatagramRequest> {
  /**
   * The bytes received; the handler's own, to keep or to change.
   *
   * @example Usage
   * ```ts
   * import { DatagramRequestHandler } from "@socketserver/socketserver";
   * import { sendPacket } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Backwards extends DatagramRequestHandler {
   *   override async handle() {
   *     await this.wfile.write(this.packet.reverse());
   *   }
   * }
   *
   * const [reply] = await sendPacket(Backwards, "abc");
   * assertEquals(new TextDecoder().decode(reply![0]), "cba");
   * ```
   *
   * @returns The packet.
   */
  get packet(): Uint8Array {
    return this.request.packet;
  }

  /**
   * The server's socket. Packets sent from it have the server's address.
   *
   * @example Usage
   * ```ts
   * import { DatagramRequestHandler } from "@socketserver/socketserver";
   * import { sendPacket } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Twice extends DatagramRequestHandler {
   *   override async handle() {
   *     await this.socket.send(this.packet, this.clientAddress);
   *     await this.socket.send(this.packet, this.clientAddress);
   *   }
   * }
   *
   * assertEquals((await sendPacket(Twice, "again")).length, 2);
   * ```
   *
   * @returns The socket.
   */
  get socket(): DatagramSocket {
    return this.request.socket;
  }

  /**
   * Whether the packet was longer than `maxPacketSize`; its end is lost.
   *
   * @example Usage
   * ```ts
   * import { DatagramRequestHandler } from "@socketserver/socketserver";
   * import { sendPacket } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Whole extends DatagramRequestHandler {
   *   override async handle() {
   *     if (!this.truncated) await this.wfile.write("whole");
   *   }
   * }
   *
   * const [reply] = await sendPacket(Whole, "short");
   * assertEquals(new TextDecoder().decode(reply![0]), "whole");
   * ```
   *
   * @returns `true` if it was cut.
   */
  get truncated(): boolean {
    return this.request.truncated;
  }
}
