/**
 * Signals that end the command line's server.
 *
 * @module
 */

import { ECHO_MS } from "../../workers/base/waits.ts";

/** The signals that end a program, each with the exit code that tells of it. */
const EXIT_CODES: Map<Deno.Signal, number> = Deno.build.os === "windows"
  ? new Map([["SIGINT", 130], ["SIGBREAK", 149]])
  : new Map([["SIGINT", 130], ["SIGTERM", 143]]);

/**
 * Aborts `signal` at the first signal of the system, with the exit code for it
 * as the reason; a second one ends the program.
 */
export class StopSignals implements Disposable {
  #controller: AbortController = new AbortController();
  #settled: PromiseWithResolvers<void> = Promise.withResolvers();
  #listeners: [Deno.Signal, () => void][] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #armed = false;
  readonly #beforeExit: () => void;

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

  /** Settles when the next signal would end the program. */
  settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Does what a signal does. */
  stop(exitCode: number): void {
    if (this.#armed) {
      this.#beforeExit();
      Deno.exit(exitCode);
    }
    if (this.signal.aborted) return;
    this.#controller.abort(exitCode);
    this.#timer = setTimeout(() => this.#arm(), ECHO_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const [name, listener] of this.#listeners) {
      Deno.removeSignalListener(name, listener);
    }
  }

  #arm(): void {
    this.#armed = true;
    this.#settled.resolve();
  }
}
