/**
 * Distinguishes a client that left from a fault.
 *
 * @module
 */

import { IncompleteReadError } from "../../handlers/errors.ts";
import { ServerClosedError } from "../errors.ts";

const { errors } = Deno;
const CODES = [
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTCONN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENETRESET",
];

/**
 * Whether an error only means that the client left, also in the middle of a
 * message. A packet that is too short does not count.
 */
export function isDisconnect(error: unknown, request?: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof IncompleteReadError) {
    return !(request instanceof Object && "packet" in request);
  }
  return error instanceof errors.ConnectionReset ||
    error instanceof errors.BrokenPipe ||
    error instanceof errors.ConnectionAborted ||
    error instanceof errors.NotConnected ||
    error instanceof errors.UnexpectedEof ||
    CODES.includes((error as Error & { code?: string }).code ?? "");
}

/** Whether an error only means that the server has closed the connection. */
export function isOfAbort(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof ServerClosedError || isDisconnect(error) ||
    (error instanceof Error && error.name === "AbortError");
}

/**
 * What was thrown, or in its place an error that can be looked at: user code
 * may throw a `Proxy`, or an error with a getter that throws.
 */
export function readable(error: unknown): unknown {
  try {
    isOfAbort(error);
    return error;
  } catch {
    return new TypeError(
      "Cannot report what was thrown: to look at it throws as well",
    );
  }
}

/** As {@linkcode closeQuietly}, and ignores all errors. */
export function closeAnyhow(resource: unknown): void {
  try {
    closeQuietly(resource);
  } catch {
    // It is some other object's than Deno's, and as closed as it can be
  }
}

/** Closes a resource, unless it is closed or has no `close()`. */
export function closeQuietly(resource: unknown): void {
  try {
    (resource as { close?(): void } | null)?.close?.();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
