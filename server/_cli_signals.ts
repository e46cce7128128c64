/**
 * Signals that end the command line's server.
 *
 * @module
 */

const SIGNALS: Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];
/**
 * A Ctrl-C under `deno task` arrives twice within a millisecond: from the
 * terminal and handed on by the task.
 */
const ECHO_MS = 100;
const EXIT_CODE_BASE = 128;
const SIGINT_NUMBER = 2;
const SIGTERM_NUMBER = 15;

/**
 * Aborts `signal` at the first signal of the system; a second one ends the
 * program.
 */
export class StopSignals {
  #controller: AbortController = new AbortController();
  #settled: PromiseWithResolvers<void> = Promise.withResolvers();
  #armed = false;

  constructor() {
    for (const name of SIGNALS) {
      Deno.addSignalListener(name, () => this.#received(name));
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

  #received(name: Deno.Signal): void {
    if (!this.#controller.signal.aborted) {
      this.#controller.abort();
      setTimeout(() => this.#arm(), ECHO_MS);
    } else if (this.#armed) {
      const number = name === "SIGTERM" ? SIGTERM_NUMBER : SIGINT_NUMBER;
      Deno.exit(EXIT_CODE_BASE + number);
    }
  }

  #arm(): void {
    this.#armed = true;
    this.#settled.resolve();
  }
}
