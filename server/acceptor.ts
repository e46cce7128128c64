/**
 * The source of a server's requests.
 *
 * @module
 */

/**
 * The source of a server's requests: a listener or a datagram socket. A
 * subclass may set another one in `serverActivate()`.
 *
 * @typeParam R The type of the requests.
 */
export interface Acceptor<R = unknown> {
  /**
   * Whether handlers answer through the same socket. It then stays open until
   * their requests have ended.
   *
   * @default {false}
   */
  readonly carriesReplies?: boolean;
  /**
   * Waits for the next request. It is not called again before it settles. A
   * rejection counts as temporary, except a `Deno.errors.BadResource`.
   *
   * @returns The request and its client's address.
   */
  accept(): Promise<[request: R, clientAddress: Deno.Addr]>;
  /** Closes the socket. A pending `accept()` rejects. */
  close(): void;
  /** Makes a pending `accept()` keep the program alive. */
  ref?(): void;
  /** Lets the program end despite a pending `accept()`. */
  unref?(): void;
}

/**
 * Takes connections from a `Deno.Listener`: TCP, TLS or Unix.
 *
 * @example Usage
 * ```ts
 * import { ListenerAcceptor } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = Deno.listen({ port: 0 });
 * const acceptor = new ListenerAcceptor(listener);
 * using client = await Deno.connect({ port: listener.addr.port });
 * const [request, clientAddress] = await acceptor.accept();
 * assertEquals(clientAddress, client.localAddr);
 * request.close();
 * acceptor.close();
 * ```
 *
 * @typeParam R The type of the connections.
 */
export class ListenerAcceptor<R extends Deno.Conn = Deno.Conn>
  implements Acceptor<R> {
  #listener: Deno.Listener;

  /**
   * Constructs an acceptor that owns the listener.
   *
   * @param listener The listener.
   */
  constructor(listener: Deno.Listener) {
    this.#listener = listener;
  }

  /**
   * Waits for the next connection.
   *
   * @example Usage
   * ```ts
   * import { ListenerAcceptor } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const listener = Deno.listen({ port: 0 });
   * const acceptor = new ListenerAcceptor(listener);
   * using client = await Deno.connect({ port: listener.addr.port });
   * const [request] = await acceptor.accept();
   * assertEquals(request.remoteAddr, client.localAddr);
   * request.close();
   * acceptor.close();
   * ```
   *
   * @returns The connection and its client's address.
   */
  async accept(): Promise<[request: R, clientAddress: Deno.Addr]> {
    const connection = await this.#listener.accept() as R;
    return [connection, connection.remoteAddr];
  }

  /**
   * Closes the listener.
   *
   * @example Usage
   * ```ts
   * import { ListenerAcceptor } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const acceptor = new ListenerAcceptor(Deno.listen({ port: 0 }));
   * const accepting = assertRejects(() => acceptor.accept());
   * acceptor.close();
   * await accepting;
   * ```
   */
  close(): void {
    this.#listener.close();
  }

  /**
   * Makes a pending `accept()` keep the program alive.
   *
   * @example Usage
   * ```ts
   * import { ListenerAcceptor } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const acceptor = new ListenerAcceptor(Deno.listen({ port: 0 }));
   * acceptor.ref();
   * acceptor.close();
   * await assertRejects(() => acceptor.accept());
   * ```
   */
  ref(): void {
    this.#listener.ref();
  }

  /**
   * Lets the program end despite a pending `accept()`.
   *
   * @example Usage
   * ```ts
   * import { ListenerAcceptor } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const acceptor = new ListenerAcceptor(Deno.listen({ port: 0 }));
   * acceptor.unref();
   * acceptor.close();
   * await assertRejects(() => acceptor.accept());
   * ```
   */
  unref(): void {
    this.#listener.unref();
  }
}
