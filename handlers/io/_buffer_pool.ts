/**
 * Buffers that writers gather in. A connection has one only from its first
 * write of a turn until the bytes are sent: thousands of idle ones hold none.
 *
 * @module
 */

/** Size of a buffer of the pool. */
export const POOLED_SIZE = 16_384;
const MAX_FREE = 64;
const free: Uint8Array[] = [];

/** Takes a buffer; its bytes are anything. */
export function takeBuffer(size: number): Uint8Array {
  if (size !== POOLED_SIZE) return new Uint8Array(size);
  return free.pop() ?? new Uint8Array(POOLED_SIZE);
}

/** Gives a buffer back that nothing else refers to. */
export function giveBack(buffer: Uint8Array): void {
  const whole = buffer.length === POOLED_SIZE;
  if (whole && free.length < MAX_FREE) free.push(buffer);
}
