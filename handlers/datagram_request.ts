/**
 * The request of a datagram server: one packet and the socket it came to.
 *
 * @module
 */

/** The socket of a datagram server. Handlers send from it. */
export interface DatagramSocket {
  /** The address that the socket is bound to. */
  readonly addr: Deno.Addr;
  /**
   * Sends a packet from the server's own address.
   *
   * @param packet The bytes to send.
   * @param address The receiver, nearly always the handler's `clientAddress`.
   * @returns The number of bytes sent; 0 if the client has no address.
   */
  send(packet: Uint8Array, address: Deno.Addr): Promise<number>;
}

/** The request of a datagram server: one packet. */
export interface DatagramRequest {
  /** The received bytes. The handler may keep and change them. */
  readonly packet: Uint8Array;
  /** The server's socket. */
  readonly socket: DatagramSocket;
  /** Whether the packet was longer than `maxPacketSize`; its end is lost. */
  readonly truncated: boolean;
}
