/**
 * The events of servers.
 *
 * @module
 */

import type { DrainReport } from "./options.ts";

/** The fields of all events. */
export interface ServerEvent {
  /** The address of the server. */
  serverAddress: Deno.Addr;
}

/** A connection was accepted. Packets have no such event. */
export interface ConnectionEvent extends ServerEvent {
  /** The client's address. */
  clientAddress: Deno.Addr;
}

/** A request has ended. */
export interface RequestEndEvent extends ConnectionEvent {
  /** The duration in milliseconds. */
  duration: number;
  /** The client's bytes that were read. */
  bytesRead: number;
  /** The bytes sent to the client. */
  bytesWritten: number;
  /** Whether it ended with an error. The error has its own event. */
  failed: boolean;
}

/** A request was refused. */
export interface RefusalEvent extends ConnectionEvent {
  /**
   * The reason: the name of the option, for example `"maxConnections"` or
   * `"proxyProtocol"`; `"verifyRequest"` for the hook's decision, `"suspend"`
   * while the server is suspended, `"handshake"` for a TLS handshake that failed.
   */
  reason: string;
}

/** An error was given to `handleError()`. */
export interface RequestErrorEvent extends ServerEvent {
  /** The error. */
  error: unknown;
  /** The client's address; `null` when accepting a request failed. */
  clientAddress: Deno.Addr | null;
}

/** Something happened to a replica. */
export interface ReplicaEvent extends ServerEvent {
  /** Its number. Numbers are never reused. */
  replica: number;
  /** The kind of runner. */
  kind: "thread" | "process";
}

/** A replica is being replaced. */
export interface ReplicaReplaceEvent extends ReplicaEvent {
  /**
   * The reason: `"exit"` if it ended or stalled, `"reload"` for `reload()`,
   * `"signal"` if a process got a SIGTERM, or the name of an option.
   */
  reason: "exit" | "reload" | "signal" | "maxRequests" | "maxMemory";
}

/** A replica has ended. */
export interface ReplicaExitEvent extends ReplicaEvent {
  /** Whether the server ended it. */
  expected: boolean;
  /** A description of how it ended. */
  status: string;
}

/** A server has begun to close. */
export interface DrainStartEvent extends ServerEvent {
  /** The number of open requests. */
  open: number;
}

/** A server has closed. */
export interface DrainEndEvent extends ServerEvent {
  /** The outcome of the open requests. */
  report: DrainReport;
}

/**
 * The names and types of events, for `server.on()`. Each event is also
 * published to the channel `socketserver:NAME` of `node:diagnostics_channel`.
 *
 * @example Watching requests
 * ```ts
 * import { EchoHandler, type RequestEndEvent, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, EchoHandler);
 * const { promise, resolve } = Promise.withResolvers<RequestEndEvent>();
 * server.on("requestEnd", resolve);
 * server.serveForever();
 *
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("hello"));
 * await client.closeWrite();
 * const { bytesRead, bytesWritten } = await promise;
 * assertEquals([bytesRead, bytesWritten], [5, 5]);
 * ```
 *
 * @example Through a diagnostics channel
 * ```ts
 * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
 * import { subscribe } from "node:diagnostics_channel";
 * import { assertEquals } from "@std/assert";
 *
 * const { promise, resolve } = Promise.withResolvers<unknown>();
 * subscribe("socketserver:connection", resolve);
 *
 * await using server = new TCPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * const { clientAddress } = await promise as { clientAddress: Deno.Addr };
 * assertEquals(clientAddress, client.localAddr);
 * ```
 */
export interface ServerEvents {
  /** A connection was accepted. */
  connection: ConnectionEvent;
  /** A request has ended. */
  requestEnd: RequestEndEvent;
  /** A request was refused. */
  refusal: RefusalEvent;
  /** An error was given to `handleError()`. */
  error: RequestErrorEvent;
  /** A replica is ready. */
  replicaStart: ReplicaEvent;
  /** A replica has ended. */
  replicaExit: ReplicaExitEvent;
  /** A replica is being replaced. */
  replicaReplace: ReplicaReplaceEvent;
  /** A replica did not answer for `stallTimeout`. */
  replicaStall: ReplicaEvent;
  /** The server has begun to close. */
  drainStart: DrainStartEvent;
  /** The server has closed. */
  drainEnd: DrainEndEvent;
}
