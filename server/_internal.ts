/**
 * The interface between a server and its role in a group. Symbols keep it apart
 * from user methods.
 *
 * @module
 */

import type { ServerStats } from "../handlers/request_types.ts";
import type {
  ReplicaOptions,
  ServerLimits,
  TcpServerOptions,
  UdpServerOptions,
  UnixSocketOptions,
} from "./options.ts";
import type { OpenConnection } from "./open_connection.ts";
import type { ServerEvents } from "./server_events.ts";

/** Called by the constructor before the address is bound; sets the role. */
export const prepare: unique symbol = Symbol("prepare");
/** The server's role. */
export const role: unique symbol = Symbol("role");
/** The calls from a role to its server. */
export const core: unique symbol = Symbol("core");
/** Every option that there is. */
export type AnyOptions =
  & TcpServerOptions
  & UdpServerOptions
  & UnixSocketOptions
  & ReplicaOptions;

/** The server's options: the only place where they are kept. */
export const settings: unique symbol = Symbol("settings");

/**
 * The role of the server that is being constructed, if it is a replica. It is
 * passed here, since a user's constructor does not know about replicas.
 */
export const building: { role: ServerRole | null } = { role: null };

/** All events. */
export const EVENT_NAMES: readonly (keyof ServerEvents)[] = [
  "connection",
  "requestEnd",
  "refusal",
  "error",
  "replicaStart",
  "replicaExit",
  "replicaReplace",
  "replicaStall",
  "drainStart",
  "drainEnd",
];

/** A certificate chain and its private key, in PEM format. */
export type Certificate = Required<Pick<TcpServerOptions, "cert" | "key">>;

/** Opens a listener, with options that Deno's types don't know. */
export type OpenListener = (
  address: Deno.NetAddr,
  sharing: { reusePort?: true; loadBalanced?: true },
) => Deno.TcpListener;

type Eventually = void | Promise<void>;

/** An open request, as far as a server and its replica tell each other of it. */
export interface Numbered {
  readonly request: unknown;
  readonly clientAddress: Deno.Addr;
  /** Whether the server has accepted it, and a replica serves it. */
  readonly relayed: boolean;
  /** Its number in the replica: by the relay, or as the replica tells of it. */
  number: number;
}

/**
 * The role of a server that stands alone. A set of replicas and a replica's
 * link to its parent override what differs there.
 */
export class ServerRole {
  /** Whether the parent tells the server when to bind its address. */
  readonly bindsLater: boolean = false;
  /** Whether other listeners take over the queue when the server leaves. */
  readonly sharesQueue: boolean = false;

  /** How long no client may come before the server leaves its queue, in ms. */
  get silence(): number {
    return 0;
  }

  /** Most requests that can be open at once. */
  get limit(): number {
    return Infinity;
  }

  /** The role to use from now on: that of replicas is loaded late. */
  load(): Promise<ServerRole> {
    return Promise.resolve(this);
  }

  /** Throws if the server may not do this by itself. */
  assertMay(_what: string): void {}

  /** Opens the server's TCP port. */
  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, {});
  }

  /** Opens another listener on the port; `null` if it can't be shared. */
  openBeside(
    _address: Deno.NetAddr,
    _open: OpenListener,
  ): Deno.TcpListener | null {
    return null;
  }

  /** The server begins to serve: forever, or one request. */
  start(_forever: boolean): Eventually {}

  /** The server pauses taking requests. */
  pause(): Eventually {}

  /** The server refuses new clients. */
  suspend(): Eventually {}

  /** The server takes clients again. */
  resume(): Eventually {}

  /** Whether `process()` serves requests elsewhere. */
  get servesElsewhere(): boolean {
    return false;
  }

  /**
   * Serves an accepted request elsewhere, and resolves with how it ended;
   * `undefined` to serve it here.
   */
  process(_request: unknown, _from: Deno.Addr): Promise<number> | undefined {
    return undefined;
  }

  /** Ends the serving of the whole server; `undefined` if that is this one. */
  shutdown(): Promise<void> | undefined {
    return undefined;
  }

  /** The counts of the whole server. */
  stats(own: ServerStats): ServerStats | Promise<ServerStats> {
    return own;
  }

  /** The open connections of the whole server. */
  connections(own: OpenConnection[]): OpenConnection[] {
    return own;
  }

  /** Ends a connection that a replica accepted; false if it has none such. */
  disconnect(_id: string): boolean {
    return false;
  }

  /** Throws if the limits can't be changed. */
  assertLimits(_limits: ServerLimits): void {}

  /** The limits in the settings were changed. */
  setLimits(_limits: ServerLimits): void {}

  /** The certificate in the settings was replaced. */
  replaceCertificate(_tls: Certificate): Eventually {}

  /** The listeners of events have changed. */
  watch(): void {}

  /** Replaces every replica, one after the other. */
  reload(): Eventually {}

  /** A request begins when the promise, if there is one, resolves. */
  opened(_open: Numbered): Promise<void> | undefined {
    return undefined;
  }

  /** A request has ended after `duration` ms, or was refused (`null`). */
  closed(_open: Numbered, _duration: number | null, _ending: number): void {}

  /** A deadline, or `disconnect()`, has cut it off. */
  cut(_open: Numbered): void {}

  /** Counts have changed otherwise. */
  changed(): void {}

  /** The counts must be known before what follows. */
  tellCounts(): void {}

  /**
   * The server closes: leave the queue to it, and end the input of connections
   * that are in no request.
   */
  drain(_deadline: number): void {}

  /** The server closes, and takes no more requests. */
  left(): void {}

  /**
   * The server has closed its socket: all requests end by `deadline`. Returns
   * the clients of those that did not.
   */
  finish(_deadline: number): Promise<Deno.Addr[]> {
    return Promise.resolve([]);
  }

  /** Requests were aborted. */
  aborted(_clients: Deno.Addr[]): void {}
}

/** The server's whole role. */
export async function loadRole(
  server: { [role]: ServerRole },
): Promise<ServerRole> {
  return server[role] = await server[role].load();
}
