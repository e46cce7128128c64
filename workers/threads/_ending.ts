/**
 * The result and the end of a thread or process.
 *
 * @module
 */

import { MAX_TIMEOUT } from "./_options.ts";
import { unpack } from "../codec/share.ts";
import { type RunnerExit, RunnerExitError } from "../errors.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import { describeExit } from "../runner/lifecycle.ts";
import { ProtocolError } from "../runner/protocol_error.ts";
import type { Runner } from "../runner/runner.ts";

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
