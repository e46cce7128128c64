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
 * ends a thread in the middle of running code, so nobody keeps it.
 *
 * @typeParam T What is returned.
 * @param words Memory of which one word is for this alone.
 * @param index The word's index.
 * @param act What to do; it must not wait.
 * @returns What that returned.
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
