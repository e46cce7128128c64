/**
 * Writes whole texts and bytes.
 *
 * @module
 */

import { assertInteger } from "../../workers/base/check.ts";
import { progressed } from "../../workers/base/progress.ts";
import { checkpoint, checkpointDue } from "../../workers/locks/_checkpoint.ts";
import {
  abort,
  crowded,
  finish,
  MAX_TIMEOUT_MS,
  release,
  room,
  sendHeld,
  takeReply,
} from "../_internal.ts";
import {
  checkData,
  endTurn,
  enlarge,
  NOWHERE,
  putText,
  sendAtTurnEnd,
  Sender,
  stillHolds,
  type WriterSink,
} from "./_sender.ts";

export type { WriterSink } from "./_sender.ts";

const EMPTY = new Uint8Array(0);
/** The engine keeps the parts of a text, 32 bytes each, until it is encoded. */
const MAX_PARTS = 256;
/** More queued bytes than this hold up the reader of the same connection. */
const MAX_QUEUED = 1_048_576;
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
  #sink: WriterSink;
  #timeout: number | null;
  /** Made when something is sent: many writers never send. */
  #sender: Sender | null = null;
  #bufferSize: number;
  #buffer: Uint8Array = EMPTY;
  #held = 0;
  /** Texts written after the buffered bytes, not encoded yet. */
  #text = "";
  #parts = 0;
  /** Whether the end of the turn sends the buffer, or it is a packet's reply. */
  #listed = false;
  /** Writes that wait for the client, in the order of their calls. */
  #queue: Promise<unknown> = NOTHING_QUEUED;
  #queued = 0;
  #queuedBytes = 0;
  #onRoom: PromiseWithResolvers<void> | null = null;

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
    if (timeout !== null) assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
    this.#bufferSize = bufferSize;
    this.#sink = sink;
    this.#timeout = timeout;
  }

  /**
   * The number of bytes that were written here and that the connection has not
   * taken yet. A server that sends to many clients can drop one that does not
   * read.
   *
   * @example Dropping a listener that does not read
   * ```ts
   * import { BufferedWriter } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const stuck = { write: () => new Promise<number>(() => {}) };
   * const writer = new BufferedWriter(stuck, { bufferSize: 16 });
   * writer.write("news ");
   * assertEquals(writer.bufferedBytes, 5);
   * writer.write("more than the buffer takes");
   * assertEquals(writer.bufferedBytes, 31);
   * ```
   *
   * @returns The number of bytes.
   */
  get bufferedBytes(): number {
    this.#encode();
    return this.#held + this.#queuedBytes + (this.#sender?.pendingBytes ?? 0);
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
   * @returns `data.length`: all of it is written. For a text this counts UTF-16
   * units, not the bytes sent, so don't use it as a `Content-Length`.
   * @throws {TypeError} At once, if `data` is neither a text nor a
   * `Uint8Array`: also a call that nobody awaits must not lose output.
   * @throws {RequestTimeoutError} If the client took no bytes within the
   * time-out.
   */
  write(data: string | Uint8Array): Promise<number> {
    progressed();
    checkData(data);
    const isFree = this.#queued === 0 && !this.#sender?.failure;
    if (isFree && this.#gather(data)) return Promise.resolve(data.length);
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    return harmless(this.#writeInOrder(bytes, data.length));
  }

  /**
   * Sends the buffer and waits until all earlier writes are sent. Few handlers
   * need it: `rfile` sends the buffer before it waits, and the end of the turn
   * of the event loop sends it as well.
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
    if (!this.#holdsAny) return;
    const sender = this.#openSender();
    if (sender.isBusy) sender.onIdle = this;
    else this.#sendBuffer(sender);
  }

  /** @ignore */
  get [crowded](): boolean {
    return this.#queuedBytes > MAX_QUEUED;
  }

  /** @ignore */
  [room](): Promise<void> {
    return (this.#onRoom ??= Promise.withResolvers()).promise;
  }

  /** @ignore */
  [stillHolds](): boolean {
    return this.#listed = this.#holdsAny;
  }

  /** @ignore */
  [endTurn](): void {
    this.#listed = false;
    this[sendHeld]();
  }

  /** @ignore */
  [finish](): Promise<void> | undefined {
    const sender = this.#sender;
    if (sender !== null && sender.failure !== null) {
      return sender.failure.reported
        ? undefined
        : Promise.reject(sender.tell());
    }
    const isIdle = !this.#holdsAny && !sender?.isBusy && this.#queued === 0;
    return isIdle ? undefined : this.#finish();
  }

  /** @ignore */
  [abort](reason: unknown): void {
    if (this.#sink !== NOWHERE) this.#openSender().fail(reason);
  }

  /** @ignore */
  [release](): void {
    this.#sender?.release();
  }

  /** @ignore */
  [takeReply](): Uint8Array | null {
    if (!this.#listed) return null;
    this.#encode();
    const reply = this.#buffer.subarray(0, this.#held);
    this.#buffer = EMPTY;
    this.#held = 0;
    this.#listed = false;
    return reply;
  }

  get #holdsAny(): boolean {
    return this.#held > 0 || this.#text !== "";
  }

  #openSender(): Sender {
    return this.#sender ??= new Sender(this.#sink, this.#timeout);
  }

  /** Holds data back, to be sent with later data; false without room for it. */
  #gather(data: string | Uint8Array): boolean {
    // An empty reply is an empty packet
    if (data.length === 0 && this.#sink !== NOWHERE) return true;
    const fits = typeof data === "string"
      ? this.#gatherText(data)
      : this.#gatherBytes(data);
    if (fits && !this.#listed) {
      this.#listed = true;
      if (this.#sink !== NOWHERE) sendAtTurnEnd(this);
    }
    return fits;
  }

  /** One call that encodes many texts takes a third of the time of many calls. */
  #gatherText(text: string): boolean {
    // Halves of a character from two writes must not join
    if (!text.isWellFormed()) return this.#gatherBytes(encoder.encode(text));
    const most = 3 * text.length;
    if (this.#held + 3 * this.#text.length + most >= this.#bufferSize) {
      this.#encode();
      if (this.#held + most >= this.#bufferSize) return false;
    }
    this.#text += text;
    if (++this.#parts === MAX_PARTS) this.#encode();
    return true;
  }

  #gatherBytes(bytes: Uint8Array): boolean {
    this.#encode();
    const end = this.#held + bytes.length;
    if (end >= this.#bufferSize) return false;
    this.#makeRoom(end);
    this.#buffer.set(bytes, this.#held);
    this.#held = end;
    return true;
  }

  #encode(): void {
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    this.#parts = 0;
    this.#makeRoom(this.#held + 3 * text.length);
    this.#held = putText(text, this.#buffer, this.#held);
  }

  #makeRoom(size: number): void {
    if (size <= this.#buffer.length) return;
    this.#buffer = enlarge(this.#buffer, this.#held, size);
  }

  #writeInOrder(bytes: Uint8Array, length: number): Promise<number> {
    const next = () => this.#writeNow(bytes, length);
    this.#queuedBytes += bytes.length;
    const written = this.#queued++ === 0 ? next() : this.#queue.then(next);
    this.#queue = written.catch(ignore);
    return written;
  }

  /** Writes data that does not fit in the buffer, after the buffered bytes. */
  async #writeNow(bytes: Uint8Array, length: number): Promise<number> {
    let isQueued = true;
    const leaveQueue = () => {
      if (!isQueued) return;
      isQueued = false;
      this.#queuedBytes -= bytes.length;
      if (this.#queuedBytes > MAX_QUEUED) return;
      this.#onRoom?.resolve();
      this.#onRoom = null;
    };
    try {
      this.#encode();
      if (this.#held + bytes.length >= this.#bufferSize) await this.#sendAll();
      // A loop of writes that the system takes at once never leaves the
      // microtasks
      if (checkpointDue()) await checkpoint();
      const sender = this.#openSender();
      sender.check();
      leaveQueue();
      if (!this.#gather(bytes)) {
        sender.send(bytes);
        await sender.settled();
        sender.check();
      }
      return length;
    } finally {
      leaveQueue();
      this.#queued--;
    }
  }

  async #flush(): Promise<void> {
    if (this.#queued > 0) await this.#queue;
    await this.#sendAll();
    this.#sender?.check();
  }

  async #finish(): Promise<void> {
    if (this.#queued > 0) await this.#queue;
    await this.#sendAll();
    if (this.#sender?.failure?.reported === false) throw this.#sender.tell();
  }

  /** Settles when all bytes are sent or sending has failed. */
  async #sendAll(): Promise<void> {
    if (!this.#holdsAny && this.#sender === null) return;
    if (this.#sink === NOWHERE) return;
    const sender = this.#openSender();
    while (sender.isBusy || this.#holdsAny) {
      if (!sender.isBusy) this.#sendBuffer(sender);
      await sender.settled();
    }
  }

  #sendBuffer(sender: Sender): void {
    this.#encode();
    const buffer = this.#buffer;
    const bytes = buffer.subarray(0, this.#held);
    this.#buffer = EMPTY;
    this.#held = 0;
    if (sender.failure === null) sender.send(bytes, buffer);
  }
}

/** Returns the promise; its rejection can't end the program. */
function harmless<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}
