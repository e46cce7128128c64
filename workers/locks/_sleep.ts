/**
 * Sleeps on the event loop until a word of shared memory changes, or a deadline.
 *
 * @module
 */
import { checkpointDue, onTurn } from "./_checkpoint.ts";
import type { AcquireOptions } from "./wait_options.ts";

/** The deadline of a wait. */
export interface Deadline {
  /** In the time of `performance.now()`; `-Infinity` means "try only". */
  at: number;
  signal?: AbortSignal | undefined;
  /** Whether the program may end meanwhile. */
  background?: boolean | undefined;
}

/**
 * The option of a wait during which the program may end: an item goes back to
 * its queue.
 */
export const IN_BACKGROUND: unique symbol = Symbol("in background");

/** Never. */
export const FOREVER: Deadline = { at: Infinity };

/**
 * Checks the options of a wait.
 *
 * @param doing The operation, for the message.
 * @param options The caller's options.
 * @returns The deadline.
 */
export function deadlineOf(doing: string, options?: AcquireOptions): Deadline {
  if (options === undefined) return FOREVER;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot ${doing}: expected options such as { timeout: 1_000 }, ` +
        `received ${options}`,
    );
  }
  const { blocking = true, timeout, signal, [IN_BACKGROUND]: background } =
    options as AcquireOptions & { [IN_BACKGROUND]?: boolean };
  if (!blocking) {
    if (timeout !== undefined) {
      throw new TypeError(
        `Cannot ${doing}: "timeout" has no meaning with "blocking: false"`,
      );
    }
    return { at: -Infinity, signal };
  }
  return { at: moment(doing, timeout), signal, background };
}

/**
 * Checks a time-out.
 *
 * @param doing The operation, for the message.
 * @param timeout Milliseconds, or `undefined` for none.
 * @returns The time when it is over.
 */
function moment(doing: string, timeout?: number): number {
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== "number") {
    throw new TypeError(
      `Cannot ${doing}: "timeout" must be a number of milliseconds, ` +
        `received ${typeof timeout}`,
    );
  }
  if (!(timeout >= 0)) {
    throw new RangeError(
      `Cannot ${doing}: "timeout" must be 0 or more milliseconds, ` +
        `received ${timeout}`,
    );
  }
  return timeout === 0 ? -Infinity : performance.now() + timeout;
}

/**
 * How often a waiter checks by itself, in milliseconds. It is only needed if a
 * wake-up went to a thread that is busy or has ended.
 */
export const TICK = 50;

/** Longer delays fire at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** The reason for the end of a sleep. */
export type Outcome = "woken" | "ticked" | "timed-out";

/** The word that a sleeper watches, and the value that it sleeps on. */
export interface WaitSlot {
  words: Int32Array;
  index: number;
  value: number;
  /** The sleeper's ticket. */
  ticket: number;
}

// `Atomics.waitAsync()` does not keep the event loop alive. One interval for
// all sleepers of this thread does, and is their tick as well.
const sleepers = new Set<Sleep>();
let interval: ReturnType<typeof setInterval> | undefined;
let inBackground = 0;
let referenced = true;

function tickAll(): void {
  for (const sleeper of sleepers) sleeper.tick();
}

function startTicks(): void {
  if (interval !== undefined) return;
  const started = setInterval(tickAll, TICK);
  // The first timer of a thread loads Deno's timers, and other tasks run
  // meanwhile: one of them may have come here as well.
  if (interval !== undefined) return clearInterval(started);
  interval = started;
  referenced = true;
}

/** Keeps the program alive while any of them is not in the background. */
function keepAlive(): void {
  const needed = sleepers.size > inBackground;
  if (interval === undefined || needed === referenced) return;
  referenced = needed;
  if (needed) Deno.refTimer(interval as unknown as number);
  else Deno.unrefTimer(interval as unknown as number);
}

class Sleep {
  readonly #slot: WaitSlot;
  readonly #signal: AbortSignal | undefined;
  readonly #onTick: (() => boolean) | undefined;
  readonly #background: boolean;
  readonly #settled = Promise.withResolvers<Outcome>();
  readonly #onAbort = (): void => this.#end();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(slot: WaitSlot, deadline: Deadline, onTick?: () => boolean) {
    this.#slot = slot;
    this.#signal = deadline.signal;
    this.#onTick = onTick;
    this.#background = deadline.background === true;
    const left = deadline.at - performance.now();
    if (left <= MAX_DELAY) {
      this.#timer = setTimeout(
        () => this.#end("timed-out"),
        Math.max(left, 0),
      );
    }
    this.#signal?.addEventListener("abort", this.#onAbort);
    sleepers.add(this);
    if (this.#background) inBackground++;
    startTicks();
    keepAlive();
    this.#listen();
    if (this.#signal?.aborted) this.#end();
    // A task that only yields to the event loop is not woken.
    if (onTick && checkpointDue()) onTurn(() => this.tick());
  }

  get outcome(): Promise<Outcome> {
    return this.#settled.promise;
  }

  tick(): void {
    if (this.#over) return;
    try {
      if (this.#onTick?.()) this.#end("ticked");
    } catch (error) {
      this.#end(undefined, error);
    }
  }

  #listen(): void {
    const { words, index, value } = this.#slot;
    const result = Atomics.waitAsync(words, index, value);
    if (!result.async) return this.#end("woken");
    result.value.then(() => {
      if (!this.#over) this.#listen();
    });
  }

  #end(outcome?: Outcome, error: unknown = this.#signal?.reason): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    sleepers.delete(this);
    if (this.#background) inBackground--;
    if (sleepers.size > 0) keepAlive();
    else {
      clearInterval(interval);
      interval = undefined;
    }
    if (outcome === undefined) this.#settled.reject(error);
    else this.#settled.resolve(outcome);
  }
}

/**
 * Sleeps on the event loop and keeps the program alive meanwhile. A caller that
 * was not woken must change the word and notify it, or the engine's own waiter
 * stays.
 *
 * @param slot The word and the value: another value ends the sleep.
 * @param deadline The latest end. An abort rejects.
 * @param onTick Called at each tick; `true` ends the sleep.
 * @returns The reason for the end.
 */
export function sleep(
  slot: WaitSlot,
  deadline: Deadline,
  onTick?: () => boolean,
): Promise<Outcome> {
  return new Sleep(slot, deadline, onTick).outcome;
}
