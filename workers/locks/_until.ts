/**
 * Waits in a wait queue until an attempt succeeds.
 *
 * @module
 */
import {
  checkpoint,
  checkpointDue,
  isStopped,
  throwIfStopped,
} from "./_checkpoint.ts";
import type { WaitQueue, WaitSlot } from "./_wait_queue.ts";
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

/** What a wait tries: returns what it waits for, or `false`. */
export type Attempt<T> = () => T | false;

/** After this many silent ticks a waiter counts as ended. */
const SILENT_TICKS = 2;

/** One waiter, from its first failure to its end. */
class Waiter<T> {
  /** What it has got. */
  result: T | false = false;
  readonly #queue: WaitQueue;
  readonly #attempt: Attempt<T>;
  readonly #yields: boolean;
  #ticket = 0;
  #slot: WaitSlot | null = null;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  constructor(queue: WaitQueue, attempt: Attempt<T>, yields: boolean) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#yields = yields;
  }

  /** Tries, whoever is next. */
  try(): boolean {
    throwIfStopped();
    this.result = this.#attempt();
    return this.result !== false;
  }

  async wait(deadline: Deadline): Promise<void> {
    const onTick = (): boolean => this.#tick();
    // A task that only waits for its turn is not woken: it looks each turn.
    const onTurn = (): boolean => this.#isNext() && this.try();
    try {
      this.#ticket = this.#queue.takeTicket(false);
      let due = this.#enter(false);
      while (this.result === false) {
        // A task that yields sleeps, too: a waker distinguishes it from one
        // whose thread has ended, which others overtake.
        const outcome = await sleep(
          this.#slot!,
          deadline,
          onTick,
          due ? onTurn : undefined,
        );
        if (outcome === "timed-out") return void this.try();
        due = outcome === "woken" && this.#enter(true);
      }
    } finally {
      this.#leave();
    }
  }

  waitSync(deadline: Deadline): void {
    try {
      this.#ticket = this.#queue.takeTicket(true);
      this.#enter(false);
      while (this.result === false) {
        const left = deadline.at - performance.now();
        if (left <= 0) return void this.try();
        const { words, index, ticket } = this.#slot!;
        Atomics.wait(words, index, ticket, Math.min(left, TICK));
        if (Atomics.load(words, index) === ticket) this.#tick();
        else this.#enter(true);
      }
    } finally {
      this.#leave();
    }
  }

  /**
   * Tries, after a wake-up or as a newcomer. Queues up if it fails, or if a
   * yield is due first: a thread that is terminated while it yields would keep
   * what it has taken.
   *
   * @returns Whether a yield is due.
   */
  #enter(woken: boolean): boolean {
    throwIfStopped();
    const due = this.#yields && checkpointDue();
    this.#slot = null;
    if (woken && !due && this.#isNext() && this.try()) return due;
    this.#slot = this.#queue.enrol(this.#ticket);
    if (woken) this.#queue.reserve(this.#ticket);
    // A release before it was enrolled has woken nobody.
    if (!due && this.#isNext()) this.try();
    return due;
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  #tick(): boolean {
    throwIfStopped();
    const { reserved, beats } = this.#queue;
    if (reserved === this.#ticket) this.#queue.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#isNext() && !silent || !this.try()) return false;
    if (silent) this.#queue.unreserve(reserved);
    return true;
  }

  /** Leaves the queue, and hands on an unused wake-up. */
  #leave(): void {
    const surplus = this.#slot !== null && !this.#queue.cancel(this.#slot);
    const released = this.#queue.unreserve(this.#ticket);
    if (surplus || (released && this.result === false)) this.#queue.wake(1);
  }

  /** Whether the next waiter has ended or is too busy to try. */
  #isSilent(reserved: number, beats: number): boolean {
    const silent = reserved !== 0 && reserved === this.#seen &&
      beats === this.#seenBeats;
    this.#silentTicks = silent ? this.#silentTicks + 1 : 0;
    this.#seen = reserved;
    this.#seenBeats = beats;
    return this.#silentTicks >= SILENT_TICKS;
  }

  #isNext(): boolean {
    const { reserved } = this.#queue;
    return reserved === 0 || (reserved - this.#ticket | 0) >= 0;
  }
}

/**
 * Waits on the event loop until an attempt succeeds. In a thread that was
 * terminated it never settles.
 *
 * @typeParam T The type of what is waited for.
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @param takes Whether a success takes something that a thread which was
 * terminated while it yields would keep. If not, it yields afterwards.
 * @returns What the attempt returned: at once if it need not wait.
 */
export function until<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline = FOREVER,
  takes: boolean = queue.fair,
): T | false | Promise<T | false> {
  // Saves an async call when nothing is in the way.
  if (mayTry(queue, deadline) && !checkpointDue()) {
    const result = attempt();
    if (result !== false || deadline.at === -Infinity) return result;
  }
  return untilLater(queue, attempt, deadline, takes);
}

function mayTry(queue: WaitQueue, { at, signal }: Deadline): boolean {
  if (isStopped() || signal?.aborted) return false;
  return at === -Infinity || queue.mayOvertake();
}

async function untilLater<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline,
  takes: boolean,
): Promise<T | false> {
  const waiter = new Waiter(queue, attempt, takes);
  const once = deadline.at === -Infinity;
  try {
    if (!takes && mayTry(queue, deadline)) waiter.try();
    else if (once) await checkpoint();
    throwIfStopped();
    deadline.signal?.throwIfAborted();
    if (waiter.result === false && !once) await waiter.wait(deadline);
    else if (waiter.result === false) waiter.try();
    if (!takes && checkpointDue()) await checkpoint();
    return waiter.result;
  } catch (error) {
    if (isStopped()) await new Promise(() => {});
    // A loop may catch it
    if (checkpointDue()) await checkpoint();
    throw error;
  }
}

/**
 * Blocks the thread until an attempt succeeds.
 *
 * @typeParam T The type of what is waited for.
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns What the attempt returned.
 * @throws {DOMException} An `AbortError` if the thread was terminated.
 */
export function untilSync<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline = FOREVER,
): T | false {
  throwIfStopped();
  const once = deadline.at === -Infinity;
  if (once || queue.mayOvertake()) {
    const result = attempt();
    if (once || result !== false) return result;
  }
  const waiter = new Waiter(queue, attempt, false);
  waiter.waitSync(deadline);
  return waiter.result;
}
