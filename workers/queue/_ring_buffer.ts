const HEAD = 0;
const USED = 1;
const COUNT = 2;

/** How many words a ring needs beside its bytes. */
export const RING_WORDS = 3;

/** How many bytes an item takes beside its own. */
export const ITEM_OVERHEAD = 4;

/**
 * Items of bytes in a ring of shared memory, first in, first out. It is for
 * its owner to let in one at a time.
 */
export class RingBuffer {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /**
   * Makes a ring, or joins one.
   *
   * @param words The ring's words, at first all zero.
   * @param bytes Where its items are.
   */
  constructor(words: Int32Array, bytes: SharedArrayBuffer) {
    this.#words = words;
    this.#bytes = new Uint8Array(bytes);
  }

  /** How many items there are. */
  get count(): number {
    return Atomics.load(this.#words, COUNT);
  }

  /** How many bytes are free. */
  get room(): number {
    return this.#bytes.length - Atomics.load(this.#words, USED);
  }

  /** How many bytes there are in all. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /**
   * Adds an item.
   *
   * @param item Its bytes, after `ITEM_OVERHEAD` bytes that say their number.
   * @returns `false` if there is no room for it.
   */
  push(item: Uint8Array): boolean {
    if (item.length > this.room) return false;
    const words = this.#words;
    const used = Atomics.load(words, USED);
    const at = (Atomics.load(words, HEAD) + used) % this.capacity;
    const first = Math.min(item.length, this.capacity - at);
    this.#bytes.set(item.subarray(0, first), at);
    this.#bytes.set(item.subarray(first), 0);
    Atomics.store(words, USED, used + item.length);
    Atomics.add(words, COUNT, 1);
    return true;
  }

  /**
   * Takes the oldest item.
   *
   * @returns Its bytes, or `null` if there is none.
   */
  shift(): Uint8Array<ArrayBuffer> | null {
    if (this.count === 0) return null;
    const head = Atomics.load(this.#words, HEAD);
    const length = new DataView(this.#copy(head, ITEM_OVERHEAD).buffer)
      .getInt32(0, true);
    const item = this.#copy((head + ITEM_OVERHEAD) % this.capacity, length);
    const taken = ITEM_OVERHEAD + length;
    Atomics.store(this.#words, HEAD, (head + taken) % this.capacity);
    Atomics.sub(this.#words, USED, taken);
    Atomics.sub(this.#words, COUNT, 1);
    return item;
  }

  #copy(at: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length);
    const first = Math.min(length, this.capacity - at);
    copy.set(this.#bytes.subarray(at, at + first));
    if (first < length) {
      copy.set(this.#bytes.subarray(0, length - first), first);
    }
    return copy;
  }
}
