/**
 * Socket servers: one request handler class serves TCP, UDP, Unix stream and
 * Unix datagram sockets, on the event loop, in worker threads on every core, or
 * in child processes, by changing only the server's class.
 *
 * ```ts
 * import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Upper extends StreamRequestHandler {
 *   override async handle() {
 *     for await (const line of this.rfile) {
 *       await this.wfile.write(`${line.toUpperCase()}\n`);
 *     }
 *   }
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Upper);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("hello\n"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "HELLO\n");
 * ```
 *
 * @module
 */

export * from "./handlers/base_request_handler.ts";
export * from "./handlers/buffered_reader.ts";
export * from "./handlers/buffered_writer.ts";
export * from "./handlers/chargen_handler.ts";
export * from "./handlers/datagram_request.ts";
export * from "./handlers/datagram_request_handler.ts";
export * from "./handlers/daytime_handler.ts";
export * from "./handlers/discard_handler.ts";
export * from "./handlers/echo_handler.ts";
export * from "./handlers/errors.ts";
export * from "./handlers/request_handler.ts";
export * from "./handlers/request_server.ts";
export * from "./handlers/stream_request_handler.ts";
export * from "./handlers/sum_handler.ts";
export * from "./server/acceptor.ts";
export {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "./server/addresses.ts";
export * from "./server/base_server.ts";
export * from "./server/errors.ts";
export * from "./server/listener_acceptor.ts";
export type { DatagramServerOptions, ServerOptions } from "./server/options.ts";
export * from "./server/tcp_server.ts";
export * from "./server/udp_server.ts";
export * from "./server/unix_datagram_server.ts";
export * from "./server/unix_stream_server.ts";
export * from "./workers/errors.ts";
