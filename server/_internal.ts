/**
 * The interface between a server and its role in a group: the set of replicas,
 * or a replica's link to its parent. Symbols keep it apart from user methods.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_server.ts";
import type { CycleObserver } from "./core/request_cycle.ts";
import type { DrainPartner } from "./core/drain.ts";
import type { ServerLimits, TcpServerOptions } from "./options.ts";

/** Called by the constructor before the address is bound; sets the role. */
export const prepare: unique symbol = Symbol("prepare");
/** The server's role; `null` if it stands alone. */
export const role: unique symbol = Symbol("role");
/** The calls from a role to its server. */
export const core: unique symbol = Symbol("core");

/** The server's options. */
export const settings: unique symbol = Symbol("settings");

/** A certificate chain and its private key, in PEM format. */
export type Certificate = Required<Pick<TcpServerOptions, "cert" | "key">>;

/** Opens a listener, with options that Deno's types don't know. */
export type OpenListener = (
  address: Deno.NetAddr,
  sharing: { reusePort?: true; loadBalanced?: true },
) => Deno.TcpListener;

/**
 * The calls from a server to its role. A missing member means the behaviour of
 * a server that stands alone.
 */
export interface ServerRole extends CycleObserver, DrainPartner {
  /** Loads the whole role, to be used in place of this part. */
  load?(): Promise<ServerRole>;
  /** Whether `join()` binds the address, not the constructor. */
  readonly bindsLater?: boolean;
  /** Whether other listeners take over the queue when the server leaves. */
  readonly sharesQueue?: boolean;
  /** Most requests that can be open at once. */
  readonly limit?: number;
  /** Opens a TCP port that others may share. */
  open?(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener;
  /** Opens another listener on the port; `null` if it can't be shared. */
  openBeside?(
    address: Deno.NetAddr,
    open: OpenListener,
  ): Deno.TcpListener | null;
  /** The server begins to serve: forever, or one request. */
  start?(forever: boolean): Promise<void>;
  /** Ends the wait of `start()`. */
  interrupt?(): void;
  /** The server pauses taking requests. */
  pause?(): Promise<void>;
  /** Serves an accepted request elsewhere. */
  process?(request: unknown, clientAddress: Deno.Addr): Promise<void>;
  /** Ends the serving of the whole server. */
  shutdown?(): Promise<void>;
  /** The counts of the whole server. */
  stats?(own: ServerStats): Promise<ServerStats>;
  /** Applies limits to the whole server; rejects if it can't. */
  setLimits?(limits: ServerLimits): Promise<void>;
  /** Gives replicas that listen themselves another certificate. */
  replaceCertificate?(tls: Certificate): Promise<void>;
  /** Replicas that listen themselves refuse new clients. */
  suspend?(): Promise<void>;
  /** Replicas that listen themselves take clients again. */
  resume?(): Promise<void>;
  /** Throws if the server may not close by itself. */
  beforeClose?(): void;
  /** The listeners of events have changed. */
  watch?(): void;
  /** Replaces every replica, one after the other. */
  recycle?(): Promise<void>;
}

/** The server's whole role: that of replicas is loaded when it is first used. */
export async function loadRole(
  server: { [role]: ServerRole | null },
): Promise<ServerRole | null> {
  const part = server[role];
  if (part?.load === undefined) return part;
  return server[role] = await part.load();
}
