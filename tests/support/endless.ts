/**
 * Code that does not return to its event loop. It sleeps where real code would
 * compute: who waits for it can't tell, and other tests have the processor.
 *
 * @module
 */

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Blocks its thread for so long. */
export function block(ms: number): void {
  Atomics.wait(NEVER, 0, 0, ms);
}

/** An endless loop: as such, it ends with its process alone. */
export function loopForEver(): never {
  for (;;) block(10_000);
}
