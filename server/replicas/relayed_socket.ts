/**
 * The socket of a relayed packet.
 *
 * @module
 */

import type { DatagramSocket } from "../../handlers/datagram_request.ts";
import {
  isPacketAddress,
  isSameAddress,
} from "../../workers/relay/addresses.ts";
import type { Reply } from "../../workers/relay/relay_port.ts";
import { maxPayload, packetTooLong } from "../sockets/packet_socket.ts";

/** Sends packets through the server that owns the socket. */
export class RelayedSocket implements DatagramSocket {
  readonly addr: Deno.Addr;
  #client: Deno.Addr;
  #reply: Reply;

  constructor(addr: Deno.Addr, client: Deno.Addr, reply: Reply) {
    this.addr = addr;
    this.#client = client;
    this.#reply = reply;
  }

  // deno-lint-ignore require-await -- errors must reject
  async send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    if (!(packet instanceof Uint8Array)) {
      throw new TypeError("Cannot send a packet: expected a Uint8Array");
    }
    if (!isPacketAddress(address)) {
      throw new TypeError(
        `Cannot send a packet to ${
          Deno.inspect(address)
        }: expected an address, such as "clientAddress"`,
      );
    }
    const limit = maxPayload(this.addr);
    if (packet.length > limit) throw packetTooLong(packet.length, limit);
    const isAnswer = isSameAddress(address, this.#client);
    return this.#reply(packet, isAnswer ? null : address);
  }
}
