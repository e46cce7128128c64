/**
 * How long a wait may take, and how it sleeps on the event loop.
 *
 * @module
 */
import { checkpoint } from "./_checkpoint.ts";
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

/** A word that a sleeper watches; its ticket is there until it is woken. */
export interface WaitSlot {
  words: Int32Array;
  index: number;
  ticket: number;
}

// `Atomics.waitAsync()` does not keep the event loop alive. One interval for
// all sleepers of this thread does, and is their tick as well.
const sleepers = new Set<Sleep>();
let inForeground = 0;
let interval: ReturnType<typeof setInterval> | undefined;

function tickAll(): void {
  for (const sleeper of sleepers) sleeper.tick();
}

function startTicks(): void {
  if (interval !== undefined) return;
  const started = setInterval(tickAll, TICK);
  // The first timer of a thread loads Deno's timers, and other tasks run
  // meanwhile: one of them may have come here as well.
  if (interval === undefined) interval = started;
  else clearInterval(started);
}

function stopTicks(): void {
  clearInterval(interval);
  interval = undefined;
}

/** Keeps the program alive while anybody sleeps in the foreground. */
function keepAlive(): void {
  const id = interval as unknown as number;
  if (inForeground > 0) Deno.refTimer(id);
  else Deno.unrefTimer(id);
}

class Sleep {
  readonly #slot: WaitSlot;
  readonly #deadline: Deadline;
  readonly #onTick: () => boolean;
  readonly #settled = Promise.withResolvers<Outcome>();
  readonly #onAbort = (): void => this.#end();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(slot: WaitSlot, deadline: Deadline, onTick: () => boolean) {
    this.#slot = slot;
    this.#deadline = deadline;
    this.#onTick = onTick;
    this.#begin();
    this.#listen();
    if (deadline.signal?.aborted) this.#end();
  }

  get outcome(): Promise<Outcome> {
    return this.#settled.promise;
  }

  tick(onTick = this.#onTick): void {
    if (!sleepers.has(this)) return;
    try {
      if (onTick()) this.#end("ticked");
    } catch (error) {
      this.#end(undefined, error);
    }
  }

  #begin(): void {
    const { at, signal, background } = this.#deadline;
    const left = Math.max(at - performance.now(), 0);
    if (left <= MAX_DELAY) {
      this.#timer = setTimeout(() => this.#end("timed-out"), left);
    }
    signal?.addEventListener("abort", this.#onAbort);
    sleepers.add(this);
    if (!background) inForeground++;
    startTicks();
    if (background || inForeground === 1) keepAlive();
  }

  #listen(): void {
    const { words, index, ticket } = this.#slot;
    const result = Atomics.waitAsync(words, index, ticket);
    if (!result.async) return this.#end("woken");
    result.value.then(() => {
      if (sleepers.has(this)) this.#listen();
    });
  }

  #end(outcome?: Outcome, error?: unknown): void {
    if (!sleepers.delete(this)) return;
    const { signal, background } = this.#deadline;
    clearTimeout(this.#timer);
    signal?.removeEventListener("abort", this.#onAbort);
    if (!background) inForeground--;
    if (sleepers.size === 0) stopTicks();
    else if (inForeground === 0) keepAlive();
    if (outcome === undefined) this.#settled.reject(error ?? signal?.reason);
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
 * @param onTurn Called once after a turn of the event loop; the same.
 * @returns The reason for the end.
 */
export function sleep(
  slot: WaitSlot,
  deadline: Deadline,
  onTick: () => boolean,
  onTurn?: () => boolean,
): Promise<Outcome> {
  const sleeper = new Sleep(slot, deadline, onTick);
  if (onTurn !== undefined) checkpoint().then(() => sleeper.tick(onTurn));
  return sleeper.outcome;
}
