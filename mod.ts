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
export * from "./server/drain_report.ts";
export * from "./server/errors.ts";
export * from "./server/forking_mix_in.ts";
export * from "./server/forking_tcp_server.ts";
export * from "./server/forking_udp_server.ts";
export * from "./server/forking_unix_datagram_server.ts";
export * from "./server/forking_unix_stream_server.ts";
export * from "./server/listener_acceptor.ts";
export type {
  DatagramServerOptions,
  Dispatch,
  ReplicaOptions,
  ServeOptions,
  ServerOptions,
} from "./server/options.ts";
export type {
  ReplicaClass,
  ReplicaServer,
  ServerClass,
} from "./server/replica_class.ts";
export * from "./server/tcp_server.ts";
export * from "./server/threading_mix_in.ts";
export * from "./server/threading_tcp_server.ts";
export * from "./server/threading_udp_server.ts";
export * from "./server/threading_unix_datagram_server.ts";
export * from "./server/threading_unix_stream_server.ts";
export * from "./server/udp_server.ts";
export * from "./server/unix_datagram_server.ts";
export * from "./server/unix_stream_server.ts";
export * from "./workers/activity.ts";
export * from "./workers/barrier.ts";
export * from "./workers/bounded_semaphore.ts";
export * from "./workers/condition.ts";
export * from "./workers/current_thread.ts";
export * from "./workers/errors.ts";
export * from "./workers/except_hook.ts";
export * from "./workers/lock.ts";
export * from "./workers/pool.ts";
export * from "./workers/pool_map.ts";
export * from "./workers/process.ts";
export * from "./workers/process_pool.ts";
export * from "./workers/rlock.ts";
export * from "./workers/semaphore.ts";
export * from "./workers/shared_queue.ts";
export * from "./workers/thread.ts";
export * from "./workers/thread_event.ts";
export * from "./workers/thread_pool.ts";
export * from "./workers/timer.ts";
export * from "./workers/wait_options.ts";
