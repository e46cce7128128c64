/**
 * Signals of the operating system that end the serving.
 *
 * @module
 */

/**
 * Under `deno task` a Ctrl-C arrives twice in short succession: from the
 * terminal and from the task.
 */
export const ECHO_MS = 100;

/** Calls back at the first signal, until disposed. */
export class Signals implements AsyncDisposable {
  #stop: () => void;
  #listening: Deno.Signal[] = [];
  #came = false;

  constructor(names: Deno.Signal[], stop: () => void) {
    this.#stop = stop;
    try {
      for (const name of names) {
        Deno.addSignalListener(name, this.#onSignal);
        this.#listening.push(name);
      }
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /**
   * Stops handling signals. After one it waits a moment: a second copy may
   * follow.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#came) {
      await new Promise((resolve) => setTimeout(resolve, ECHO_MS));
    }
    this.#remove();
  }

  #onSignal = (): void => {
    if (this.#came) return;
    this.#came = true;
    this.#stop();
  };

  #remove(): void {
    for (const name of this.#listening) {
      Deno.removeSignalListener(name, this.#onSignal);
    }
  }
}
