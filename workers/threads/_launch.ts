/**
 * Launches a thread or process.
 *
 * @module
 */

import type { ActivityStart, Payload } from "./_start.ts";
import { context } from "./_context.ts";
import { encode } from "../codec/codec.ts";
import { packFor, SHARED_URLS } from "../codec/payload.ts";
import type { Runner, RunnerKind } from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

/** The thread or process to start. */
export interface Launch {
  kind: RunnerKind;
  /** Its name in errors. */
  label: string;
  /** The URL of the module. */
  module: string;
  /** The class that overrides `run()`, or `null`. */
  className: string | null;
  /** The export that is the target, or `null`. */
  target: string | null;
  payload: Payload;
  name: string;
  daemon: boolean;
  permissions: Deno.PermissionOptions;
  ident: number;
}

/**
 * Starts a thread or process.
 *
 * @param what The thread or process to start.
 * @returns Its runner, which is starting.
 * @throws {TypeError} If an argument or a field can't be cloned.
 */
export function launch(what: Launch): Runner {
  const { kind, module, name, permissions, payload } = what;
  try {
    const packed = packFor(kind, payload);
    return startRunner(kind, {
      main: MAIN_URL,
      // The classes of locks take time to load: only if there are locks.
      modules: packed === payload ? [module] : [module, SHARED_URLS[kind]],
      data: describeStart(what, packed),
      name,
      permissions,
    });
  } catch (error) {
    blame(what);
    throw error;
  }
}

function describeStart(what: Launch, payload: unknown): ActivityStart {
  const { kind, module, className, target, name, daemon, ident } = what;
  return {
    module,
    className,
    target,
    payload,
    name,
    daemon,
    ident,
    inDaemonProcess: context.inDaemonProcess || (kind === "process" && daemon),
    lastIdent: kind === "thread" ? context.lastIdent : null,
  };
}

/** Throws for the first argument or field that can't be cloned. */
function blame({ kind, label, payload: { args, fields } }: Launch): void {
  const parts = [
    ...args.map((arg, index) => [`argument ${index}`, arg] as const),
    ...Object.entries(fields).map(([key, value]) =>
      [`field "${key}"`, value] as const
    ),
  ];
  for (const [part, value] of parts) {
    const why = whyNotCloned(value, kind);
    if (why === null) continue;
    throw new TypeError(`Cannot pass ${part} to ${label}: ${why}`);
  }
}

function whyNotCloned(value: unknown, kind: RunnerKind): string | null {
  try {
    const packed = packFor(kind, value);
    if (kind === "thread") structuredClone(packed);
    else encode(packed);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
