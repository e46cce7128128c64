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
export * from "./handlers/command_request_handler.ts";
export * from "./handlers/io/buffered_reader.ts";
export * from "./handlers/io/buffered_writer.ts";
export * from "./handlers/services/chargen_handler.ts";
export type * from "./handlers/datagram_request.ts";
export * from "./handlers/datagram_request_handler.ts";
export * from "./handlers/services/daytime_handler.ts";
export * from "./handlers/services/discard_handler.ts";
export * from "./handlers/services/echo_handler.ts";
export * from "./handlers/errors.ts";
export * from "./handlers/request_handler.ts";
export type * from "./handlers/request_server.ts";
export * from "./handlers/stream_request_handler.ts";
export * from "./handlers/services/sum_handler.ts";
export type * from "./server/acceptor.ts";
export {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "./server/addresses.ts";
export * from "./server/base_server.ts";
export * from "./server/observe/log_events.ts";
export * from "./server/observe/prometheus.ts";
export type * from "./server/server_events.ts";
export type { Distribution } from "./workers/base/histogram.ts";
export type * from "./server/drain_report.ts";
export * from "./server/errors.ts";
export * from "./server/forking_servers.ts";
export * from "./server/listener_acceptor.ts";
export type {
  ClientLimits,
  DatagramServerOptions,
  Dispatch,
  OptionsArgument,
  OverLimit,
  ReplicaOptions,
  ServeOptions,
  ServerLimits,
  ServerOptions,
  StreamServerOptions,
  TcpServerOptions,
  UdpServerOptions,
} from "./server/options.ts";
export type {
  ReplicaClass,
  ReplicaServer,
  ServerClass,
} from "./server/replicas/replica_class.ts";
export * from "./server/tcp_server.ts";
export * from "./server/threading_servers.ts";
export * from "./server/observe/trace_requests.ts";
export * from "./server/udp_server.ts";
export * from "./server/unix_datagram_server.ts";
export * from "./server/unix_stream_server.ts";
export * from "./workers/locks/barrier.ts";
export type * from "./workers/locks/barrier_options.ts";
export * from "./workers/base/errors.ts";
export * from "./workers/locks/bounded_semaphore.ts";
export * from "./workers/locks/condition.ts";
export type * from "./workers/locks/condition_options.ts";
export * from "./workers/threads/current_thread.ts";
export * from "./workers/base/errors.ts";
export {
  type ExceptHook,
  type ExceptHookArgs,
  setExceptHook,
} from "./workers/base/except_hook.ts";
export * from "./workers/locks/lock.ts";
export type { Activity } from "./workers/threads/_activity_base.ts";
export type {
  Pool,
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
  PoolShutdownOptions,
  PoolStats,
  TimeSummary,
} from "./workers/pool/pool.ts";
export * from "./workers/pool/pool_map.ts";
export * from "./workers/threads/process.ts";
export * from "./workers/pool/process_pool.ts";
export * from "./workers/locks/rlock.ts";
export * from "./workers/locks/semaphore.ts";
export * from "./workers/queue/lifo_queue.ts";
export * from "./workers/queue/pipe.ts";
export * from "./workers/queue/priority_queue.ts";
export * from "./workers/base/errors.ts";
export type * from "./workers/queue/queue_options.ts";
export * from "./workers/queue/shared_queue.ts";
export * from "./workers/threads/thread.ts";
export * from "./workers/locks/thread_event.ts";
export * from "./workers/pool/thread_pool.ts";
export * from "./workers/locks/timer.ts";
export type * from "./workers/locks/wait_options.ts";
