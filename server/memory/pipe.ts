/**
 * One direction of a connection in memory.
 *
 * @module
 */

/** The faults of one direction. */
export interface PipeOptions {
  /** Most bytes that wait in it. */
  windowSize?: number | undefined;
  /** Most bytes that one read gets. */
  chunkSize?: number | undefined;
  /** A read ends before this byte. */
  splitAt?: number | undefined;
  /** The number of bytes read after which the connection is reset. */
  resetAt?: number | undefined;
}

const DEFAULT_WINDOW_SIZE = 65_536;

/** Bytes in transit. Both ends wait by `changed()` and check again. */
export class Pipe {
  /** Whether the reader has gone. */
  deaf = false;
  #windowSize: number;
  #chunkSize: number;
  #splitAt: number;
  #resetAt: number;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #taken = 0;
  #ended = false;
  #change: PromiseWithResolvers<void> | null = null;

  constructor(options: PipeOptions) {
    this.#windowSize = options.windowSize ?? DEFAULT_WINDOW_SIZE;
    this.#chunkSize = options.chunkSize ?? Infinity;
    this.#splitAt = options.splitAt ?? Infinity;
    this.#resetAt = options.resetAt ?? Infinity;
  }

  /** Whether as many bytes were read as end in a reset. */
  get isAtReset(): boolean {
    return this.#taken >= this.#resetAt;
  }

  /** Takes bytes; `null` at the end, `undefined` if there are none yet. */
  take(into: Uint8Array): number | null | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return this.#ended ? null : undefined;
    const untilSplit = this.#splitAt - this.#taken;
    const count = Math.min(
      into.length,
      chunk.length,
      this.#chunkSize,
      untilSplit > 0 ? untilSplit : Infinity,
      this.#resetAt - this.#taken,
    );
    into.set(chunk.subarray(0, count));
    if (count === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(count);
    this.#held -= count;
    this.#taken += count;
    this.wake();
    return count;
  }

  /** Adds as many bytes as there is room for. */
  put(bytes: Uint8Array): number {
    const room = this.#windowSize - this.#held;
    const count = Math.max(0, Math.min(bytes.length, room));
    if (count > 0) this.#chunks.push(bytes.slice(0, count));
    this.#held += count;
    this.wake();
    return count;
  }

  /** No more bytes will be put in. */
  end(): void {
    this.#ended = true;
    this.wake();
  }

  /** The reader has gone. */
  refuse(): void {
    this.deaf = true;
    this.#chunks = [];
    this.wake();
  }

  /** Settles when something has changed. */
  changed(): Promise<void> {
    return (this.#change ??= Promise.withResolvers()).promise;
  }

  /** Wakes both ends. */
  wake(): void {
    this.#change?.resolve();
    this.#change = null;
  }
}
