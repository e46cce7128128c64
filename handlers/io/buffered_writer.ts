/**
 * Writes whole texts and bytes.
 *
 * @module
 */

import { assertInteger } from "../../workers/base/check.ts";
import { checkpoint, checkpointDue } from "../../workers/locks/_checkpoint.ts";
import { abort, finish, release, sendHeld } from "../_internal.ts";
import { enlarge, putText } from "./_bytes.ts";
import {
  endTurn,
  sendAtTurnEnd,
  Sender,
  stillHolds,
  type WriterSink,
} from "./_sender.ts";

export type { WriterSink } from "./_sender.ts";

const EMPTY = new Uint8Array(0);
const NOTHING_QUEUED: Promise<unknown> = Promise.resolve();
const encoder = new TextEncoder();

/** Options of {@linkcode BufferedWriter}. */
export interface BufferedWriterOptions {
  /**
   * Size of the buffer in bytes; 0 sends every write at once.
   *
   * @default {0}
   */
  bufferSize?: number;
  /**
   * Longest wait for the client to take bytes in milliseconds. `null` waits
   * without limit.
   *
   * @default {null}
   */
  timeout?: number | null;
}

/**
 * Writes texts and bytes to a connection. Each write is whole, and writes go
 * out in the order of the calls, awaited or not.
 *
 * A buffer gathers writes. It is sent when it is full, at `flush()`, and at the
 * latest at the end of this turn of the event loop. A handler's `wfile` also
 * sends before `rfile` waits, and after `handle()`.
 *
 * @example Writes that travel together
 * ```ts
 * import { BufferedWriter } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const sent: string[] = [];
 * const sink = {
 *   write(bytes: Uint8Array) {
 *     sent.push(new TextDecoder().decode(bytes));
 *     return Promise.resolve(bytes.length);
 *   },
 * };
 * const writer = new BufferedWriter(sink, { bufferSize: 1_024 });
 * await writer.write("one ");
 * await writer.write("packet");
 * await writer.flush();
 * assertEquals(sent, ["one packet"]);
 * ```
 */
export class BufferedWriter {
  #sender: Sender;
  #bufferSize: number;
  #buffer: Uint8Array = EMPTY;
  #held = 0;
  /** Whether the end of the turn sends the buffer. */
  #listed = false;
  /** Writes that wait for the client, in the order of their calls. */
  #queue: Promise<unknown> = NOTHING_QUEUED;
  #queued = 0;

  /**
   * Constructs a writer.
   *
   * @param sink The receiver of the bytes.
   * @param options The buffer's size and the time-out.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(sink: WriterSink, options: BufferedWriterOptions = {}) {
    const { bufferSize = 0, timeout = null } = options;
    assertInteger("bufferSize", bufferSize, 0);
    this.#bufferSize = bufferSize;
    this.#sender = new Sender(sink, timeout);
  }

  /**
   * Writes all of `data`. The promise resolves at once while the buffer has
   * room, otherwise when the client has taken enough. Don't change the bytes
   * before that. If sending fails, the next write or `flush()` and all later
   * ones reject. You need not await the promise.
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
   *
   * @param data A text, sent as UTF-8, or bytes.
   * @returns The number of bytes written: all of them.
   * @throws {RequestTimeoutError} If the client took no bytes within the
   * time-out.
   */
  write(data: string | Uint8Array): Promise<number> {
    if (this.#queued === 0 && this.#sender.failure === null) {
      const count = this.#gather(data);
      if (count >= 0) return Promise.resolve(count);
    }
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    return harmless(this.#writeInOrder(bytes));
  }

  /**
   * Sends the buffer and waits until all earlier writes are sent.
   *
   * @example Usage
   * ```ts
   * import { BufferedWriter } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * let sent = 0;
   * const writer = new BufferedWriter({
   *   write: (bytes) => Promise.resolve(sent += bytes.length),
   * }, { bufferSize: 64 });
   * await writer.write("now");
   * assertEquals(sent, 0);
   * await writer.flush();
   * assertEquals(sent, 3);
   * ```
   *
   * @throws {RequestTimeoutError} If the client took no bytes within the
   * time-out.
   */
  flush(): Promise<void> {
    return harmless(this.#flush());
  }

  /** @ignore */
  [sendHeld](): void {
    if (this.#held === 0) return;
    if (this.#sender.isBusy) this.#sender.onIdle = this;
    else this.#sendBuffer();
  }

  /** @ignore */
  [stillHolds](): boolean {
    return this.#listed = this.#held > 0;
  }

  /** @ignore */
  [endTurn](): void {
    this.#listed = false;
    this[sendHeld]();
  }

  /** @ignore */
  [finish](): Promise<void> | undefined {
    const { failure, isBusy } = this.#sender;
    if (failure !== null) {
      return failure.told ? undefined : Promise.reject(this.#sender.tell());
    }
    const isIdle = this.#held === 0 && !isBusy && this.#queued === 0;
    return isIdle ? undefined : this.#finish();
  }

  /** @ignore */
  [abort](reason: unknown): void {
    this.#sender.fail(reason);
  }

  /** @ignore */
  [release](): void {
    this.#sender.release();
  }

  /** Puts data into the buffer; -1 if it does not fit. */
  #gather(data: string | Uint8Array): number {
    const isText = typeof data === "string";
    const most = isText ? data.length * 3 : data.length;
    if (most === 0) return 0;
    const start = this.#held;
    const end = start + most;
    if (end >= this.#bufferSize) return -1;
    if (end > this.#buffer.length) {
      this.#buffer = enlarge(this.#buffer, start, end);
    }
    if (isText) this.#held = putText(data, this.#buffer, start);
    else {
      this.#buffer.set(data, start);
      this.#held += most;
    }
    if (!this.#listed) {
      this.#listed = true;
      sendAtTurnEnd(this);
    }
    return this.#held - start;
  }

  #writeInOrder(bytes: Uint8Array): Promise<number> {
    const next = () => this.#writeNow(bytes);
    const written = this.#queued++ === 0 ? next() : this.#queue.then(next);
    this.#queue = written.catch(ignore);
    return written;
  }

  /** Writes data that does not fit in the buffer, after the buffered bytes. */
  async #writeNow(bytes: Uint8Array): Promise<number> {
    try {
      if (this.#held + bytes.length >= this.#bufferSize) await this.#sendAll();
      // A loop of writes that the system takes at once never leaves the
      // microtasks
      if (checkpointDue()) await checkpoint();
      this.#sender.check();
      if (this.#gather(bytes) < 0) {
        this.#sender.send(bytes);
        await this.#sender.settled();
        this.#sender.check();
      }
      return bytes.length;
    } finally {
      this.#queued--;
    }
  }

  async #flush(): Promise<void> {
    if (this.#queued > 0) await this.#queue;
    await this.#sendAll();
    this.#sender.check();
  }

  async #finish(): Promise<void> {
    if (this.#queued > 0) await this.#queue;
    await this.#sendAll();
    if (this.#sender.failure?.told === false) throw this.#sender.tell();
  }

  /** Settles when all bytes are sent or sending has failed. */
  async #sendAll(): Promise<void> {
    while (this.#sender.isBusy || this.#held > 0) {
      if (!this.#sender.isBusy) this.#sendBuffer();
      await this.#sender.settled();
    }
  }

  #sendBuffer(): void {
    const buffer = this.#buffer;
    const bytes = buffer.subarray(0, this.#held);
    this.#buffer = EMPTY;
    this.#held = 0;
    if (this.#sender.failure === null) this.#sender.send(bytes, buffer);
  }
}

/** Returns the promise; its rejection can't end the program. */
function harmless<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}
