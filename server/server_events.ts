/**
 * What servers tell those who watch them.
 *
 * @module
 */

import type { DrainReport } from "./drain_report.ts";

/** What all events tell. */
export interface ServerEvent {
  /** The address of the server. */
  serverAddress: Deno.Addr;
}

/** A connection was accepted; packets have no such event. */
export interface ConnectionEvent extends ServerEvent {
  /** The client's address. */
  clientAddress: Deno.Addr;
}

/** A request has ended. */
export interface RequestEndEvent extends ConnectionEvent {
  /** How long it took, in milliseconds. */
  duration: number;
  /** How many bytes the client sent, as far as they were read. */
  bytesRead: number;
  /** How many bytes the client was sent. */
  bytesWritten: number;
  /** Whether it ended with an error, which has an event of its own. */
  failed: boolean;
}

/** A request was turned away. */
export interface RefusalEvent extends ConnectionEvent {
  /**
   * Why: `"verifyRequest"` for the hook's decision, or the name of the option
   * that led to it, such as `"proxyProtocol"`.
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
  /** Its number; each new replica gets another. */
  replica: number;
  /** What it runs in. */
  kind: "thread" | "process";
}

/** A replica has ended. */
export interface ReplicaExitEvent extends ReplicaEvent {
  /** Whether it was told to. */
  expected: boolean;
  /** How it ended, in words. */
  status: string;
}

/** A server has begun to close. */
export interface DrainStartEvent extends ServerEvent {
  /** How many requests are open. */
  open: number;
}

/** A server has closed. */
export interface DrainEndEvent extends ServerEvent {
  /** What became of the open requests. */
  report: DrainReport;
}

/**
 * The events of a server by their names, for `server.on()`. Each is also
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
  /** A request was turned away. */
  refusal: RefusalEvent;
  /** An error was given to `handleError()`. */
  error: RequestErrorEvent;
  /** A replica is ready. */
  replicaStart: ReplicaEvent;
  /** A replica has ended. */
  replicaExit: ReplicaExitEvent;
  /** A replica gets a successor: it ended unasked, stalled or is renewed. */
  replicaReplace: ReplicaEvent;
  /** A replica did not answer for `stallTimeout` and is given up. */
  replicaStall: ReplicaEvent;
  /** The server has begun to close. */
  drainStart: DrainStartEvent;
  /** The server has closed. */
  drainEnd: DrainEndEvent;
}
