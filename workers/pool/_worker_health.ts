/**
 * Decides whether a pool goes on after workers died.
 *
 * @module
 */

import { HandlerImportError, type RunnerExit } from "../errors.ts";
import { RunnerExitError } from "../errors.ts";
import { describeExit } from "../runner/runner.ts";
import type { PoolSettings } from "./_options.ts";
import type { WorkerHandle } from "./_worker_handle.ts";

/**
 * A pool ends after this many workers in a row died before their first answer.
 */
const MAX_FAILURES = 5;
/** The pause after the first of them in milliseconds. Each doubles it. */
const BACKOFF = 100;

/** Decides whether a pool goes on after a worker's death. */
export class WorkerHealth {
  #settings: PoolSettings;
  #goOn: () => void;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Constructs the health of a new pool.
   *
   * @param settings The pool's options.
   * @param goOn Called when workers may start again.
   */
  constructor(settings: PoolSettings, goOn: () => void) {
    this.#settings = settings;
    this.#goOn = goOn;
  }

  /** Whether no worker should start for now. */
  get waiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Whether the last dead worker had answered a task. */
  get good(): boolean {
    return this.#failures === 0;
  }

  /** Reports an answer. */
  worked(): void {
    this.#failures = 0;
  }

  /**
   * Judges an unexpected death of a worker.
   *
   * @param worker The worker.
   * @param exit How it ended.
   * @param hadWork Whether it had begun a task.
   * @returns The reason why the pool can't go on, or `null`.
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
