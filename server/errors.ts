/**
 * The errors of servers.
 *
 * @module
 */

import { SocketServerError } from "../workers/errors.ts";

/**
 * Thrown when a server that was closed is asked to serve, and the reason with
 * which the requests that outlast a close are aborted.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ServerClosedError, TCPServer } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * const server = new TCPServer({ port: 0 }, EchoHandler);
 * await server.serverClose();
 * await assertRejects(() => server.serveForever(), ServerClosedError);
 * ```
 */
export class ServerClosedError extends SocketServerError {
  /** The name of the error's class. */
  override name = "ServerClosedError";
}
