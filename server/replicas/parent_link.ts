/**
 * A replica's tie to the server that it is a replica of.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import type { Rpc } from "../../workers/runner/rpc.ts";
import type { OpenListener, ServerRole } from "../_internal.ts";
import type { Sharing } from "./plan.ts";

/** How long the end of a request may stay untold, to be told with others. */
const CLOSED_AFTER_MS = 10;

let waitingLink: ReplicaParentLink | null = null;

/**
 * Constructs a server as a replica. Its class may be the user's, with a
 * constructor that knows of no such thing, so it is told behind their back.
 */
export function withParentLink<S>(
  parentLink: ReplicaParentLink,
  construct: () => S,
): S {
  waitingLink = parentLink;
  try {
    return construct();
  } finally {
    waitingLink = null;
  }
}

/** The parentLink of the server that is being constructed, if it is a replica. */
export function takeParentLink(): ReplicaParentLink | null {
  const parentLink = waitingLink;
  waitingLink = null;
  return parentLink;
}

/** A replica's tie to its server, over the runner's messages. */
export class ReplicaParentLink implements ServerRole {
  readonly bindsLater = true;
  #rpc: Rpc;
  #sharing: Sharing | null;
  #ids: Map<unknown, number> = new Map();
  #lastId = 0;
  #closed: number[] = [];

  constructor(rpc: Rpc, sharing: Sharing | null) {
    this.#rpc = rpc;
    this.#sharing = sharing;
  }

  get sharesQueue(): boolean {
    return this.#sharing === "loadBalanced";
  }

  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, { [this.#sharing!]: true });
  }

  async shutdown(): Promise<void> {
    await this.#rpc.call("shutdown");
  }

  async stats(): Promise<ServerStats> {
    return await this.#rpc.call("stats") as ServerStats;
  }

  opened(request: unknown, clientAddress: Deno.Addr): void {
    const id = ++this.#lastId;
    this.#ids.set(request, id);
    // At once: what is lost with this replica must be known outside of it
    this.#rpc.tell("opened", [id, clientAddress]);
  }

  closed(request: unknown): void {
    const id = this.#ids.get(request)!;
    this.#ids.delete(request);
    if (this.#closed.push(id) > 1) return;
    setTimeout(() => this.tellClosed(), CLOSED_AFTER_MS);
  }

  /** Tells now which requests have ended. */
  tellClosed(): void {
    if (this.#closed.length > 0) {
      this.#rpc.tell("closed", this.#closed.splice(0));
    }
  }
}
