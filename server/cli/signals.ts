/**
 * Signals that end the command line's server.
 *
 * @module
 */

import { ECHO_MS } from "../../workers/base/waits.ts";

/** The signals that end a program, with their exit codes. */
const EXIT_CODES: Map<Deno.Signal, number> = Deno.build.os === "windows"
  ? new Map([["SIGINT", 130], ["SIGBREAK", 149]])
  : new Map([["SIGINT", 130], ["SIGTERM", 143]]);

/**
 * Aborts `signal` at the first signal of the system, with the exit code for it
 * as the reason; a second one ends the program.
 */
export class StopSignals implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners: [Deno.Signal, () => void][] = [];
  readonly #beforeExit: () => void;
  #cameAt = 0;

  /** `beforeExit` is called before a second signal ends the program. */
  constructor(beforeExit: () => void = () => {}) {
    this.#beforeExit = beforeExit;
    for (const [name, exitCode] of EXIT_CODES) {
      const listener = () => this.stop(exitCode);
      Deno.addSignalListener(name, listener);
      this.#listeners.push([name, listener]);
    }
  }

  /** Aborted at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Does what a signal does. */
  stop(exitCode: number): void {
    const now = performance.now();
    if (!this.signal.aborted) {
      this.#cameAt = now;
      this.#controller.abort(exitCode);
    } else if (now - this.#cameAt >= ECHO_MS) {
      this.#beforeExit();
      Deno.exit(exitCode);
    }
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) {
      Deno.removeSignalListener(name, listener);
    }
  }
}
