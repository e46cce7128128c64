/**
 * The classes that the mix-ins take and give.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import { setHome } from "../../workers/threads/_class_registry.ts";
import { prepare, role, type ServerRole } from "../_internal.ts";
import { prepareReplicas } from "./replicas.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";

/** The class of a server, whatever its constructor takes. */
// deno-lint-ignore no-explicit-any -- TypeScript wants it so of a mix-in's base
export type ServerClass = new (...args: any[]) => BaseServer<any, any>;

/** What a server with replicas has besides what others have. */
export interface ReplicaServer {
  /**
   * Puts a new replica in the place of each, one after the other, while the
   * server goes on. If a new one does not start, the promise rejects, and those
   * that were not replaced yet serve on.
   *
   * @throws {HandlerImportError} If a new replica can't import its modules.
   * @throws {RunnerExitError} If a new replica ends before it serves.
   */
  recycle(): Promise<void>;
  /**
   * Does the same to run new code: each new replica imports the modules of the
   * handler and the server as they are now. Connections that are open finish
   * on the old code. If the new code does not start, the promise rejects and
   * the replicas that were not replaced yet serve on. The hooks that run in
   * the server itself, such as `verifyRequest()` by relay, stay as they were.
   *
   * @throws {HandlerImportError} If the new code can't be imported.
   * @throws {RunnerExitError} If a new replica ends before it serves.
   */
  reload(): Promise<void>;
}

/**
 * The class that a mix-in gives: it takes what its base takes, with the options
 * of replicas besides the base's.
 *
 * @typeParam T The base.
 */
export type ReplicaClass<T extends ServerClass> = new (
  address: ConstructorParameters<T>[0],
  RequestHandlerClass: ConstructorParameters<T>[1],
  options?: ConstructorParameters<T>[2] & ReplicaOptions,
) => InstanceType<T> & ReplicaServer;

/** Has a class of this package serve by replicas. */
export function addReplicas(
  Server: ServerClass,
  kind: RunnerKind,
  module: string,
): void {
  setHome(Server, module);
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

function implement(Server: ServerClass, kind: RunnerKind): void {
  const { prototype } = class {
    declare [role]: ServerRole | null;
    async recycle(): Promise<void> {
      await this[role]?.recycle?.();
    }
    async reload(): Promise<void> {
      await this.recycle();
    }
    [prepare](options: ReplicaOptions): void {
      prepareReplicas(this as unknown as BaseServer, kind, options);
    }
  };
  const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(
    prototype,
  );
  Object.defineProperties(Server.prototype, methods);
}
