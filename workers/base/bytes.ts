/**
 * A queue of bytes.
 *
 * @module
 */

const BLOCK = 16_384;

interface Block {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/**
 * A queue of bytes that needs little more memory than it has bytes. It copies
 * added bytes, because they are often a small part of a large message; small
 * parts share a block.
 */
export class ByteQueue {
  #blocks: Block[] = [];
  #length = 0;

  /** The number of bytes. */
  get length(): number {
    return this.#length;
  }

  /** Adds a copy of the bytes. */
  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    const last = this.#blocks.at(-1);
    const room = last === undefined ? 0 : last.bytes.length - last.end;
    if (room > 0) {
      const part = bytes.length > room ? bytes.subarray(0, room) : bytes;
      last!.bytes.set(part, last!.end);
      last!.end += part.length;
      if (part.length === bytes.length) return;
      bytes = bytes.subarray(room);
    }
    // A second part suggests that more will follow
    const size = last === undefined ? 0 : Math.min(BLOCK, this.#length * 2);
    const block = new Uint8Array(Math.max(bytes.length, size));
    block.set(bytes);
    this.#blocks.push({ bytes: block, start: 0, end: bytes.length });
  }

  /** Takes the first contiguous bytes. */
  shift(): Uint8Array | null {
    const block = this.#blocks.shift();
    if (block === undefined) return null;
    const { bytes, start, end } = block;
    this.#length -= end - start;
    return bytes.subarray(start, end);
  }

  /** Moves bytes into a buffer; returns their number. */
  read(into: Uint8Array): number {
    let count = 0;
    while (count < into.length && this.#blocks.length > 0) {
      const block = this.#blocks[0]!;
      const { bytes, start, end } = block;
      const length = Math.min(end - start, into.length - count);
      into.set(bytes.subarray(start, start + length), count);
      count += length;
      block.start += length;
      if (block.start === end) this.#blocks.shift();
    }
    this.#length -= count;
    return count;
  }

  /** Drops all bytes. */
  clear(): void {
    this.#blocks = [];
    this.#length = 0;
  }
}
