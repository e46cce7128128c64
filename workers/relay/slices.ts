/**
 * Lets the event loop of a runner turn while much arrives at once.
 *
 * Requests that begin, and handlers that go on, take their time only after the
 * relay has passed them on. So a turn passes on as many as, by the last turn,
 * take {@linkcode SLICE_MS}: at most twice as many as the last.
 *
 * @module
 */

/** How long what one turn passes on may take. */
const SLICE_MS = 10;
/**
 * Most to pass on in one turn: those that were quick so far may be slow at once.
 * Fewer would tear apart what a busy relay carries in one message.
 */
const MOST = 32;
/** The same in the first turn. */
const FIRST = 4;
/** The first turns are waited for without node's timers: they take 3 ms to load. */
const FIRST_TURNS = 4;

/** Passes on what arrives, in order, some in each turn of the event loop. */
export class Slices {
  #most = FIRST;
  #used = 0;
  #waiting: (() => void)[] = [];
  #isScheduled = false;
  #since = 0;
  #turns = 0;

  /** Whether nothing waits. */
  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether the caller may pass one on now; otherwise it must `wait()`. */
  enter(): boolean {
    if (this.#used >= this.#most || this.#waiting.length > 0) return false;
    if (this.#used++ === 0) this.#since = performance.now();
    return true;
  }

  /** Calls back in a later turn, after those that wait. */
  wait(step: () => void): void {
    this.#waiting.push(step);
    if (!this.#isScheduled) this.#schedule();
  }

  /** The event loop has turned. */
  turned(): void {
    if (!this.#isScheduled && this.#used > 0) this.#measure();
  }

  #schedule(): void {
    this.#isScheduled = true;
    if (++this.#turns <= FIRST_TURNS) setTimeout(this.#onTurn);
    // Looked up at each call: a simulation replaces it
    else setImmediate(this.#onTurn);
  }

  #onTurn = (): void => {
    this.#isScheduled = false;
    this.#measure();
    while (this.#waiting.length > 0 && this.#used < this.#most) {
      if (this.#used++ === 0) this.#since = performance.now();
      this.#waiting.shift()!();
    }
    if (this.#waiting.length > 0) this.#schedule();
  };

  #measure(): void {
    const took = performance.now() - this.#since;
    const share = Math.floor(this.#used * SLICE_MS / took);
    this.#most = Math.max(1, Math.min(share, this.#most * 2, MOST));
    this.#used = 0;
  }
}
