/**
 * What can go wrong with a relay, other than with what it carries.
 *
 * @module
 */

/**
 * The runner ended before it began with a request. The connection is as it was:
 * it can be given to another relay, or closed.
 */
export class NotBegunError extends Error {
  override readonly name = "NotBegunError";
}

/** The error for a request that its runner, which has ended, had not begun. */
export function notBegun(cause: Error): NotBegunError {
  const { message } = cause;
  return new NotBegunError(`The request was not begun: ${message}`, { cause });
}

/** The other end has sent what it may not send, or not now. */
export class RelayProtocolError extends Error {
  override readonly name = "RelayProtocolError";
}
