/**
 * The request of a datagram server: one packet and the socket it came to.
 *
 * @module
 */

/** The socket of a datagram server, as handlers use it: to send from. */
export interface DatagramSocket {
  /** The address that the socket is bound to. */
  readonly addr: Deno.Addr;
  /**
   * Sends a packet from the server's own address.
   *
   * @param packet The bytes to send.
   * @param address Where to, nearly always the handler's `clientAddress`.
   * @returns The number of bytes sent; 0 when the client has no address.
   */
  send(packet: Uint8Array, address: Deno.Addr): Promise<number>;
}

/** What a datagram server hands to its handlers for each packet. */
export interface DatagramRequest {
  /** The bytes received; the handler's own, to keep or to change. */
  readonly packet: Uint8Array;
  /** The server's socket. */
  readonly socket: DatagramSocket;
  /** Whether the packet was longer than `maxPacketSize` and lost its end. */
  readonly truncated: boolean;
}
