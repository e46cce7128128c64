/** The time that a thread has computed, however busy the machine is. */

/**
 * Returns the processor time of this thread in milliseconds; where the system
 * doesn't tell, the time of day.
 */
export function processorTime(): number {
  try {
    const text = Deno.readTextFileSync("/proc/thread-self/schedstat");
    return Number(text.slice(0, text.indexOf(" "))) / 1e6;
  } catch {
    return performance.now();
  }
}

/** Notes the longest turn of the event loop. */
export class TurnWatch {
  /** The longest so far, in milliseconds of processor time. */
  longest = 0;
  #timer: ReturnType<typeof setInterval>;
  #last = processorTime();

  constructor() {
    // Whatever lies between two of its calls took a turn, or several
    this.#timer = setInterval(() => {
      const now = processorTime();
      this.longest = Math.max(this.longest, now - this.#last);
      this.#last = now;
    }, 1);
  }

  /** Ends it. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
