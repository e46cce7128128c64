/**
 * What a server lets its replicas, and the mix-ins that make them, do to it;
 * not for users, who override other methods.
 *
 * @module
 */

import type { ServerOptions } from "./options.ts";
import type { DrainReport } from "./base_server.ts";

/** Called by the constructor before the address is bound. */
export const prepare: unique symbol = Symbol("prepare");
/** The replicas of a server that has some. */
export const crew: unique symbol = Symbol("crew");
/** Serves a request that another part of the server has accepted. */
export const serveRelayed: unique symbol = Symbol("serveRelayed");
/** Ends the serving with an error. */
export const failServing: unique symbol = Symbol("failServing");
/** Ends the serving of this very object, in a replica as well. */
export const endServing: unique symbol = Symbol("endServing");
/** Is told of the requests that this very object accepts. */
export const observer: unique symbol = Symbol("observer");
/** Opens a TCP listener with further options. */
export const listen: unique symbol = Symbol("listen");

/** Is told of requests. */
export interface RequestObserver {
  opened(request: unknown, clientAddress: Deno.Addr): void;
  closed(request: unknown): void;
}

/** The replicas of a server, as the server uses them. */
export interface Crew {
  /** Most requests that they can have at once. */
  readonly limit: number;
  /** The server begins to serve: for ever, or one request. */
  start(forever: boolean): Promise<void>;
  /** The server takes no more requests for now. */
  pause(): Promise<void>;
  /** The server closes: what is queued goes to the replicas. */
  takeQueued(): Promise<void>;
  /** The server has closed its socket: the replicas end by `deadline`. */
  finish(deadline: number): Promise<DrainReport>;
}

/** What {@linkcode prepare} is given. */
export type PrepareOptions = ServerOptions<unknown>;
