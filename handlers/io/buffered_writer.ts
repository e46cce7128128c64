/**
 * Writing whole texts and bytes.
 *
 * @module
 */

import { assertInteger } from "../../workers/_validate.ts";
import { release } from "../_internal.ts";
import { IdleTimer, MAX_TIMEOUT_MS } from "./_idle_timer.ts";
import { RequestTimeoutError } from "../errors.ts";

const EMPTY = new Uint8Array(0);
/** Encoding a short text into bytes of its own takes seven times as long. */
const SCRATCH_SIZE = 1_024;
const encoder = new TextEncoder();

/** Where a {@linkcode BufferedWriter} puts its bytes, such as a `Deno.Conn`. */
export interface WriterSink {
  /**
   * Writes some of the bytes.
   *
   * @param bytes What to write.
   * @returns How many were written.
   */
  write(bytes: Uint8Array): Promise<number>;
}

/** Options of {@linkcode BufferedWriter}. */
export interface BufferedWriterOptions {
  /**
   * Size of the buffer in bytes; 0 sends every write at once.
   *
   * @default {0}
   */
  bufferSize?: number;
  /**
   * Longest wait in milliseconds for the client to take bytes; `null` waits
   * without limit.
   *
   * @default {null}
   */
  timeout?: number | null;
}

/**
 * Writes texts and bytes to a connection, always whole and in the order of the
 * calls, also where these don't wait for each other.
 *
 * @example Usage
 * ```ts
 * import { BufferedWriter } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const received: number[] = [];
 * const writer = new BufferedWriter({
 *   write(bytes) {
 *     received.push(bytes[0]!); // takes one byte at a time
 *     return Promise.resolve(1);
 *   },
 * });
 * assertEquals(await writer.write("AB"), 2);
 * assertEquals(received, [65, 66]);
 * ```
 */
export class BufferedWriter {
  #sink: WriterSink;
  #bufferSize: number;
  #buffer: Uint8Array = EMPTY;
  #scratch: Uint8Array = EMPTY;
  #held = 0;
  #queued = 0;
  #last: Promise<number> | null = null;
  #timer: IdleTimer | null = null;
  #failure: { error: unknown } | null = null;
  #giveUp: ((error: Error) => void) | null = null;

  /**
   * Constructs a writer.
   *
   * @param sink Where the bytes go.
   * @param options The buffer's size and the time-out.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(sink: WriterSink, options: BufferedWriterOptions = {}) {
    const { bufferSize = 0, timeout = null } = options;
    assertInteger("bufferSize", bufferSize, 0);
    this.#sink = sink;
    this.#bufferSize = bufferSize;
    if (timeout !== null) {
      assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
      this.#timer = new IdleTimer(timeout, () => this.#timeOut());
    }
  }

  /**
   * Writes all of `data`. Bytes must not be changed until the promise settles.
   * Once a write has failed, all later ones fail with its error.
   *
   * @param data A text, sent as UTF-8, or bytes.
   * @returns The number of bytes, always all of them.
   * @throws {RequestTimeoutError} If the client took nothing within the
   * time-out.
   */
  write(data: string | Uint8Array): Promise<number> {
    const bytes = typeof data === "string" ? this.#encode(data) : data;
    if (this.#bufferSize === 0) return this.#send(bytes);
    let flushed: Promise<number> | null = null;
    if (this.#held + bytes.length > this.#bufferSize) {
      flushed = this.#sendHeld();
    }
    if (bytes.length >= this.#bufferSize) return this.#send(bytes);
    if (this.#buffer.length === 0) {
      this.#buffer = new Uint8Array(this.#bufferSize);
    }
    this.#buffer.set(bytes, this.#held);
    this.#held += bytes.length;
    return flushed === null
      ? Promise.resolve(bytes.length)
      : flushed.then(() => bytes.length);
  }

  /**
   * Sends what the buffer holds and waits for all earlier writes.
   *
   * @throws {RequestTimeoutError} If the client took nothing within the
   * time-out.
   */
  async flush(): Promise<void> {
    if (this.#held > 0) await this.#sendHeld();
    else if (this.#last !== null) await this.#last;
  }

  /** @ignore */
  [release](): void {
    this.#timer?.stop();
  }

  /** Encodes into one reused buffer while nothing that is in it is being sent. */
  #encode(text: string): Uint8Array {
    if (this.#last !== null || text.length > SCRATCH_SIZE / 3) {
      return encoder.encode(text);
    }
    if (this.#scratch.length === 0) {
      this.#scratch = new Uint8Array(SCRATCH_SIZE);
    }
    const { written } = encoder.encodeInto(text, this.#scratch);
    return this.#scratch.subarray(0, written);
  }

  #sendHeld(): Promise<number> {
    const bytes = this.#buffer.slice(0, this.#held);
    this.#held = 0;
    return this.#send(bytes);
  }

  #send(bytes: Uint8Array): Promise<number> {
    this.#queued++;
    if (this.#last === null) return this.#last = this.#sendAll(bytes);
    const next = () => this.#sendAll(bytes);
    return this.#last = this.#last.then(next, next);
  }

  async #sendAll(bytes: Uint8Array): Promise<number> {
    try {
      // What follows bytes that were lost would be taken for something else
      if (this.#failure !== null) throw this.#failure.error;
      let sent = 0;
      while (sent < bytes.length) {
        const rest = sent === 0 ? bytes : bytes.subarray(sent);
        sent += await (this.#timer === null
          ? this.#sink.write(rest)
          : this.#writeInTime(rest));
      }
      return bytes.length;
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      if (--this.#queued === 0) this.#last = null;
    }
  }

  /**
   * One write that the time-out can end, though the sink's own can't be
   * cancelled: that is left pending until the connection is closed.
   */
  async #writeInTime(bytes: Uint8Array): Promise<number> {
    this.#timer!.begin();
    try {
      return await new Promise<number>((resolve, reject) => {
        this.#giveUp = reject;
        this.#sink.write(bytes).then(resolve, reject);
      });
    } finally {
      this.#timer!.end();
    }
  }

  #timeOut(): void {
    const { timeout } = this.#timer!;
    this.#giveUp?.(
      new RequestTimeoutError(
        `Cannot write: the client took nothing for ${timeout} ms`,
        timeout,
      ),
    );
  }
}
