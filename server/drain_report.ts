/**
 * The outcome of closing a server.
 *
 * @module
 */

/** The outcome of the requests that were open when a server closed. */
export interface DrainReport {
  /** The number of requests whose handler began and ended. */
  completed: number;
  /**
   * The clients whose requests were aborted, by `shutdownTimeout` or by another
   * time limit meanwhile.
   */
  aborted: Deno.Addr[];
}
