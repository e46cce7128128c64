/**
 * The start and the end of a runner, as promises and in words.
 *
 * @module
 */

import {
  HandlerImportError,
  type RunnerExit,
  RunnerExitError,
} from "../errors.ts";
import type { RunnerKind } from "./runner.ts";

/**
 * Describes how a runner ended.
 *
 * @param exit How it ended.
 * @returns The description, to follow "the thread" or "the process".
 */
export function describeExit(exit: RunnerExit): string {
  switch (exit.reason) {
    case "returned":
      return "had ended";
    case "terminated":
      return "was terminated";
    case "exit":
      return exit.code < 0
        ? `was killed by signal ${-exit.code}`
        : `exited with code ${exit.code}`;
    case "protocol":
      return `was ended for a protocol error: ${
        exit.error?.message ?? "unknown"
      }`;
    case "import":
    case "error":
      return `ended by an error: ${exit.error?.message ?? "unknown"}`;
  }
}

/** The start and the end of a runner, as promises. */
export class Lifecycle {
  /** Settles when `main` has been called. */
  readonly ready: Promise<void>;
  /** Settles when the runner has completely ended. */
  readonly exited: Promise<RunnerExit>;
  #kind: RunnerKind;
  #setReady: () => void;
  #setUnready: (error: Error) => void;
  #setExited: (exit: RunnerExit) => void;
  #ended = false;

  /**
   * Constructs the moments of one runner.
   *
   * @param kind Its kind, for errors.
   */
  constructor(kind: RunnerKind) {
    this.#kind = kind;
    const ready = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<RunnerExit>();
    // `ready` may go unread: `exited` reports the same.
    ready.promise.catch(() => {});
    this.ready = ready.promise;
    this.exited = exited.promise;
    this.#setReady = ready.resolve;
    this.#setUnready = ready.reject;
    this.#setExited = exited.resolve;
  }

  /** Whether the runner has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Reports that `main` has been called. */
  becomeReady(): void {
    this.#setReady();
  }

  /**
   * Reports that the runner has ended.
   *
   * @param exit How.
   */
  end(exit: RunnerExit): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#setUnready(
      exit.error instanceof HandlerImportError
        ? exit.error
        : new RunnerExitError(
          `Cannot use the ${this.#kind}: it ${
            describeExit(exit)
          } before it was ready`,
          exit,
        ),
    );
    this.#setExited(exit);
  }
}
