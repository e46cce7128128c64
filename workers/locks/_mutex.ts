/**
 * A mutex in one word of shared memory.
 *
 * @module
 */

const FREE = 0;
const TAKEN = 1;
const CONTENDED = 2;

/**
 * Lets one thread at a time do something that takes microseconds. Deno never
 * ends a thread in the middle of running code, so the mutex is always released.
 *
 * @typeParam T The type of the result.
 * @param words Memory with a word for the mutex.
 * @param index The word's index.
 * @param act The function to call. It must not wait.
 * @returns Its result.
 */
export function alone<T>(words: Int32Array, index: number, act: () => T): T {
  if (Atomics.compareExchange(words, index, FREE, TAKEN) !== FREE) {
    while (Atomics.exchange(words, index, CONTENDED) !== FREE) {
      Atomics.wait(words, index, CONTENDED);
    }
  }
  try {
    return act();
  } finally {
    if (Atomics.exchange(words, index, FREE) === CONTENDED) {
      Atomics.notify(words, index, 1);
    }
  }
}
