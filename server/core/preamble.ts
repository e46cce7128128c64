/**
 * The bytes before a client's own.
 *
 * @module
 */

/** Reads the bytes before a client's own. */
export interface Preamble {
  /** Returns the client's address, if the preamble has one. */
  read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr>;
  /** The server closes: preambles that have not begun end soon. */
  drain?(): void;
}
