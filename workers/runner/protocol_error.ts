/**
 * The error for a malformed or unexpected message.
 *
 * @module
 */

/** Thrown when the other end sends an invalid message. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}
