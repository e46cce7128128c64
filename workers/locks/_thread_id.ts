/**
 * A number that identifies this thread.
 *
 * @module
 */

/**
 * The random id of this thread: two words, because one is too short to be
 * unique.
 */
export const THREAD_ID: readonly [number, number] = drawId();

function drawId(): [number, number] {
  const words = crypto.getRandomValues(new Int32Array(2));
  // Zero means nobody.
  return [words[0]! | 1, words[1]!];
}
