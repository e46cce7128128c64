/**
 * Packets from a datagram socket.
 *
 * @module
 */

import type { DatagramRequest } from "../../handlers/datagram_request.ts";
import type { PacketSocket } from "./packet_socket.ts";
import type { Acceptor } from "../acceptor.ts";

/**
 * Takes packets from a datagram socket, which it owns.
 *
 * All are received into one buffer, which halves the time of a receive; what a
 * request holds is a copy in a buffer of its own and of its size, so that
 * handlers may keep, change or transfer it.
 */
export class DatagramAcceptor implements Acceptor<DatagramRequest> {
  readonly carriesReplies = true;
  #socket: PacketSocket;
  #maxPacketSize: () => number;
  #buffer: Uint8Array | null = null;

  constructor(socket: PacketSocket, maxPacketSize: () => number) {
    this.#socket = socket;
    this.#maxPacketSize = maxPacketSize;
  }

  accept(): Promise<[request: DatagramRequest, clientAddress: Deno.Addr]> {
    // One byte more than may come, to see that more came
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
    const packet = new Uint8Array(truncated ? data.subarray(0, -1) : data);
    return [{ packet, socket: this.#socket, truncated }, from];
  };
}
