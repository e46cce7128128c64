/**
 * Decides when a loop over primitives must yield to the event loop.
 *
 * A wait that succeeds at once takes only microtasks, so a loop of them would
 * starve every timer, socket and `terminate()`. Therefore each success checks
 * here whether the event loop has turned recently. An immediate that was set
 * before and has not run shows that it has not.
 *
 * @module
 */

/** Longest time without a turn of the event loop, in milliseconds. */
const MOST = 4;

/**
 * How often a task that owns a lock may skip the check: if it is terminated
 * while it yields, the lock stays locked, and most loops also yield without a
 * lock.
 */
const MOST_HOLDING = 3;

/** The pause before the next immediate: one per turn would cost too much. */
const PAUSE = 2;

/** One call in this many reads the clock; if calls come slowly, each does. */
const CALLS = 4;

/** Under load, Deno polls sockets only every 61st turn. */
const TURNS = 64;

/**
 * Only some configurations have its type. It is looked up at the first call:
 * the look-up takes 2 ms, which would delay the start of a thread.
 */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

// Half the cost of `performance.now()`. Tests with fake time replace it.
const { now } = Date;

let setAt = 0;
let lookedAt = 0;
let unlooked = 0;
let pending = false;
/** Whether the immediate should have run by now. */
let late = false;
let turns = 0;
let holdings = 0;
let callbacks: (() => void)[] = [];

function set(time: number): void {
  setAt = time;
  pending = true;
  late = false;
  turns = 0;
  holdings = 0;
  scope.setImmediate(turn);
}

function turn(): void {
  if (callbacks.length > 0 && ++turns < TURNS) {
    scope.setImmediate(turn);
    return;
  }
  pending = late = false;
  const due = callbacks;
  callbacks = [];
  for (const callback of due) callback();
}

/**
 * Whether the event loop must turn before this task goes on.
 *
 * @param holding Whether the task is known to own a lock.
 * @returns `true` until it has turned.
 */
export function checkpointDue(holding = false): boolean {
  if (!late) {
    if (unlooked > 0) {
      unlooked--;
      return false;
    }
    late = isLate();
  }
  return late && (!holding || ++holdings > MOST_HOLDING);
}

function isLate(): boolean {
  const time = now();
  if (time === lookedAt) unlooked = CALLS - 1;
  lookedAt = time;
  const elapsed = time - setAt;
  // The clock may have been set back.
  if (pending) return elapsed >= MOST || elapsed < 0;
  if (elapsed >= PAUSE || elapsed < 0) set(time);
  return false;
}

/**
 * Yields to the event loop.
 *
 * @returns Settles after a turn.
 */
export function checkpoint(): Promise<void> {
  return new Promise((resolve) => {
    callbacks.push(resolve);
    if (!pending) set(now());
  });
}

let word: Int32Array | undefined;
let forfeited: WeakSet<object> | undefined;

/**
 * Sets the word that stops this thread; its launcher has the same memory.
 *
 * @param words Its first word is 0 until the thread is terminated.
 */
export function setStopWord(words: Int32Array): void {
  word = words;
}

/**
 * Stops the thread that has the same memory.
 *
 * @param words The memory.
 */
export function stop(words: Int32Array): void {
  Atomics.store(words, 0, 1);
}

/** Whether this thread was terminated. */
export function isStopped(): boolean {
  return word !== undefined && Atomics.load(word, 0) !== 0;
}

/**
 * Ends a wait of a thread that was terminated.
 *
 * @throws {DOMException} An `AbortError`, if it was.
 */
export function throwIfStopped(): void {
  if (!isStopped()) return;
  throw new DOMException(
    "Cannot wait: this thread was terminated",
    "AbortError",
  );
}

/**
 * Marks a lock that a terminated thread released for a wait, so that its guards
 * do not release another thread's lock.
 *
 * @param lock The lock.
 */
export function forfeit(lock: object): void {
  (forfeited ??= new WeakSet()).add(lock);
}

/**
 * Whether a terminated thread has lost a lock.
 *
 * @param lock The lock.
 * @returns `true` if it must not release it.
 */
export function isForfeited(lock: object): boolean {
  return forfeited !== undefined && forfeited.has(lock);
}
