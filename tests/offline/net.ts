/**
 * Stands in for `jsr:@std/net` where the JSR can't be reached; for tests alone.
 *
 * @module
 */

/** Options of {@linkcode getAvailablePort}. */
export interface GetAvailablePortOptions {
  /** The port to try first. */
  preferredPort?: number;
}

/** Returns a TCP port that was free a moment ago. */
export function getAvailablePort(options?: GetAvailablePortOptions): number {
  for (const port of [options?.preferredPort, 0]) {
    if (port === undefined) continue;
    try {
      using listener = Deno.listen({ port });
      return listener.addr.port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Deno.errors.AddrInUse("Cannot find a free port");
}
