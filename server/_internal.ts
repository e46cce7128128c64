/**
 * Where a server meets what makes it one of several: a set of replicas, or the
 * tie of a replica to its parent. Not for users, who override other methods.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_server.ts";
import type { CycleObserver } from "./core/request_cycle.ts";
import type { Counts } from "./core/counts.ts";
import type { DrainPartner } from "./core/drain.ts";
import type { ServerLimits } from "./options.ts";
import type { RequestMeter } from "./core/request_meter.ts";
import type { Telemetry } from "./core/telemetry.ts";

/** Called by the constructor before the address is bound; sets the role. */
export const prepare: unique symbol = Symbol("prepare");
/** The server's role, `null` where it stands alone. */
export const role: unique symbol = Symbol("role");
/** What a role may do with its server. */
export const core: unique symbol = Symbol("core");

/** The options that the server was made with. */
export const settings: unique symbol = Symbol("settings");

/** Opens a listener, with options that Deno's types don't know. */
export type OpenListener = (
  address: Deno.NetAddr,
  sharing: { reusePort?: true; loadBalanced?: true },
) => Deno.TcpListener;

/**
 * What a server asks of its role. Whatever a role leaves out is as in a server
 * that stands alone.
 */
export interface ServerRole extends CycleObserver, DrainPartner {
  /** Whether the constructor leaves it to `join()` to bind the address. */
  readonly bindsLater?: boolean;
  /** Whether what is queued when the server leaves is left to others. */
  readonly sharesQueue?: boolean;
  /** Most requests that can be open at once. */
  readonly limit?: number;
  /** Opens a TCP port that several listen on. */
  open?(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener;
  /** The server begins to serve: for ever, or one request. */
  start?(forever: boolean): Promise<void>;
  /** Ends the wait of `start()`. */
  interrupt?(): void;
  /** The server takes no more requests for now. */
  pause?(): Promise<void>;
  /** Has a request served elsewhere that the server has accepted. */
  process?(request: unknown, clientAddress: Deno.Addr): Promise<void>;
  /** Ends the serving of the whole server. */
  shutdown?(): Promise<void>;
  /** The counts of the whole server. */
  stats?(own: ServerStats): Promise<ServerStats>;
  /** Has the whole server obey limits; rejects if it can't. */
  setLimits?(limits: ServerLimits): Promise<void>;
  /** Replicas that listen themselves refuse new clients. */
  suspend?(): Promise<void>;
  /** Replicas that listen themselves take clients again. */
  resume?(): Promise<void>;
  /** Others may be watched than before. */
  watch?(): void;
  /** Puts a new replica in the place of each, one after the other. */
  recycle?(): Promise<void>;
}

/** What a role may do with its server, all of it with this very object. */
export interface ServerCore {
  /** Serves a request that another part of the server has accepted. */
  serve(request: unknown, clientAddress: Deno.Addr): Promise<void>;
  /** Counts an error and gives it to the hook. */
  report(error: Error, clientAddress: Deno.Addr | null): Promise<void>;
  /** The counts, and what was measured. */
  stats(): ServerStats;
  /** Those of requests that were accepted or handled here, as they change. */
  readonly counts: Counts;
  /** Tells those who watch. */
  readonly telemetry: Telemetry;
  /** Measures requests, those included that replicas have accepted. */
  readonly meter: RequestMeter;
  /** Ends the serving. */
  endServing(): Promise<void>;
  /** Ends the serving with an error. */
  failServing(error: Error): void;
  /** Has the handlers begin nothing new. */
  drain(): void;
  /** Puts limits into force. */
  setLimits(limits: ServerLimits): void;
  /** Opens the listener, if there is none. */
  join(): void;
  /** Closes the listener; what it holds is served, unless left to others. */
  leave(): Promise<void>;
}
