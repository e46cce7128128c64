/**
 * The counts of requests.
 *
 * @module
 */

import { RequestTimeoutError } from "../../handlers/errors.ts";
import { isDisconnect } from "./disconnect.ts";

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
