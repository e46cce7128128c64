/**
 * The server as a handler sees it.
 *
 * @module
 */

import type { Distribution } from "../workers/_histogram.ts";

/** How a replica is doing. */
export interface ReplicaStats {
  /** Its number; each new replica gets another. */
  replica: number;
  /** Where it is in its life. */
  state: "starting" | "ready" | "serving" | "paused" | "draining" | "ended";
  /** Requests open in it. */
  open: number;
  /** Errors thrown by handlers and hooks in it. */
  errors: number;
  /** How long the requests took that have ended in it, in milliseconds. */
  duration: Distribution;
}

/** Counts that a server keeps, all from its start on unless said otherwise. */
export interface ServerStats {
  /** Requests taken from the socket: connections or packets. */
  accepted: number;
  /** Requests open at this moment. */
  open: number;
  /** Requests that `verifyRequest()` turned away. */
  rejected: number;
  /**
   * Requests refused because of a limit, `allow`, `deny`, or while the server
   * was suspended.
   */
  refused: number;
  /**
   * Requests that a limit made wait: over a limit of their client, or the first
   * that was taken after `maxConnections` were open.
   */
  waited: number;
  /** TLS handshakes that failed or took too long. */
  failedHandshakes: number;
  /**
   * Connections closed because their PROXY header was missing, malformed or not
   * from a trusted proxy.
   */
  badProxyHeaders: number;
  /** Errors thrown by handlers and hooks. */
  errors: number;
  /** Clients that went away in the middle of a request. */
  disconnects: number;
  /** Requests that ran into their handler's `timeout`. */
  timeouts: number;
  /** Failures to accept, `EMFILE` and the like, counted once each. */
  acceptErrors: number;
  /** Replies dropped because the client has no address to send to. */
  dropped: number;
  /** How long requests took that have ended, in milliseconds. */
  duration: Distribution;
  /**
   * How many bytes were read in a request. Counted only while somebody listens
   * to the event `"requestEnd"`, as it slows reading down.
   */
  bytesRead: Distribution;
  /** How many bytes were written in a request; counted as `bytesRead` is. */
  bytesWritten: Distribution;
  /** How the replicas get their requests, where there are replicas. */
  dispatch?: "shard" | "relay" | "isolate";
  /** How many replicas there are at this moment. */
  workers?: number;
  /** How many replicas were replaced because they ended or did not answer. */
  restarts?: number;
  /** Each replica there is at this moment. */
  replicas?: ReplicaStats[];
}

/**
 * The server as a handler sees it through `this.server`: the same on the event
 * loop, in a thread and in a child process.
 *
 * @typeParam C The type of the server's `context`.
 */
export interface RequestServer<C = unknown> {
  /** The address that the server is bound to. */
  readonly serverAddress: Deno.Addr;
  /** The value given to the server's options for its handlers. */
  readonly context: C;
  /** Returns the server's counts. */
  stats(): Promise<ServerStats>;
  /** Ends `serveForever()`; open requests go on. */
  shutdown(): Promise<void>;
}
