/**
 * The types of what a handler is given: its server, its packet, and the
 * values of a PROXY header.
 *
 * @module
 */

import type { Distribution } from "../workers/base/histogram.ts";

/** The state and the counts of one replica. */
export interface ReplicaStats {
  /** Its number; each new replica gets another. */
  replica: number;
  /** Its state. */
  state: "starting" | "ready" | "serving" | "paused" | "draining" | "ended";
  /** Its open requests. */
  open: number;
  /** Errors thrown by its handlers and hooks. */
  errors: number;
  /** Durations of its finished requests in milliseconds. */
  duration: Distribution;
}

/** The counts of a server since its start. */
export interface ServerStats {
  /** Requests taken from the socket: connections or packets. */
  accepted: number;
  /** Requests open now. */
  open: number;
  /** Requests that `verifyRequest()` rejected. */
  rejected: number;
  /**
   * Requests refused by a limit, `allow` or `deny`, or while suspended.
   */
  refused: number;
  /**
   * Requests that had to wait for a limit per client, or for `maxConnections`.
   * Of those that wait in the system's queue, only the first is counted.
   */
  waited: number;
  /** TLS handshakes that failed or took too long. */
  failedHandshakes: number;
  /**
   * Connections closed because their PROXY header was missing, late, malformed
   * or not from a trusted proxy.
   */
  badProxyHeaders: number;
  /** Errors thrown by handlers and hooks. */
  errors: number;
  /** Clients that left in the middle of a request. */
  disconnects: number;
  /** Requests that exceeded their handler's `timeout`. */
  timeouts: number;
  /** Failures to accept, for example `EMFILE`. A streak counts once. */
  acceptErrors: number;
  /**
   * Packets that were not answered: the client has no address to send to, or the
   * services that answer any packet got one from a server.
   */
  dropped: number;
  /** Durations of finished requests in milliseconds. */
  duration: Distribution;
  /**
   * Bytes read per request. Counted only while the event `"requestEnd"` has a
   * listener, because counting slows down reading.
   */
  bytesRead: Distribution;
  /** Bytes written per request, counted as `bytesRead` is. */
  bytesWritten: Distribution;
  /** How the replicas get their requests. */
  dispatch?: "shard" | "relay" | "isolate";
  /** The number of replicas now. */
  workers?: number;
  /** Replicas that were replaced because they ended or did not answer. */
  restarts?: number;
  /**
   * Replicas that were replaced while they worked: by `reload()`, at a limit such
   * as `maxRequests`, or after a SIGTERM.
   */
  replaced?: number;
  /** The replicas now. */
  replicas?: ReplicaStats[];
}

/**
 * The server as a handler sees it through `this.server`: the same on the event
 * loop, in a thread or in a child process.
 *
 * @typeParam C The type of the server's `context`.
 */
export interface RequestServer<C = unknown> {
  /** The address that the server is bound to. */
  readonly serverAddress: Deno.Addr;
  /** The server's option `context`. */
  readonly context: C;
  /** Returns the server's counts. */
  stats(): Promise<ServerStats>;
  /** Ends `serveForever()`; open requests go on. */
  shutdown(): Promise<void>;
}

/**
 * The values of a PROXY header of version 2 besides the addresses. Each text is
 * decoded as UTF-8, and absent if the balancer did not send it.
 */
export interface ProxyInfo {
  /** The name that the client asked for, for example by TLS (SNI). */
  authority?: string;
  /** The protocol that client and balancer agreed on, for example `"h2"`. */
  alpn?: string;
  /** The balancer's number of the connection, to be found in its log. */
  uniqueId?: string;
  /** The client's TLS with the balancer; absent if it used none. */
  tls?: ProxyTls;
}

/** The client's TLS with the balancer. */
export interface ProxyTls {
  /** The version, for example `"TLSv1.3"`. */
  version?: string;
  /** The cipher. */
  cipher?: string;
  /** The common name in the client's certificate. */
  commonName?: string;
  /** Whether the client showed a certificate that the balancer verified. */
  isVerified: boolean;
}

/** The socket of a datagram server. Handlers send from it. */
export interface DatagramSocket {
  /** The address that the socket is bound to. */
  readonly addr: Deno.Addr;
  /**
   * Sends a packet from the server's own address.
   *
   * @param packet The bytes to send.
   * @param address The receiver, nearly always the handler's `clientAddress`.
   * @returns The number of bytes sent; 0 if the client has no address.
   */
  send(packet: Uint8Array, address: Deno.Addr): Promise<number>;
}

/** The request of a datagram server: one packet. */
export interface DatagramRequest {
  /** The received bytes. The handler may keep and change them. */
  readonly packet: Uint8Array;
  /** The server's socket. */
  readonly socket: DatagramSocket;
  /** Whether the packet was longer than `maxPacketSize`; its end is lost. */
  readonly truncated: boolean;
}
