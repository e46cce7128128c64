/**
 * The outcome of closing a server.
 *
 * @module
 */

/** The outcome of the requests that were open when a server closed. */
export interface DrainReport {
  /** The number of requests that ended by themselves. */
  completed: number;
  /** The clients whose requests were aborted after `shutdownTimeout`. */
  aborted: Deno.Addr[];
}
