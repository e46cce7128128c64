/**
 * The open connections of a server.
 *
 * @module
 */

/** An open connection, or a packet that a handler is answering. */
export interface OpenConnection {
  /** Names it for `disconnect()`. */
  id: string;
  /** The client's address. */
  clientAddress: Deno.Addr;
  /** The time when it was accepted. */
  since: Date;
  /** The client's bytes that were read; absent if a replica serves it. */
  bytesRead?: number;
  /** The replica that accepted it; absent if the server itself did. */
  replica?: number;
}
