/**
 * One direction of a connection in memory.
 *
 * @module
 */

/** The faults of one direction. */
export interface PipeOptions {
  /** Most bytes that wait in it. */
  windowSize: number;
  /** Most bytes that one read gets. */
  chunkSize: number;
  /** A read ends before this byte. */
  splitAt: number;
  /** The number of bytes read after which the connection is reset. */
  resetAt: number;
}

/** Bytes in transit. Both ends wait by `changed()` and check again. */
export class Pipe {
  /** Whether the reader has gone. */
  deaf = false;
  #options: PipeOptions;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #taken = 0;
  #ended = false;
  #change: PromiseWithResolvers<void> | null = null;

  constructor(options: PipeOptions) {
    this.#options = options;
  }

  /** Whether as many bytes were read as end in a reset. */
  get isAtReset(): boolean {
    return this.#taken >= this.#options.resetAt;
  }

  /** Takes bytes; `null` at the end, `undefined` if there are none yet. */
  take(into: Uint8Array): number | null | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return this.#ended ? null : undefined;
    const { chunkSize, splitAt, resetAt } = this.#options;
    const untilSplit = this.#taken < splitAt ? splitAt - this.#taken : Infinity;
    const count = Math.min(
      into.length,
      chunk.length,
      chunkSize,
      untilSplit,
      resetAt - this.#taken,
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
    const room = this.#options.windowSize - this.#held;
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
