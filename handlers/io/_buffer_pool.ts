/**
 * The buffers of writers. A connection has one only from its first write until
 * the bytes are sent, so thousands of idle connections need none.
 *
 * @module
 */

/** Most answers are short, and a turn of the event loop may answer thousands. */
const SMALL_SIZE = 1_024;
const MAX_SMALL = 4_096;
const LARGE_SIZE = 16_384;
const MAX_LARGE = 64;
const small: Uint8Array[] = [];
const large: Uint8Array[] = [];

/** Takes a buffer of at least `size` bytes, with arbitrary content. */
function takeBuffer(size: number): Uint8Array {
  if (size <= SMALL_SIZE) return small.pop() ?? new Uint8Array(SMALL_SIZE);
  if (size > LARGE_SIZE) return new Uint8Array(size);
  return large.pop() ?? new Uint8Array(LARGE_SIZE);
}

/** Returns a buffer. Nothing else may refer to it. */
export function giveBack(buffer: Uint8Array): void {
  const { length } = buffer;
  if (length === SMALL_SIZE && small.length < MAX_SMALL) small.push(buffer);
  if (length === LARGE_SIZE && large.length < MAX_LARGE) large.push(buffer);
}

/** Moves the first `held` bytes of a buffer into one of at least `size`. */
export function enlarge(
  buffer: Uint8Array,
  held: number,
  size: number,
): Uint8Array {
  const larger = takeBuffer(Math.max(size, buffer.length * 2));
  if (held > 0) larger.set(buffer.subarray(0, held));
  giveBack(buffer);
  return larger;
}
