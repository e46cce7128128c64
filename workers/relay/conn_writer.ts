/**
 * Writes to a connection, one after the other.
 *
 * @module
 */

import { BlockPool } from "./blocks.ts";
import { ByteQueue } from "./byte_queue.ts";

const blocks = new BlockPool(2_048);

/** What a {@linkcode ConnWriter} tells. */
export interface WriterHost {
  /** The system has taken so many bytes. */
  taken(count: number): void;
  /** Nothing more can be written. */
  lose(error: unknown): void;
  /** All is written, or nothing more can be. */
  advance(): void;
}

/** Writes all that it is given to a connection, in order. */
export class ConnWriter {
  #conn: Deno.Conn;
  #host: WriterHost;
  #waiting = new ByteQueue();
  #current: Uint8Array | null = null;
  #block: Uint8Array | null = null;
  #halfClosed = false;
  #isHalfClosing = false;

  constructor(conn: Deno.Conn, host: WriterHost) {
    this.#conn = conn;
    this.#host = host;
  }

  /** Whether there is nothing to be done. */
  get isIdle(): boolean {
    return this.#current === null && !this.#isHalfClosing;
  }

  /** Writes bytes, which lie in a message. */
  write(bytes: Uint8Array): void {
    if (this.#current !== null) this.#waiting.push(bytes);
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

  /** Lets go of what waits. */
  clear(): void {
    this.#waiting.clear();
  }

  // With callbacks, not an async function: it is done for each message
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
    this.#current = this.#waiting.shift();
    if (this.#current !== null) this.#begin(this.#current);
    else this.#host.advance();
  };

  #onFailed = (error: unknown): void => {
    this.#current = null;
    this.#host.lose(error);
    this.#host.advance();
  };

  /** The same bytes, in memory that holds little more than them. */
  #ownCopy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    // A slow client would hold all of a message for a small part of it
    if (length * 2 >= bytes.buffer.byteLength) return bytes;
    if (length > blocks.size) return bytes.slice();
    const block = this.#block = blocks.take();
    block.set(bytes);
    return block.subarray(0, length);
  }
}
