/**
 * The run of a thread or process: its start, its result and its end.
 *
 * @module
 */

import { encode } from "../codec/codec.ts";
import { packFor, SHARED_URLS, unpack } from "../codec/share.ts";
import { type RunnerExit, RunnerExitError } from "../errors.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import { ProtocolError } from "../runner/protocol.ts";
import {
  describeExit,
  type Runner,
  type RunnerKind,
} from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";
import { context } from "./_context.ts";
import { MAX_TIMEOUT } from "./_options.ts";

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

/** The end of a thread or process, and its result. */
export class Ending {
  #result: PromiseWithResolvers<unknown> = Promise.withResolvers();
  #isAsked = false;
  #hasResult = false;
  #joiners: Set<() => void> = new Set();

  constructor() {
    this.#result.promise.catch(() => {});
  }

  /** Returns the result. The caller handles its errors. */
  ask(): Promise<unknown> {
    this.#isAsked = true;
    return this.#result.promise;
  }

  /** The result has arrived. */
  settle(message: unknown): void {
    if (this.#hasResult) throw new ProtocolError("A second result came");
    this.#hasResult = true;
    this.#result.resolve(unpack(message));
  }

  /**
   * It has ended.
   *
   * @param exit How it ended.
   * @param label Its name in errors.
   * @returns The error, if no caller gets it.
   */
  end(exit: RunnerExit, label: string): Error | undefined {
    for (const resolve of this.#joiners) resolve();
    const { reason } = exit;
    const thrown = reason === "error" || reason === "import"
      ? exit.error
      : undefined;
    if (this.#hasResult) return thrown;
    this.#result.reject(
      thrown ?? new RunnerExitError(
        `Cannot get the result of ${label}: it ${describeExit(exit)}`,
        exit,
      ),
    );
    return this.#isAsked ? undefined : thrown;
  }

  /**
   * Waits for the end and keeps the program alive meanwhile.
   *
   * @param runner Its runner.
   * @param daemon Whether it lets the program end otherwise.
   * @param options How long to wait.
   */
  async wait(
    runner: Runner,
    daemon: boolean,
    options: WaitOptions = {},
  ): Promise<void> {
    const { timeout = Infinity, signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal!.reason);
    const timer = timeout > MAX_TIMEOUT
      ? undefined
      : setTimeout(resolve, timeout);
    signal?.addEventListener("abort", abort);
    this.#joiners.add(resolve);
    runner.ref();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#joiners.delete(resolve);
      if (daemon && this.#joiners.size === 0) runner.unref();
    }
  }
}

/** The data of a start. */
export interface ActivityStart {
  /** The URL of the module. */
  module: string;
  /** The class that overrides `run()`, or `null`. */
  className: string | null;
  /** The export that is the target, or `null`. */
  target: string | null;
  /** A {@linkcode Payload}, packed. */
  payload: unknown;
  /** The name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The number. */
  ident: number;
  /** Whether it is in a daemon process. */
  inDaemonProcess: boolean;
  /** The last number given to a thread, if memory is shared. */
  lastIdent: Int32Array | null;
}

/** The caller's values in a start. */
export interface Payload {
  /** The arguments. */
  args: readonly unknown[];
  /** The public fields. */
  fields: Record<string, unknown>;
}

/** The data of the object that stands for the code that runs here. */
export interface Adoption {
  /** Its number. */
  ident: number | null;
  /** Its name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The function to run. */
  target: ((...args: unknown[]) => unknown) | null;
  /** The function's arguments. */
  args: readonly unknown[];
}
