/**
 * Decides whether a pool goes on after workers died.
 *
 * @module
 */

import { HandlerImportError, type RunnerExit } from "../errors.ts";
import { RunnerExitError } from "../errors.ts";
import { describeExit } from "../runner/lifecycle.ts";
import type { PoolSettings } from "./_options.ts";
import type { WorkerHandle } from "./_worker_handle.ts";

/** So many workers that die before they did anything end the pool. */
const MAX_FAILURES = 5;
/** How long to wait after the first of them; doubled by each. */
const BACKOFF = 100;

/** Decides after the death of a worker what becomes of its pool. */
export class WorkerHealth {
  #settings: PoolSettings;
  #goOn: () => void;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Constructs what is known at first.
   *
   * @param settings The pool's options.
   * @param goOn Called when workers may be started again.
   */
  constructor(settings: PoolSettings, goOn: () => void) {
    this.#settings = settings;
    this.#goOn = goOn;
  }

  /** Whether no worker should be started for now. */
  get waiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Whether the last worker that died had done something. */
  get good(): boolean {
    return this.#failures === 0;
  }

  /** Tells that a task was answered. */
  worked(): void {
    this.#failures = 0;
  }

  /**
   * Judges the death of a worker that nobody asked for.
   *
   * @param worker The worker.
   * @param exit How it ended.
   * @param hadWork Whether it had begun with a task.
   * @returns Why the pool can't go on, or `null`.
   */
  judge(
    worker: WorkerHandle,
    exit: RunnerExit,
    hadWork: boolean,
  ): Error | null {
    if (exit.error instanceof HandlerImportError) return exit.error;
    if (worker.ready && (hadWork || worker.answered > 0)) return null;
    const { name, initializer } = this.#settings;
    const cannot = `Cannot run the tasks of "${name}": `;
    if (!worker.ready && initializer !== null && exit.reason === "error") {
      return new RunnerExitError(
        `${cannot}"${initializer.name}", its initializer, threw: ` +
          exit.error?.message,
        exit,
      );
    }
    if (++this.#failures >= MAX_FAILURES) {
      return new RunnerExitError(
        `${cannot}${MAX_FAILURES} workers in a row ended before they did ` +
          `any, the last one ${describeExit(exit)}`,
        exit,
      );
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#goOn();
    }, BACKOFF * 2 ** (this.#failures - 1));
    return null;
  }

  /** Stops for good. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
