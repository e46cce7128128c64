/**
 * A number that identifies this thread.
 *
 * @module
 */

/**
 * What tells this thread from all others: two words, for no single one is
 * wide enough to be drawn without ever meeting another's.
 */
export const THREAD_ID: readonly [number, number] = drawId();

function drawId(): [number, number] {
  const words = crypto.getRandomValues(new Int32Array(2));
  // Zero means nobody.
  return [words[0]! | 1, words[1]!];
}
