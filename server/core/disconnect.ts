/**
 * Telling a client that left from a fault.
 *
 * @module
 */

import { ServerClosedError } from "../errors.ts";

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

/** Whether an error only says that the server has closed the connection. */
export function isOfAbort(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof ServerClosedError || isDisconnect(error) ||
    (error instanceof Error && error.name === "AbortError");
}

/** Closes what can be closed and was not yet. */
export function closeQuietly(resource: unknown): void {
  try {
    (resource as { close?(): void } | null)?.close?.();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
