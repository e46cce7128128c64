/**
 * How long a wait may take, and how it sleeps on the event loop.
 *
 * @module
 */
import { checkpoint } from "./_checkpoint.ts";
import type { WaitSlot } from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";

/** The deadline of a wait. */
export interface Deadline {
  /** In the time of `performance.now()`; `-Infinity` means "try only". */
  at: number;
  signal?: AbortSignal | undefined;
}

/** Never. */
export const FOREVER: Deadline = { at: Infinity };

/** The options of what takes something, and may not wait for it. */
const ACQUIRE: readonly string[] = ["blocking", "timeout", "signal"];
/** The same, if it blocks the thread. */
export const ACQUIRE_SYNC: readonly string[] = ["blocking", "timeout"];
/** The options of what only waits. */
export const WAIT: readonly string[] = ["timeout", "signal"];
/** The same, if it blocks the thread. */
export const WAIT_SYNC: readonly string[] = ["timeout"];

/**
 * Checks the options of a wait.
 *
 * @param doing The operation, for the message.
 * @param options The caller's options.
 * @param known The options that there are.
 * @returns The deadline.
 */
export function deadlineOf(
  doing: string,
  options?: WaitOptions,
  known: readonly string[] = ACQUIRE,
): Deadline {
  if (options === undefined) return FOREVER;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot ${doing}: expected options such as { timeout: 1_000 }, ` +
        `received ${options}`,
    );
  }
  for (const name in options) {
    if (known.includes(name)) continue;
    throw new TypeError(
      `Cannot ${doing}: there is no option "${name}", only ${known.join(", ")}`,
    );
  }
  const { blocking = true, timeout, signal } = options;
  if (!blocking) {
    if (timeout !== undefined) {
      throw new TypeError(
        `Cannot ${doing}: "timeout" has no meaning with "blocking: false"`,
      );
    }
    return { at: -Infinity, signal };
  }
  return { at: moment(doing, timeout), signal };
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

// `Atomics.waitAsync()` does not keep the event loop alive. One interval for
// all sleepers of this thread does, and is their tick as well.
const sleepers = new Set<Sleep>();
let interval: ReturnType<typeof setInterval> | undefined;

/** So many sleepers tick at once, the others later: ticks must cost little. */
const TICKS_AT_ONCE = 512;
let ticking = sleepers.values();

function tickSome(): void {
  const count = Math.min(TICKS_AT_ONCE, sleepers.size);
  for (let ticks = 0; ticks < count; ticks++) {
    let next = ticking.next();
    if (next.done) next = (ticking = sleepers.values()).next();
    next.value?.tick();
  }
}

function startTicks(): void {
  if (interval !== undefined) return;
  const started = setInterval(tickSome, TICK);
  // The first timer of a thread loads Deno's timers, and other tasks run
  // meanwhile: one of them may have come here as well.
  if (interval === undefined) interval = started;
  else clearInterval(started);
}

function stopTicks(): void {
  clearInterval(interval);
  interval = undefined;
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
    const { at, signal } = this.#deadline;
    const left = Math.max(at - performance.now(), 0);
    if (left <= MAX_DELAY) {
      this.#timer = setTimeout(() => this.#end("timed-out"), left);
    }
    signal?.addEventListener("abort", this.#onAbort);
    sleepers.add(this);
    startTicks();
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
    const { signal } = this.#deadline;
    clearTimeout(this.#timer);
    signal?.removeEventListener("abort", this.#onAbort);
    if (sleepers.size === 0) stopTicks();
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
