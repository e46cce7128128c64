/**
 * Packets from a datagram socket.
 *
 * @module
 */

import type { DatagramRequest } from "../handlers/datagram_request.ts";
import type { PacketSocket } from "./_packet_socket.ts";
import type { Acceptor } from "./acceptor.ts";

/**
 * Takes packets from a datagram socket, which it owns.
 *
 * All are received into one buffer, which halves the time of a receive; what a
 * request holds is its own copy, so that handlers may keep it.
 */
export class DatagramAcceptor implements Acceptor<DatagramRequest> {
  #socket: PacketSocket;
  #maxPacketSize: () => number;
  #buffer: Uint8Array | null = null;

  constructor(socket: PacketSocket, maxPacketSize: () => number) {
    this.#socket = socket;
    this.#maxPacketSize = maxPacketSize;
  }

  async accept(): Promise<
    [request: DatagramRequest, clientAddress: Deno.Addr]
  > {
    const limit = this.#maxPacketSize();
    // One byte more than may come, to see that more came
    this.#buffer ??= new Uint8Array(limit + 1);
    const [data, from] = await this.#socket.receive(this.#buffer);
    const truncated = data.length > limit;
    const packet = truncated ? data.slice(0, limit) : data.slice();
    return [{ packet, socket: this.#socket, truncated }, from];
  }

  close(): void {
    this.#socket.close();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }
}
