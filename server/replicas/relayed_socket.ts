/**
 * The socket of a packet as a replica sees it.
 *
 * @module
 */

import type { DatagramSocket } from "../../handlers/datagram_request.ts";
import type { Reply } from "../../workers/relay/relay_port.ts";
import { maxPayload, packetTooLong } from "../sockets/packet_socket.ts";

/** Sends replies through the server that holds the socket. */
export class RelayedSocket implements DatagramSocket {
  readonly addr: Deno.Addr;
  #reply: Reply;

  constructor(addr: Deno.Addr, reply: Reply) {
    this.addr = addr;
    this.#reply = reply;
  }

  send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    const limit = maxPayload(this.addr);
    if (packet.length > limit) {
      return Promise.reject(packetTooLong(packet.length, limit));
    }
    this.#reply(packet, address);
    return Promise.resolve(packet.length);
  }
}
