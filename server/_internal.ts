/**
 * What a server and its replicas let each other do; not for users, who override
 * other methods.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_server.ts";
import type { DrainReport } from "./drain_report.ts";

/** Called by the constructor before the address is bound. */
export const prepare: unique symbol = Symbol("prepare");
/** The replicas of a server that has some. */
export const replicas: unique symbol = Symbol("replicas");
/** What a replica has of the server that it is a replica of. */
export const parentLink: unique symbol = Symbol("parentLink");
/** Serves a request that another part of the server has accepted. */
export const serveRelayed: unique symbol = Symbol("serveRelayed");
/** Ends the serving with an error. */
export const failServing: unique symbol = Symbol("failServing");
/** Ends the serving of this very object. */
export const endServing: unique symbol = Symbol("endServing");
/** Has the handlers begin nothing new. */
export const startDrain: unique symbol = Symbol("startDrain");
/** Opens a replica's own listener, if it has none. */
export const joinPort: unique symbol = Symbol("joinPort");
/** Closes a replica's own listener; what it holds is served. */
export const leavePort: unique symbol = Symbol("leavePort");
/** Gives an error to the hook. */
export const report: unique symbol = Symbol("report");
/** The counts of this very object. */
export const ownStats: unique symbol = Symbol("ownStats");

/** Opens a listener, with options that Deno's types don't know. */
export type OpenListener = (
  address: Deno.NetAddr,
  sharing: { reusePort?: true; loadBalanced?: true },
) => Deno.TcpListener;

/** Opens the listener of a TCP port that several listen on. */
export interface PortSharing {
  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener;
}

/** The replicas of a server, as the server uses them. */
export interface Replicas extends PortSharing {
  /** Most requests that they can have at once. */
  readonly limit: number;
  /** The server begins to serve: for ever, or one request. */
  start(forever: boolean): Promise<void>;
  /** Ends the wait of `start()`. */
  interrupt(): void;
  /** The server takes no more requests for now. */
  pause(): Promise<void>;
  /** Has a replica serve a request that the server has accepted. */
  process(request: unknown, clientAddress: Deno.Addr): Promise<void>;
  /**
   * The server closes: what is queued is for itself to accept, and handlers
   * begin nothing new.
   */
  takeQueued(): void;
  /** The server has closed its socket: the replicas end by `deadline`. */
  finish(deadline: number): Promise<DrainReport>;
  /** Puts a new replica in the place of each, one after the other. */
  recycle(): Promise<void>;
  /** The counts of the server and its replicas together. */
  stats(own: ServerStats): Promise<ServerStats>;
}

/** What a replica has of the server that it is a replica of. */
export interface ParentLink extends PortSharing {
  /** Whether what is queued when the replica leaves is left to others. */
  readonly sharesQueue: boolean;
  /** Ends the serving of the whole server. */
  shutdown(): Promise<void>;
  /** The counts of the whole server. */
  stats(): Promise<ServerStats>;
  /** The replica has accepted a request. */
  opened(request: unknown, clientAddress: Deno.Addr): void;
  /** A request that the replica has accepted has ended. */
  closed(request: unknown): void;
}
