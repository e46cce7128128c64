/**
 * The buffers of writers. A connection has one only from its first write until
 * the bytes are sent, so thousands of idle connections need none.
 *
 * @module
 */

/** Size of a buffer of the pool. */
export const POOLED_SIZE = 16_384;
const MAX_FREE = 64;
const free: Uint8Array[] = [];

/** Takes a buffer with arbitrary content. */
export function takeBuffer(size: number): Uint8Array {
  if (size !== POOLED_SIZE) return new Uint8Array(size);
  return free.pop() ?? new Uint8Array(POOLED_SIZE);
}

/** Returns a buffer. Nothing else may refer to it. */
export function giveBack(buffer: Uint8Array): void {
  const whole = buffer.length === POOLED_SIZE;
  if (whole && free.length < MAX_FREE) free.push(buffer);
}
