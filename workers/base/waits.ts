/**
 * Waits that end early: by a time limit, or by a signal of the system.
 *
 * @module
 */

/**
 * A timer that is so late fires after a stall of the event loop, and before
 * what arrived meanwhile. The event loop looks for arrivals only when it waits,
 * as it does for another timer, also of 0 ms, but not for an immediate.
 */
export const STALL_MS = 4;

/** The result of `work`, or `null` if there is none within `timeout` ms. */
export async function inTime<T>(
  work: Promise<T>,
  timeout: number,
): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  // On a busy machine timers fire before what has happened: it gets a turn
  const late = () => void (timer = setTimeout(() => resolve(null)));
  if (timeout !== Infinity) timer = setTimeout(late, Math.max(0, timeout));
  try {
    return await Promise.race([work.catch(() => null), promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets time pass. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Under `deno task` a Ctrl-C arrives twice: from the terminal, and from the task
 * as soon as a busy machine lets it run.
 */
export const ECHO_MS = 500;
/** How long the end of serving waits for the second one. */
const LAST_ECHO_MS = 100;

/** Calls back at each signal but the echo of the first, until disposed. */
export class Signals implements AsyncDisposable {
  #stop: () => void;
  #listening: Deno.Signal[] = [];
  #cameAt: number | null = null;

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
    if (this.#cameAt !== null) {
      const left = this.#cameAt + LAST_ECHO_MS - performance.now();
      await pause(Math.max(0, left));
    }
    this.#remove();
  }

  #onSignal = (): void => {
    const now = performance.now();
    if (this.#cameAt !== null && now - this.#cameAt < ECHO_MS) return;
    this.#cameAt ??= now;
    this.#stop();
  };

  #remove(): void {
    for (const name of this.#listening) {
      Deno.removeSignalListener(name, this.#onSignal);
    }
  }
}
