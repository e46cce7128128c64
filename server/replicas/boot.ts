/**
 * The data that a server sends a replica at its start.
 *
 * @module
 */

import { packFor, SHARED_URLS } from "../../workers/codec/share.ts";
import { HandlerImportError } from "../../workers/errors.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import { moduleOf } from "../../workers/threads/_class_registry.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";
import type { Boot, ClassRef } from "./protocol.ts";

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

// deno-lint-ignore ban-types -- any class, whatever its constructor
type Class = Function & { readonly module?: string | URL };

/**
 * Names a class for a replica.
 *
 * @param subject The class.
 * @param module The module that exports it, if it does not say so itself.
 * @throws {HandlerImportError} If a replica could not import it.
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
    throw new HandlerImportError(
      "Cannot run a class without a name in a replica: give it a name and export it from its module",
      null,
    );
  }
  if (own === undefined) {
    throw new HandlerImportError(
      `Cannot run class "${name}" in a replica: nothing tells which module exports it; give the server the option "module: import.meta.url", or the class "static readonly module = import.meta.url"`,
      null,
    );
  }
  if (!URL.canParse(own)) {
    throw new HandlerImportError(
      `Cannot run class "${name}" in a replica: its module "${own}" is not an absolute URL; use import.meta.url`,
      String(own),
    );
  }
  return { module: new URL(own).href, name };
}
