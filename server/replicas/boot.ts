/**
 * The data that a server sends a replica at its start.
 *
 * @module
 */

import { packFor, SHARED_URLS } from "../../workers/codec/payload.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";
import { refer } from "./class_ref.ts";
import type { Boot } from "./protocol.ts";

/** The part of a {@linkcode Boot} that is known before the address is bound. */
export interface BootDraft {
  boot: Omit<Boot, "address" | "sharing" | "options" | "memory">;
  /** The modules of the server, of the handler, and of what is in the context. */
  modules: string[];
}

/**
 * Prepares that data.
 *
 * @throws {HandlerImportError} If a replica could not import a class.
 * @throws {TypeError} If the context can't be cloned, or the server's class can't
 * be constructed there.
 */
export function draftBoot(
  server: BaseServer,
  kind: RunnerKind,
  options: ReplicaOptions,
): BootDraft {
  const serverRef = refer(server.constructor, options.module);
  const handlerRef = refer(server.RequestHandlerClass, options.module);
  assertConstructible(server.constructor);
  const context = packContext(kind, options.context);
  const modules = [serverRef.module, handlerRef.module];
  if (context !== options.context) modules.push(SHARED_URLS[kind]);
  return {
    boot: {
      server: serverRef,
      handler: handlerRef,
      context,
    },
    modules,
  };
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
