/**
 * Memory for bytes that are being read or written.
 *
 * @module
 */

const MOST_KEPT = 64;

/**
 * A pool of blocks: new memory for each connection or message takes five times
 * as long, and keeps the garbage collector busy.
 */
export class BlockPool {
  /** The size of a block in bytes. */
  readonly size: number;
  #free: Uint8Array[] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** Takes a block with arbitrary content. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Returns a block. Nothing may use it any more. */
  giveBack(block: Uint8Array): void {
    if (this.#free.length < MOST_KEPT) this.#free.push(block);
  }
}
