/**
 * The run of a thread or process: its start, its result and its end.
 *
 * @module
 */

import { encode } from "../codec/codec.ts";
import { packFor, SHARED_URLS, unpack } from "../codec/share.ts";
import { type RunnerExit, RunnerExitError } from "../base/errors.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import { fromErrorRecord, ProtocolError } from "../line/dialect.ts";
import {
  describeExit,
  type Runner,
  type RunnerKind,
} from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";
import {
  type ActivityStart,
  MESSAGE,
  type Payload,
} from "../runner/context.ts";
import { MAX_TIMEOUT } from "../base/check.ts";

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

/**
 * Starts a thread or process.
 *
 * @param kind Which of the two.
 * @param start Its data, not packed yet.
 * @param permissions Its permissions.
 * @returns Its runner, which is starting.
 * @throws {TypeError} If an argument or a field can't be cloned.
 */
export function launch(
  kind: RunnerKind,
  start: ActivityStart & { payload: Payload },
  permissions: Deno.PermissionOptions,
): Runner {
  const { module, name, payload } = start;
  try {
    const packed = packFor(kind, payload);
    return startRunner(kind, {
      main: MAIN_URL,
      // The classes of locks take time to load: only if there are locks.
      modules: packed === payload ? [module] : [module, SHARED_URLS[kind]],
      data: { ...start, payload: packed },
      name,
      permissions,
    });
  } catch (error) {
    blame(kind, name, payload);
    throw error;
  }
}

/** Throws for the first argument or field that can't be cloned. */
function blame(kind: RunnerKind, name: string, { args, fields }: Payload) {
  const parts = [
    ...args.map((arg, index) => [`argument ${index}`, arg] as const),
    ...Object.entries(fields).map(([key, value]) =>
      [`field "${key}"`, value] as const
    ),
  ];
  for (const [part, value] of parts) {
    try {
      const packed = packFor(kind, value);
      if (kind === "thread") structuredClone(packed);
      else encode(packed);
    } catch (error) {
      const why = error instanceof Error ? error.message : error;
      throw new TypeError(`Cannot pass ${part} to ${kind} "${name}": ${why}`);
    }
  }
}

/** The end of a thread or process, and its result. */
export class Ending {
  #result: PromiseWithResolvers<unknown> = Promise.withResolvers();
  #isAsked = false;
  #hasResult = false;
  #hasFailed = false;
  #joiners: Set<() => void> = new Set();

  constructor() {
    this.#result.promise.catch(() => {});
  }

  /** Returns the result. The caller handles its errors. */
  ask(): Promise<unknown> {
    this.#isAsked = true;
    return this.#result.promise;
  }

  /**
   * A message has arrived.
   *
   * @param message The message; its sender may be hostile.
   * @returns The error, if no caller gets it.
   */
  receive(message: unknown): Error | undefined {
    const [kind, value] = Array.isArray(message) ? message : [];
    const settled = this.#hasResult || this.#hasFailed;
    if (kind === MESSAGE.result && !settled) {
      this.#hasResult = true;
      this.#result.resolve(unpack(value));
    } else if (kind === MESSAGE.error && !this.#hasFailed) {
      return this.#fail(fromErrorRecord(value));
    } else {
      throw new ProtocolError("A message makes no sense here");
    }
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
    const { reason, error } = exit;
    if (error && (reason === "error" || reason === "import")) {
      return this.#fail(error);
    }
    this.#result.reject(
      new RunnerExitError(
        `Cannot get the result of ${label}: it ${describeExit(exit)}`,
        exit,
      ),
    );
  }

  #fail(error: Error): Error | undefined {
    if (this.#hasFailed) return undefined;
    this.#hasFailed = true;
    this.#result.reject(error);
    return this.#isAsked && !this.#hasResult ? undefined : error;
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
