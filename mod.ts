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

export * from "./handlers/mod.ts";
export {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "./server/addresses.ts";
export * from "./server/base_server.ts";
export * from "./server/observe/mod.ts";
export * from "./server/errors.ts";
export type * from "./server/open_connection.ts";
export * from "./server/replica_servers.ts";
export * from "./server/acceptor.ts";
export type {
  ClientLimits,
  DatagramServerOptions,
  Dispatch,
  DrainReport,
  OverLimit,
  ReplicaOptions,
  ServeOptions,
  ServerLimits,
  ServerOptions,
  StreamServerOptions,
  TcpServerOptions,
  UdpServerOptions,
  UnixDatagramServerOptions,
  UnixSocketOptions,
  UnixStreamServerOptions,
} from "./server/options.ts";
export type {
  ReplicaClass,
  ReplicaServer,
  ServerClass,
} from "./server/replicas/replica_class.ts";
export * from "./server/tcp_server.ts";
export * from "./server/udp_server.ts";
export * from "./server/unix_datagram_server.ts";
export * from "./server/unix_stream_server.ts";
export * from "./workers/mod.ts";
