/**
 * Writes to a connection, in order, what a runner sends.
 *
 * @module
 */

import { ByteQueue } from "../base/bytes.ts";

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

const blocks = new BlockPool(2_048);

/** The owner of a writer. */
export interface WriterHost {
  /** This number of bytes was written. */
  taken(count: number): void;
  /** Writing has failed. */
  lose(error: unknown): void;
  /** Everything is written. */
  advance(): void;
}

/** Writes all given bytes to a connection, in order. */
export class ConnWriter {
  #conn: Deno.Conn;
  #host: WriterHost;
  #waiting: ByteQueue | null = null;
  #current: Uint8Array | null = null;
  #block: Uint8Array | null = null;
  #halfClosed = false;
  #isHalfClosing = false;

  constructor(conn: Deno.Conn, host: WriterHost) {
    this.#conn = conn;
    this.#host = host;
  }

  /** Whether it is idle. */
  get isIdle(): boolean {
    return this.#current === null && !this.#isHalfClosing;
  }

  /** Writes bytes of a message. */
  write(bytes: Uint8Array): void {
    if (this.#current !== null) (this.#waiting ??= new ByteQueue()).push(bytes);
    else this.#begin(this.#ownCopy(bytes));
  }

  /** Ends this direction; call it when idle. */
  closeWrite(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    this.#isHalfClosing = true;
    this.#conn.closeWrite().catch((error) => this.#host.lose(error)).then(
      () => {
        this.#isHalfClosing = false;
        this.#host.advance();
      },
    );
  }

  /** Drops the waiting bytes. */
  clear(): void {
    this.#waiting = null;
  }

  // With callbacks, not an async function: it runs for each message
  #begin(bytes: Uint8Array): void {
    this.#current = bytes;
    this.#conn.write(bytes).then(this.#onWritten, this.#onFailed);
  }

  #onWritten = (count: number): void => {
    const bytes = this.#current!;
    this.#host.taken(count);
    if (count < bytes.length) return this.#begin(bytes.subarray(count));
    if (this.#block !== null) blocks.giveBack(this.#block);
    this.#block = null;
    this.#current = this.#waiting?.shift() ?? null;
    if (this.#current !== null) this.#begin(this.#current);
    else this.#host.advance();
  };

  #onFailed = (error: unknown): void => {
    this.#current = null;
    this.#host.lose(error);
    this.#host.advance();
  };

  /** The same bytes, in memory of about their size. */
  #ownCopy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    // For a slow client, a small part would keep the whole message in memory
    if (length * 2 >= bytes.buffer.byteLength) return bytes;
    if (length > blocks.size) return bytes.slice();
    const block = this.#block = blocks.take();
    block.set(bytes);
    return block.subarray(0, length);
  }
}
