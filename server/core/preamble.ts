/**
 * What comes before a client's own bytes.
 *
 * @module
 */

/** Reads what comes before a client's own bytes. */
export interface Preamble {
  /** Gives the client's address, where the preamble tells one. */
  read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr>;
  /** The server closes: what has not begun need not be waited for long. */
  drain?(): void;
}
