/**
 * Telling a client that left from a fault.
 *
 * @module
 */

const { errors } = Deno;
const CODES = ["ECONNRESET", "ECONNABORTED", "EPIPE", "ENOTCONN"];

/** Whether an error only says that the other side went away. */
export function isDisconnect(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error instanceof errors.ConnectionReset ||
    error instanceof errors.BrokenPipe ||
    error instanceof errors.ConnectionAborted ||
    error instanceof errors.NotConnected ||
    CODES.includes((error as Error & { code?: string }).code ?? "");
}
