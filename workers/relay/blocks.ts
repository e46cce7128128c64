/**
 * Memory for bytes that are being read or written.
 *
 * @module
 */

const MOST_KEPT = 64;

/**
 * Blocks that are used again and again: new memory for each connection or
 * message takes five times as long, and the garbage collector's threads.
 */
export class BlockPool {
  /** How many bytes a block has. */
  readonly size: number;
  #free: Uint8Array[] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** A block with any content. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Takes a block back, once nothing reads or writes it any more. */
  giveBack(block: Uint8Array): void {
    if (this.#free.length < MOST_KEPT) this.#free.push(block);
  }
}
