/**
 * The sockets under datagram servers.
 *
 * @module
 */

import type { DatagramSocket } from "../../handlers/datagram_request.ts";

const MAX_UDP_PAYLOAD = 65_507;
/** The kernel's default limit. */
const MAX_UNIX_PAYLOAD = 212_960;

/** A socket that receives and sends packets. */
export interface PacketSocket extends DatagramSocket {
  /** The number of replies without an address to send to. */
  readonly dropped: number;
  /** Receives one packet. Its bytes are in `buffer` until the next call. */
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** Deno's socket. Its types lack the last two methods. */
export type DatagramConn = Deno.DatagramConn & { ref(): void; unref(): void };

/** A UDP socket. It can send and receive at the same time. */
export class UdpSocket implements PacketSocket {
  readonly addr: Deno.Addr;
  readonly dropped = 0;
  #socket: DatagramConn;

  constructor(socket: DatagramConn) {
    this.#socket = socket;
    this.addr = socket.addr;
  }

  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]> {
    return this.#socket.receive(buffer);
  }

  send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    return packet.length > MAX_UDP_PAYLOAD
      ? Promise.reject(packetTooLong(packet.length, MAX_UDP_PAYLOAD))
      : this.#socket.send(packet, address);
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

/** The longest packet to or from this address. */
export function maxPayload(address: Deno.Addr): number {
  return address.transport === "udp" ? MAX_UDP_PAYLOAD : MAX_UNIX_PAYLOAD;
}

/** The error for a packet that no socket of its kind can carry. */
export function packetTooLong(length: number, limit: number): RangeError {
  return new RangeError(
    `Cannot send a packet of ${length} bytes: a packet carries at most ${limit}`,
  );
}
