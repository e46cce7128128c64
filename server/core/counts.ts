/**
 * Counting what happens to requests.
 *
 * @module
 */

import { RequestTimeoutError } from "../../handlers/errors.ts";
import { isDisconnect } from "./disconnect.ts";

/** The names of all counts. */
export const COUNTS = [
  "accepted",
  "open",
  "rejected",
  "refused",
  "waited",
  "failedHandshakes",
  "badProxyHeaders",
  "errors",
  "disconnects",
  "timeouts",
  "acceptErrors",
  "dropped",
] as const;

/** One of {@linkcode COUNTS}. */
export type Count = typeof COUNTS[number];

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
