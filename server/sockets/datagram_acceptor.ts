/**
 * The acceptor of a datagram socket.
 *
 * @module
 */

import type { DatagramRequest } from "../../handlers/datagram_request.ts";
import type { PacketSocket } from "./packet_socket.ts";
import type { Acceptor } from "../acceptor.ts";
import { ReceivedPacket } from "./received_packet.ts";

const SLAB_SIZE = 8_192;
const MAX_SMALL_PACKET = 1_024;

/**
 * Takes packets from a datagram socket, which it owns.
 *
 * It receives all packets into one buffer and copies them, which halves the
 * time of a receive.
 */
export class DatagramAcceptor implements Acceptor<DatagramRequest> {
  readonly carriesReplies = true;
  #socket: PacketSocket;
  #maxPacketSize: () => number;
  #buffer: Uint8Array | null = null;
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(socket: PacketSocket, maxPacketSize: () => number) {
    this.#socket = socket;
    this.#maxPacketSize = maxPacketSize;
  }

  accept(): Promise<[request: DatagramRequest, clientAddress: Deno.Addr]> {
    // One byte more than allowed, to detect longer packets
    this.#buffer ??= new Uint8Array(this.#maxPacketSize() + 1);
    return this.#socket.receive(this.#buffer).then(this.#toRequest);
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

  #toRequest = (
    [data, from]: [Uint8Array, Deno.Addr],
  ): [request: DatagramRequest, clientAddress: Deno.Addr] => {
    const truncated = data.length === this.#buffer!.length;
    const bytes = this.#copy(truncated ? data.subarray(0, -1) : data);
    return [new ReceivedPacket(bytes, this.#socket, truncated), from];
  };

  /** Copies small packets into shared chunks. */
  #copy(data: Uint8Array): Uint8Array {
    const { length } = data;
    if (length > MAX_SMALL_PACKET) return data.slice();
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_SIZE);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used += length);
    copy.set(data);
    return copy;
  }
}
