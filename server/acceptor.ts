/**
 * Where a server's requests come from.
 *
 * @module
 */

/**
 * Where a server's requests come from: a listener, a datagram socket, or
 * whatever a test or a subclass puts in their place in `serverActivate()`.
 *
 * @typeParam R The type of the requests.
 */
export interface Acceptor<R = unknown> {
  /**
   * Whether handlers answer through the same socket, which then stays open
   * until their requests have ended.
   *
   * @default {false}
   */
  readonly carriesReplies?: boolean;
  /**
   * Waits for the next request. Not called again before it settles. A rejection
   * is taken for a passing fault, except a `Deno.errors.BadResource`.
   *
   * @returns The request and its client's address.
   */
  accept(): Promise<[request: R, clientAddress: Deno.Addr]>;
  /** Closes the socket; a pending `accept()` rejects. */
  close(): void;
  /** Lets a pending `accept()` keep the program alive. */
  ref?(): void;
  /** Lets the program end in spite of a pending `accept()`. */
  unref?(): void;
}
