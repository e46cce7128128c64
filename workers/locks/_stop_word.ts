/**
 * Whether this thread was terminated. Deno's `terminate()` waits for running
 * code, so a blocked thread would live on and take its lock. It checks this
 * word instead, and takes nothing.
 *
 * @module
 */

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
