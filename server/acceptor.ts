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
