/**
 * The handler for connections.
 *
 * @module
 */

import { RequestHandler } from "./request_handler.ts";

/**
 * Answers a connection, TCP or Unix, through `rfile` and `wfile`.
 *
 * @example Answering lines
 * ```ts
 * import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeter extends StreamRequestHandler {
 *   override async handle() {
 *     const name = await this.rfile.readLine();
 *     await this.wfile.write(`Hello, ${name}!\n`);
 *   }
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Greeter);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("Ann\n"));
 * assertEquals(await new Response(client.readable).text(), "Hello, Ann!\n");
 * ```
 *
 * @typeParam C The type of the server's `context`.
 * @typeParam R The type of the connection; `Deno.TcpConn` gives `clientAddress`
 * its type.
 */
export abstract class StreamRequestHandler<
  C = unknown,
  R extends Deno.Conn = Deno.Conn,
> extends RequestHandler<C, R> {
  /**
   * The connection; Python's second name for `request`.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Port extends StreamRequestHandler<unknown, Deno.TcpConn> {
   *   override async handle() {
   *     const { port } = this.connection.remoteAddr;
   *     await this.wfile.write(`${port}\n`);
   *   }
   * }
   *
   * await using client = connect(Port, {
   *   clientAddress: { transport: "tcp", hostname: "127.0.0.1", port: 4_321 },
   * });
   * assertEquals(await client.rfile.readLine(), "4321");
   * ```
   *
   * @returns The connection.
   */
  get connection(): R {
    return this.request;
  }
}
