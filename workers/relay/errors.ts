/**
 * The errors of a relay itself.
 *
 * @module
 */

/**
 * The runner ended before it began a request. The connection is unchanged: give
 * it to another relay, or close it.
 */
export class NotBegunError extends Error {
  override readonly name = "NotBegunError";
}

/** The error for a request that its runner, which has ended, had not begun. */
export function notBegun(cause: Error): NotBegunError {
  const { message } = cause;
  return new NotBegunError(`The request was not begun: ${message}`, { cause });
}

/** The other end has sent an invalid frame, or one out of order. */
export class RelayProtocolError extends Error {
  override readonly name = "RelayProtocolError";
}
