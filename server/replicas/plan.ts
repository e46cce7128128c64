/**
 * What a server with replicas needs before it serves. The replicas are loaded
 * when it begins: most threads that import this package start no server.
 *
 * @module
 */

import { packFor, SHARED_URLS } from "../../workers/codec/share.ts";
import { ModuleImportError } from "../../workers/base/errors.ts";
import { imports } from "../../workers/runner/context.ts";
import type {
  Runner,
  RunnerKind,
  RunnerOptions,
} from "../../workers/runner/runner.ts";
import { moduleOf } from "../../workers/runner/targets.ts";
import {
  type AnyOptions,
  building,
  type OpenListener,
  role,
  ServerRole,
  settings,
} from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { exactLimit } from "../core/check_options.ts";
import type { ReplicaOptions, ServerLimits } from "../options.ts";
import {
  bindShared,
  mayBind,
  PortSharing,
  whyNotShared,
} from "./port_sharing.ts";
import type { Boot, ClassRef } from "./protocol.ts";

/** Starts runners. */
export type StartRunner = (kind: RunnerKind, options: RunnerOptions) => Runner;

/** Loads the role that runs the replicas. */
export type LoadSet = (plan: ReplicaPlan) => Promise<ServerRole>;

/** Constructs a server as a replica. */
export function constructReplica<S extends BaseServer>(
  part: ServerRole,
  construct: () => S,
): S {
  building.role = part;
  try {
    return construct();
  } finally {
    building.role = null;
  }
}

/**
 * Gives a server that is being constructed its role: a replica's, or that of a
 * server with replicas.
 */
export function prepareReplicas(
  server: BaseServer,
  kind: RunnerKind,
  load: LoadSet,
  start?: StartRunner,
): void {
  server[role] = building.role ?? new ReplicaPlan(server, kind, load, start);
  building.role = null;
}

/** The role of a server with replicas until it begins to serve. */
export class ReplicaPlan extends ServerRole {
  readonly server: BaseServer;
  readonly kind: RunnerKind;
  readonly draft: BootDraft;
  readonly startRunner: StartRunner | undefined;
  /** How the port is shared, once it is bound. */
  sharing: PortSharing = new PortSharing();
  #load: LoadSet;
  #loading: Promise<ServerRole> | null = null;

  /**
   * Constructs it before the address is bound.
   *
   * @throws {TypeError} If the port must be shared and can't be.
   */
  constructor(
    server: BaseServer,
    kind: RunnerKind,
    load: LoadSet,
    start?: StartRunner,
  ) {
    super();
    this.server = server;
    this.kind = kind;
    this.#load = load;
    this.startRunner = start;
    const why = this.#whyNotShared();
    if (this.options.dispatch === "shard" && why !== null) throw refusal(why);
    this.draft = draftBoot(server, kind, this.options);
    imports.refuse(this.draft.modules, `server "${server.constructor.name}"`);
  }

  get options(): AnyOptions {
    return this.server[settings];
  }

  /** Opens the server's listener by the best way there is. */
  override open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    const { dispatch = "auto" } = this.options;
    const shares = dispatch === "auto" || dispatch === "shard";
    if (!shares || this.#whyNotShared() !== null) return open(address, {});
    const [listener, sharing] = bindShared(this.kind, address, open);
    if (dispatch === "shard" && sharing.name === null) {
      listener.close();
      const what = this.options.cert === undefined
        ? "this version of Deno shares"
        : "threads with TLS share";
      throw refusal(`${what} a port on Linux with --unstable-net alone`);
    }
    this.sharing = sharing;
    return listener;
  }

  /**
   * The program may have given up the right to bind the port, as servers do
   * that begin as root. Processes could not bind it again then.
   *
   * @returns Whether they have stopped sharing it.
   */
  checkSharing(): boolean {
    const { dispatch = "auto" } = this.options;
    if (dispatch !== "auto" || this.kind !== "process") return false;
    const { port } = this.server.serverAddress as Deno.NetAddr;
    if (this.sharing.name === null || mayBind(port)) return false;
    this.sharing = new PortSharing();
    return true;
  }

  override load(): Promise<ServerRole> {
    return this.#loading ??= this.#load(this);
  }

  override get servesElsewhere(): boolean {
    return true;
  }

  override async process(request: unknown, from: Deno.Addr): Promise<number> {
    return await (await this.load()).process(request, from)!;
  }

  override assertLimits(limits: ServerLimits): void {
    const exact = exactLimit(limits);
    if (exact === null || this.sharing.name === null) return;
    throw new TypeError(
      `Cannot change "${exact}" while replicas accept by themselves: give it to the constructor, or use the dispatch "relay"`,
    );
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

/** The part of a {@linkcode Boot} that is known before the address is bound. */
interface BootDraft {
  boot: Pick<Boot, "server" | "handler" | "context">;
  /** The modules of the server, of the handler, and of what is in the context. */
  modules: string[];
}

/**
 * Prepares that data.
 *
 * @throws {ModuleImportError} If a replica could not import a class.
 * @throws {TypeError} If the context can't be cloned, or the server's class can't
 * be constructed there.
 */
function draftBoot(
  server: BaseServer,
  kind: RunnerKind,
  options: ReplicaOptions,
): BootDraft {
  const classes = {
    server: refer(server.constructor, options.module),
    handler: refer(server.RequestHandlerClass, options.module),
  };
  assertConstructible(server.constructor);
  const context = packContext(kind, options.context);
  const modules = [classes.server.module, classes.handler.module];
  if (context !== options.context) modules.push(SHARED_URLS[kind]);
  return { boot: { ...classes, context }, modules };
}

/** Replicas construct the server with the three standard arguments only. */
// deno-lint-ignore ban-types -- any class, whatever its constructor
function assertConstructible(Server: Function): void {
  if (Server.length <= 3) return;
  throw new TypeError(
    `Cannot construct class "${Server.name}" in a replica: its constructor takes more than (address, RequestHandlerClass, options); put the rest into the option "context"`,
  );
}

function packContext(kind: RunnerKind, context: unknown): unknown {
  try {
    const packed = packFor(kind, context);
    structuredClone(packed);
    return packed;
  } catch (cause) {
    const { message } = cause as Error;
    throw new TypeError(
      `Cannot give "context" to the handlers in replicas: ${message}`,
      { cause },
    );
  }
}

// deno-lint-ignore ban-types -- any class, whatever its constructor
type Class = Function & { readonly module?: string | URL };

/**
 * Names a class for a replica.
 *
 * @param subject The class.
 * @param module The module that exports it, if it does not say so itself.
 * @throws {ModuleImportError} If a replica could not import it.
 */
export function refer(
  subject: Class,
  module: string | URL | undefined,
): ClassRef {
  const { name } = subject;
  // An inherited `module` is the parent class's
  const own = moduleOf(subject) ??
    (Object.hasOwn(subject, "module") ? subject.module : module);
  if (name === "") {
    throw new ModuleImportError(
      "Cannot run a class without a name in a replica: give it a name and export it from its module",
      null,
    );
  }
  if (own === undefined) {
    throw new ModuleImportError(
      `Cannot run class "${name}" in a replica: nothing tells which module exports it; replicas import it, so give the server the option "module: import.meta.url" (or the class "static readonly module = import.meta.url"), export the class and your own server's class from that module, and start the server there within "if (import.meta.main)"`,
      null,
    );
  }
  if (!URL.canParse(own)) {
    throw new ModuleImportError(
      `Cannot run class "${name}" in a replica: its module "${own}" is not an absolute URL; use import.meta.url`,
      String(own),
    );
  }
  return { module: new URL(own).href, name };
}
