/**
 * What a server with replicas needs before it serves. The replicas are loaded
 * when it begins: most threads that import this package start no server.
 *
 * @module
 */

import type {
  Runner,
  RunnerKind,
  RunnerOptions,
} from "../../workers/runner/runner.ts";
import { type OpenListener, role, type ServerRole } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";
import { type BootDraft, draftBoot } from "./boot.ts";
import { bindShared, PortSharing, whyNotShared } from "./port_sharing.ts";

/** Starts runners. */
export type StartRunner = (kind: RunnerKind, options: RunnerOptions) => Runner;

/** The role of the server that is being constructed, if it is a replica. */
let waitingRole: ServerRole | null = null;

/**
 * Constructs a server as a replica. A user's constructor does not know about
 * replicas, so the role is passed by a variable.
 */
export function constructReplica<S extends BaseServer>(
  part: ServerRole,
  construct: () => S,
): S {
  waitingRole = part;
  try {
    return construct();
  } finally {
    waitingRole = null;
  }
}

/** Called by a server's constructor before the address is bound. */
export function prepareReplicas<R, C>(
  server: BaseServer<R, C>,
  kind: RunnerKind,
  options: ReplicaOptions,
  start?: StartRunner,
): void {
  // Replicas work with any kind of request
  const any = server as unknown as BaseServer;
  server[role] = waitingRole ?? new ReplicaPlan(any, kind, options, start);
  waitingRole = null;
}

/** The role of a server with replicas until it begins to serve. */
export class ReplicaPlan implements ServerRole {
  readonly server: BaseServer;
  readonly kind: RunnerKind;
  readonly options: ReplicaOptions;
  readonly draft: BootDraft;
  readonly startRunner: StartRunner | undefined;
  /** How the port is shared, once it is bound. */
  sharing: PortSharing = new PortSharing();
  #loading: Promise<ServerRole> | null = null;

  /**
   * Constructs it before the address is bound.
   *
   * @throws {TypeError} If the port must be shared and can't be.
   */
  constructor(
    server: BaseServer,
    kind: RunnerKind,
    options: ReplicaOptions,
    start?: StartRunner,
  ) {
    this.server = server;
    this.kind = kind;
    this.options = options;
    const why = this.#whyNotShared();
    if (options.dispatch === "shard" && why !== null) throw refusal(why);
    this.draft = draftBoot(server, kind, options);
    this.startRunner = start;
  }

  /** Opens the server's listener by the best way there is. */
  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    const { dispatch = "auto" } = this.options;
    const shares = dispatch === "auto" || dispatch === "shard";
    if (!shares || this.#whyNotShared() !== null) return open(address, {});
    const [listener, sharing] = bindShared(this.kind, address, open);
    if (dispatch === "shard" && sharing.name === null) {
      listener.close();
      throw refusal("this version of Deno can't share a port");
    }
    this.sharing = sharing;
    return listener;
  }

  /** Makes the server leave connections to its replicas, or take them. */
  mute(muted: boolean): void {
    const { acceptor } = this.server;
    if (acceptor === null) return;
    this.server.acceptor = this.sharing.mute(acceptor, muted);
  }

  load(): Promise<ServerRole> {
    return this.#loading ??= this.#load();
  }

  async process(request: unknown, clientAddress: Deno.Addr): Promise<void> {
    await (await this.load()).process!(request, clientAddress);
  }

  async #load(): Promise<ServerRole> {
    const { ReplicaSet } = await import("./replica_set.ts");
    return new ReplicaSet(this);
  }

  #whyNotShared(): string | null {
    return whyNotShared(this.kind, this.server.serverAddress, this.options);
  }
}

function refusal(why: string): TypeError {
  return new TypeError(
    `Cannot use "shard" as "dispatch": ${why}; use "auto" or "relay"`,
  );
}
