/**
 * Errors of requests: which of them only mean that a client left, how they are
 * counted, and how they are printed.
 *
 * @module
 */

import {
  IncompleteReadError,
  RequestTimeoutError,
} from "../../handlers/errors.ts";
import { describe } from "../../workers/base/errors.ts";
import { ServerClosedError } from "../errors.ts";
import { printOnStderr } from "./stderr.ts";
import { formatAddress } from "../addresses.ts";

const { errors } = Deno;
const GONE_CODES = [
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
    GONE_CODES.includes((error as Error & { code?: string }).code ?? "");
}

/** Whether an error only means that the server has closed the connection. */
export function isOfAbort(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof ServerClosedError || isDisconnect(error) ||
    (error instanceof Error && error.name === "AbortError");
}

/**
 * Returns what was thrown if it is safe to read, otherwise an error instead:
 * user code may throw a `Proxy`, or an error with a getter that throws.
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
    // A user's object, whose close() fails: there is nothing else to call
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

const SHORTAGE_CODES = ["EMFILE", "ENFILE"];
const PROBE_PATH = "/dev/null";

/** A failed accept is retried within a second. */
const MEMORY_MS = 2_000;

/** The last time that an accept of this thread found no free descriptor. */
let failedAt = -Infinity;

/** Records the error of an accept. */
export function noteAcceptError(error: unknown): void {
  if (isShortage(error)) failedAt = performance.now();
}

/**
 * Whether no descriptor is free, judged by the error, by recent accepts of this
 * thread, and by opening a file if permitted.
 */
export function lacksDescriptors(reported: unknown): boolean {
  if (performance.now() - failedAt < MEMORY_MS || isShortage(reported)) {
    return true;
  }
  try {
    const { state } = Deno.permissions.querySync({
      name: "read",
      path: PROBE_PATH,
    });
    if (state === "granted") Deno.openSync(PROBE_PATH).close();
    return false;
  } catch (error) {
    return isShortage(error);
  }
}

/** Whether an error says that no descriptor is free. */
export function isShortage(error: unknown): boolean {
  return error instanceof Error &&
    SHORTAGE_CODES.includes((error as Error & { code?: string }).code ?? "");
}

const RULE = "-".repeat(40);

/** Prints an error in one write, so that reports don't mix. */
export function printError(
  error: unknown,
  clientAddress: Deno.Addr | null,
  doing: string = clientAddress === null
    ? "accepting a request"
    : `processing of request from ${formatAddress(clientAddress)}`,
): void {
  // Without a free descriptor, formatting a stack with TypeScript files ends
  // the program
  const shown = readable(error);
  const described = describe(shown, lacksDescriptors(shown));
  const text =
    `${RULE}\nException occurred during ${doing}\n${described}\n${RULE}\n`;
  printOnStderr(text);
}

/** The counts of one server. */
export class Counts {
  accepted = 0;
  rejected = 0;
  refused = 0;
  waited = 0;
  failedHandshakes = 0;
  badProxyHeaders = 0;
  errors = 0;
  disconnects = 0;
  timeouts = 0;
  acceptErrors = 0;

  /** Counts an error of a request, or of a hook. */
  addError(error: unknown, request: unknown): void {
    if (isDisconnect(error, request)) this.disconnects++;
    else if (error instanceof RequestTimeoutError) this.timeouts++;
    else this.errors++;
  }

  /** Counts a failure to accept. */
  addAcceptError(error: unknown): void {
    if (isDisconnect(error)) this.disconnects++;
    else this.acceptErrors++;
  }
}

/** The name of a count. */
export type Count = {
  [K in keyof Counts]: Counts[K] extends number ? K : never;
}[keyof Counts];

/** The names of all counts. */
export const COUNTS = Object.keys(new Counts()) as readonly Count[];

/**
 * Ends a request before it is verified: the request is counted and closed, and
 * no hook gets the error.
 */
export abstract class EntranceError extends Error {
  abstract readonly count: Count;
  /** The reason in the event. */
  abstract readonly reason: string;
}

const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * Takes a connection through what precedes its client's own bytes. Closes it if
 * that takes longer than `timeout`. `failed` makes the error; it gets the limit
 * if that was exceeded.
 */
export async function beforehand<T>(
  conn: Deno.Conn,
  through: () => Promise<T>,
  failed: (error: unknown, exceeded: number | null) => unknown,
  timeout: number = DEFAULT_TIMEOUT_MS,
): Promise<T> {
  let exceeded: number | null = null;
  const timer = setTimeout(() => {
    exceeded = timeout;
    conn[Symbol.dispose]();
  }, timeout);
  try {
    return await through();
  } catch (error) {
    throw failed(error, exceeded);
  } finally {
    clearTimeout(timer);
  }
}
