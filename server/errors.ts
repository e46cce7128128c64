/**
 * The errors of servers.
 *
 * @module
 */

import { SocketServerError } from "../workers/base/errors.ts";

/**
 * Thrown when a closed server should serve. Also the reason of requests that
 * are aborted after `shutdownTimeout`.
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
