/**
 * The classes that the mix-ins take and give.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import { setModule } from "../../workers/runner/targets.ts";
import { loadRole, prepare, role, type ServerRole } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";
import { prepareReplicas, type ReplicaPlan } from "./plan.ts";

/** The class of a server, whatever its constructor takes. */
// deno-lint-ignore no-explicit-any -- TypeScript wants it so of a mix-in's base
export type ServerClass = new (...args: any[]) => BaseServer<any, any>;

/** The additional methods of a server with replicas. */
export interface ReplicaServer {
  /**
   * Replaces every replica while the server goes on, for example to run new
   * code: each new replica imports the current modules of the handler and the
   * server. When all have started, the old ones take no more requests and finish
   * those they have, for `shutdownTimeout` at most. The promise resolves when new
   * clients get new replicas alone, and does not wait for the old ones' end. If a
   * new replica does not start, the promise rejects, and all old ones go on.
   * Hooks that run in the server itself stay as they are, for example
   * `verifyRequest()` with relay.
   *
   * A call while replicas are being replaced begins another round after it.
   * Several such calls share one.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, ThreadingTCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new ThreadingTCPServer({ port: 0 }, EchoHandler, {
   *   workers: 1,
   * });
   * server.serveForever();
   * await server.ready;
   * const [before] = (await server.stats()).replicas!;
   * await server.reload();
   * const after = (await server.stats()).replicas!.at(-1); // old ones may drain
   * assertEquals(before!.replica === after!.replica, false);
   * ```
   *
   * @throws {ModuleImportError} If a new replica can't import its modules.
   * @throws {RunnerExitError} If a new replica ends before it serves.
   */
  reload(): Promise<void>;
}

/**
 * The class that a mix-in returns. Its constructor takes the base's arguments
 * and the options of replicas.
 *
 * @typeParam T The base.
 */
export type ReplicaClass<T extends ServerClass> = new (
  address: ConstructorParameters<T>[0],
  RequestHandlerClass: ConstructorParameters<T>[1],
  options?: ConstructorParameters<T>[2] & ReplicaOptions,
) => InstanceType<T> & ReplicaServer;

/** Makes a class of this package serve by replicas. */
export function addReplicas(
  Server: ServerClass,
  kind: RunnerKind,
  module: string,
): void {
  setModule(Server, module);
  implement(Server, kind);
}

/** Makes a class that serves by replicas. */
export function extendWithReplicas<T extends ServerClass>(
  Base: T,
  kind: RunnerKind,
): ReplicaClass<T> {
  abstract class WithReplicas extends Base {}
  implement(WithReplicas as unknown as ServerClass, kind);
  return WithReplicas as unknown as ReplicaClass<T>;
}

/** Most threads that import this package start no server. */
export async function loadSet(plan: ReplicaPlan): Promise<ServerRole> {
  const { ReplicaSet } = await import("./replica_set.ts");
  return new ReplicaSet(plan);
}

function implement(Server: ServerClass, kind: RunnerKind): void {
  const { prototype } = class {
    declare [role]: ServerRole;
    async reload(): Promise<void> {
      this[role].assertMay("replace the replicas of");
      await (await loadRole(this)).reload();
    }
    [prepare](): void {
      prepareReplicas(this as unknown as BaseServer, kind, loadSet);
    }
  };
  const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(
    prototype,
  );
  Object.defineProperties(Server.prototype, methods);
}
