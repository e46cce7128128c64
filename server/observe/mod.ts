/**
 * Logs, metrics and traces of servers.
 *
 * ```ts
 * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
 * import { logEvents, toPrometheus } from "@socketserver/socketserver/observe";
 * import { assertMatch, assertStringIncludes } from "@std/assert";
 *
 * const lines: string[] = [];
 * const server = new TCPServer({ port: 0 }, EchoHandler);
 * using _log = logEvents(server, { write: (line) => void lines.push(line) });
 * const text = toPrometheus(await server.stats());
 * assertStringIncludes(text, "\nsocketserver_requests_open 0\n");
 * await server.serverClose();
 * assertMatch(lines[0]!, / drainStart /);
 * ```
 *
 * @module
 */

export * from "./log_events.ts";
export * from "./prometheus.ts";
export * from "./trace_requests.ts";
export type * from "../server_events.ts";
