/**
 * What a server tells its replicas at their start.
 *
 * @module
 */

import { packFor } from "../../workers/codec/payload.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import { type ClassRef, refer } from "./class_ref.ts";
import type { BaseServer } from "../base_server.ts";
import type { AnyOptions } from "../core/check_options.ts";
import type { ReplicaOptions } from "../options.ts";

const SYNC_URL = new URL("../../workers/queue/_sync.ts", import.meta.url).href;

/** How replicas come to a TCP port of their own. */
export type Sharing = "loadBalanced" | "reusePort";

/** What a server tells its replicas at their start. */
export interface ReplicaPlan {
  server: ClassRef;
  handler: ClassRef;
  /** The address of the whole server. */
  address: Deno.Addr;
  /** How the replica accepts by itself, or `null` when it does not. */
  sharing: Sharing | null;
  options: Partial<AnyOptions>;
  /** The packed context. */
  context: unknown;
}

/** The part of a plan that is known before the address is bound. */
export interface ReplicaDraft {
  plan: Omit<ReplicaPlan, "address" | "sharing" | "options">;
  /** The modules of the server, of the handler, and of what is in the context. */
  modules: string[];
}

/**
 * Drafts the plan of a server's replicas.
 *
 * @throws {HandlerImportError} If a replica could not import a class.
 * @throws {TypeError} If the context can't be cloned.
 */
export function draftPlan(
  server: BaseServer,
  kind: RunnerKind,
  options: ReplicaOptions,
): ReplicaDraft {
  const serverRef = refer(server.constructor, options.module);
  const handlerRef = refer(server.RequestHandlerClass, options.module);
  const context = packContext(kind, options.context);
  const modules = [serverRef.module, handlerRef.module];
  if (context !== options.context) modules.push(SYNC_URL);
  return {
    plan: {
      server: serverRef,
      handler: handlerRef,
      context,
    },
    modules,
  };
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
