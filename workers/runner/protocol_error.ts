/**
 * The error for a malformed or unexpected message.
 *
 * @module
 */

/** The other end of a line said what it must not. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}
