/**
 * The outcome of closing a server.
 *
 * @module
 */

/** What became of the requests that were open when a server was closed. */
export interface DrainReport {
  /** How many ended by themselves. */
  completed: number;
  /** The clients whose requests were cut off at the end of `shutdownTimeout`. */
  aborted: Deno.Addr[];
}
