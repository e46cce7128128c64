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
import {
  assertOptions,
  checkSignal,
  checkTimeout,
  MAX_TIMEOUT,
} from "../base/check.ts";

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
 * @param method The method, for the message.
 * @param options The caller's options.
 * @param known The options that there are.
 * @returns The deadline.
 */
export function deadlineOf(
  method: string,
  options?: WaitOptions,
  known: readonly string[] = ACQUIRE,
): Deadline {
  if (options === undefined) return FOREVER;
  assertOptions(options, method, known, "{ timeout: 1_000 }");
  const { blocking = true, timeout = Infinity, signal } = options;
  checkTimeout(timeout);
  checkSignal(signal);
  if (!blocking && options.timeout !== undefined) {
    throw new TypeError(
      `Cannot use "timeout" in ${method}: it has no meaning with "blocking: false"`,
    );
  }
  const isOnce = !blocking || timeout === 0;
  return { at: isOnce ? -Infinity : performance.now() + timeout, signal };
}

/**
 * How often a waiter checks by itself, in milliseconds. It is only needed if a
 * wake-up went to a thread that is busy or has ended.
 */
export const TICK = 50;

/** After this many silent ticks a waiter counts as ended. */
const SILENT_TICKS = 2;

// `Atomics.waitAsync()` does not keep the event loop alive. One interval for
// all sleepers of this thread does, and is their tick as well.
const sleepers = new Set<{ tick(): void }>();
let interval: ReturnType<typeof setInterval> | undefined;

/** At most this many sleepers tick at once, so that one tick costs little. */
const TICKS_AT_ONCE = 256;
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

/**
 * What a wait tries: returns what it waits for, or `false`. `isWoken` says
 * whether it uses up a wake-up.
 */
export type Attempt<T> = (isWoken: boolean) => T | false;

/** One waiter, from its first failure to its end. */
class Waiter<T> {
  /** What it has got. */
  result: T | false = false;
  readonly #queue: WaitQueue;
  readonly #attempt: Attempt<T>;
  readonly #yields: boolean;
  #ticket = 0;
  #slot: WaitSlot | null = null;
  #settled: PromiseWithResolvers<void> | null = null;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  constructor(queue: WaitQueue, attempt: Attempt<T>, yields: boolean) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#yields = yields;
  }

  /** Tries, whoever is next. */
  try(isWoken = false): boolean {
    throwIfStopped();
    this.result = this.#attempt(isWoken);
    return this.result !== false;
  }

  /** Waits on the event loop, and keeps the program alive meanwhile. */
  async wait({ at, signal }: Deadline): Promise<void> {
    const onAbort = (): void => this.#step(() => signal!.throwIfAborted());
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      this.#ticket = this.#queue.takeTicket(false);
      const due = this.#enter(false);
      if (this.result !== false) return;
      const { promise } = this.#settled = Promise.withResolvers<void>();
      const left = Math.max(at - performance.now(), 0);
      if (left <= MAX_TIMEOUT) {
        timer = setTimeout(() => this.#step(() => this.#finish(), true), left);
      }
      signal?.addEventListener("abort", onAbort);
      sleepers.add(this);
      startTicks();
      this.#listen(due);
      if (signal?.aborted) onAbort();
      await promise;
    } finally {
      if (sleepers.delete(this) && sleepers.size === 0) stopTicks();
      if (timer !== undefined) clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#leave();
    }
  }

  /**
   * Does the next step, unless the wait is over. It is when there is a result,
   * when this was the last step, or when it throws.
   */
  #step(act: () => unknown, isLast = false): void {
    const settled = this.#settled;
    if (settled === null) return;
    try {
      act();
      if (this.result === false && !isLast) return;
      settled.resolve();
    } catch (error) {
      settled.reject(error);
    }
    this.#settled = null;
  }

  /** Goes on when it is woken and, if a yield is due, after it. */
  #listen(due: boolean): void {
    // A task that yields sleeps, too: a waker distinguishes it from one whose
    // thread has ended, which others overtake.
    const { words, index, ticket } = this.#slot!;
    const woken = Atomics.waitAsync(words, index, ticket);
    Promise.resolve(woken.value).then(() => this.#step(() => this.#wakeUp()));
    // A task that only waits for its turn is not woken: it looks each turn.
    if (!due) return;
    checkpoint().then(() => this.#step(() => this.#isNext() && this.try()));
  }

  #wakeUp(): void {
    const { words, index, ticket } = this.#slot!;
    const isWoken = Atomics.load(words, index) !== ticket;
    const due = isWoken && this.#enter(true);
    if (this.result === false) this.#listen(due);
  }

  /** Blocks the thread; `enrolled` is called when it is in the queue. */
  waitSync(deadline: Deadline, enrolled?: () => void): void {
    try {
      this.#ticket = this.#queue.takeTicket(true);
      this.#enter(false);
      enrolled?.();
      while (this.result === false) {
        const left = deadline.at - performance.now();
        if (left <= 0) return this.#finish();
        const { words, index, ticket } = this.#slot!;
        Atomics.wait(words, index, ticket, Math.min(left, TICK));
        if (Atomics.load(words, index) === ticket) this.#look();
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
    if (woken && !due && this.#isNext() && this.try(true)) return due;
    this.#slot = this.#queue.enrol(this.#ticket);
    if (woken) this.#queue.reserve(this.#ticket);
    // A release before it was enrolled has woken nobody.
    if (!due && this.#isNext()) this.try();
    return due;
  }

  /** Looks for itself: a wake-up may have been lost. */
  tick(): void {
    this.#step(() => this.#look());
  }

  #look(): void {
    throwIfStopped();
    const { reserved, beats } = this.#queue;
    if (reserved === this.#ticket) this.#queue.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#isNext() && !silent || !this.try()) return;
    if (silent) this.#queue.unreserve(reserved);
  }

  /** The time is over: tries once more, and with a wake-up of this moment. */
  #finish(): void {
    if (this.try()) return;
    const isWoken = !this.#queue.cancel(this.#slot!);
    if (!isWoken || this.try(true)) this.#slot = null;
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
    const result = attempt(false);
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
 * @param enrolled Called before it sleeps, when others can wake it already.
 * @returns What the attempt returned.
 * @throws {DOMException} An `AbortError` if the thread was terminated.
 */
export function untilSync<T>(
  queue: WaitQueue,
  attempt: Attempt<T>,
  deadline: Deadline = FOREVER,
  enrolled?: () => void,
): T | false {
  throwIfStopped();
  const once = deadline.at === -Infinity;
  if (once || queue.mayOvertake()) {
    const result = attempt(false);
    if (once || result !== false) return result;
  }
  const waiter = new Waiter(queue, attempt, false);
  waiter.waitSync(deadline, enrolled);
  return waiter.result;
}
