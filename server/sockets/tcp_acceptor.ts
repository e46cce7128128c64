/**
 * The acceptor of TCP connections, which sets their socket options.
 *
 * @module
 */

import { ListenerAcceptor } from "../listener_acceptor.ts";

/** Options of a connection's socket. */
export interface SocketOptions {
  noDelay: boolean;
  keepAlive: boolean;
}

/** Takes TCP connections from a listener. */
export class TcpAcceptor extends ListenerAcceptor<Deno.TcpConn> {
  #options: SocketOptions;

  constructor(listener: Deno.TcpListener, options: SocketOptions) {
    super(listener);
    this.#options = options;
  }

  override accept(): Promise<
    [request: Deno.TcpConn, clientAddress: Deno.Addr]
  > {
    return super.accept().then(this.#setUp);
  }

  #setUp = (
    accepted: [request: Deno.TcpConn, clientAddress: Deno.Addr],
  ): [request: Deno.TcpConn, clientAddress: Deno.Addr] => {
    const [conn] = accepted;
    const { noDelay, keepAlive } = this.#options;
    if (noDelay) conn.setNoDelay(true);
    if (keepAlive) conn.setKeepAlive(true);
    return accepted;
  };
}
