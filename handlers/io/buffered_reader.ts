/**
 * Reading by lines, by counts and by delimiters.
 *
 * @module
 */

import { IncompleteReadError, LineTooLongError } from "../errors.ts";
import { drain, release } from "../_internal.ts";
import { endsWith, indexOf } from "./_bytes.ts";
import { Receiver } from "./_receiver.ts";
import { assertPositiveInteger } from "../../workers/_validate.ts";

const NEWLINE = Uint8Array.of(10);
const CARRIAGE_RETURN = 13;
const DEFAULT_BUFFER_SIZE = 16_384;
const DEFAULT_MAX_LINE_LENGTH = 65_536;
const EMPTY = new Uint8Array(0);
const NO_SOURCE: ReaderSource = { read: () => Promise.resolve(null) };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a {@linkcode BufferedReader} reads from, such as a `Deno.Conn`. */
export interface ReaderSource {
  /**
   * Reads up to `into.length` bytes.
   *
   * @param into Where the bytes go.
   * @returns The number of bytes read, or `null` at the end.
   */
  read(into: Uint8Array): Promise<number | null>;
}

/** Options of {@linkcode BufferedReader}. */
export interface BufferedReaderOptions {
  /**
   * Size of the buffer in bytes. It is made at the first buffered read, and
   * grows for a longer line.
   *
   * @default {16384}
   */
  bufferSize?: number;
  /**
   * Longest line in bytes, its end not counted; longer ones raise
   * {@linkcode LineTooLongError}.
   *
   * @default {65536}
   */
  maxLineLength?: number;
  /**
   * Longest wait for the next bytes in milliseconds; `null` waits without
   * limit.
   *
   * @default {null}
   */
  timeout?: number | null;
}

/**
 * Reads from a connection by lines, by counts and by delimiters. One read at a
 * time; memory is bounded by `maxLineLength`, except in `readAll()` and
 * `readExact()`.
 *
 * @example Reading lines
 * ```ts
 * import { BufferedReader } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = BufferedReader.from(new TextEncoder().encode("one\r\ntwo\n"));
 * assertEquals(await reader.readLine(), "one");
 * assertEquals(await reader.readLine(), "two");
 * assertEquals(await reader.readLine(), null);
 * ```
 */
export class BufferedReader {
  #receiver: Receiver;
  #bufferSize: number;
  #maxLineLength: number;
  #buffer: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  #skip: Uint8Array | null = null;

  /**
   * Constructs a reader.
   *
   * @param source Where the bytes come from.
   * @param options The buffer's size, the longest line and the time-out.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(source: ReaderSource, options: BufferedReaderOptions = {}) {
    const {
      bufferSize = DEFAULT_BUFFER_SIZE,
      maxLineLength = DEFAULT_MAX_LINE_LENGTH,
      timeout = null,
    } = options;
    assertPositiveInteger("bufferSize", bufferSize);
    assertPositiveInteger("maxLineLength", maxLineLength);
    this.#receiver = new Receiver(source, timeout);
    this.#bufferSize = bufferSize;
    this.#maxLineLength = maxLineLength;
  }

  /**
   * Makes a reader over bytes that are all there, such as a packet's.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new Uint8Array([1, 2, 3]));
   * assertEquals(await reader.readExact(2), new Uint8Array([1, 2]));
   * ```
   *
   * @param bytes What to read.
   * @param options The longest line.
   * @returns The reader.
   */
  static from(
    bytes: Uint8Array,
    options: BufferedReaderOptions = {},
  ): BufferedReader {
    const reader = new BufferedReader(NO_SOURCE, options);
    reader.#buffer = bytes;
    reader.#end = bytes.length;
    reader.#receiver.end();
    return reader;
  }

  /**
   * Reads what is there next into a buffer; directly, where nothing was read
   * ahead.
   *
   * @param into Where the bytes go.
   * @returns The number of bytes; `null` at the end.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  read(into: Uint8Array): Promise<number | null>;
  /**
   * Reads what is there next, as bytes of its own.
   *
   * @returns The bytes; `null` at the end.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  read(): Promise<Uint8Array | null>;
  read(into?: Uint8Array): Promise<number | Uint8Array | null> {
    if (into === undefined) return this.#readChunk();
    if (this.#skip !== null) return this.#skipThenRead(into);
    if (this.#start < this.#end) return Promise.resolve(this.#take(into));
    return this.#receiver.receive(into, true);
  }

  /**
   * Reads a line as text: UTF-8, without its `"\n"` or `"\r\n"`. What comes
   * after the last line's end is a line as well.
   *
   * @returns The line, or `null` at the end.
   * @throws {LineTooLongError} If it is longer than `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  async readLine(): Promise<string | null> {
    const end = await this.#until(NEWLINE);
    if (end === this.#start) return null;
    let stop = end;
    if (this.#buffer[stop - 1] === NEWLINE[0]) {
      stop--;
      if (stop > this.#start && this.#buffer[stop - 1] === CARRIAGE_RETURN) {
        stop--;
      }
    }
    const line = decoder.decode(this.#buffer.subarray(this.#start, stop));
    this.#start = end;
    return line;
  }

  /**
   * Reads a line as it was received, its end included.
   *
   * @returns The bytes, or `null` at the end.
   * @throws {LineTooLongError} If it is longer than `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  async readLineBytes(): Promise<Uint8Array | null> {
    const end = await this.#until(NEWLINE);
    return end === this.#start ? null : this.#takeTo(end);
  }

  /**
   * Reads up to a delimiter, which is part of what is returned.
   *
   * @param delimiter The text or the bytes that end what is read.
   * @returns The bytes, the delimiter included.
   * @throws {IncompleteReadError} If the data ends before the delimiter.
   * @throws {LineTooLongError} If what comes before it is longer than
   * `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  async readUntil(delimiter: string | Uint8Array): Promise<Uint8Array> {
    const sought = typeof delimiter === "string"
      ? encoder.encode(delimiter)
      : delimiter;
    if (sought.length === 0) {
      throw new RangeError("Cannot read until an empty delimiter");
    }
    const end = await this.#until(sought);
    const bytes = this.#takeTo(end);
    if (!endsWith(bytes, sought)) {
      throw new IncompleteReadError(
        `Cannot read until the delimiter: the data ended after ${bytes.length} bytes`,
        bytes,
      );
    }
    return bytes;
  }

  /**
   * Reads an exact number of bytes.
   *
   * @param count How many.
   * @returns The bytes.
   * @throws {IncompleteReadError} If the data ends before.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  async readExact(count: number): Promise<Uint8Array> {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(
        `Cannot read ${count} bytes: expected an integer of 0 or more`,
      );
    }
    await this.#finishSkip();
    const bytes = new Uint8Array(count);
    let filled = this.#take(bytes);
    while (filled < count) {
      const rest = count - filled;
      if (rest >= this.#bufferSize) {
        const n = await this.#receiver.receive(
          bytes.subarray(filled),
          filled === 0,
        );
        if (n === null) break;
        filled += n;
      } else {
        if (!await this.#fill(filled === 0)) break;
        filled += this.#take(bytes.subarray(filled));
      }
    }
    if (filled === count) return bytes;
    throw new IncompleteReadError(
      `Cannot read ${count} bytes: the data ended after ${filled}`,
      bytes.slice(0, filled),
    );
  }

  /**
   * Reads all that comes until the end. Memory grows with it: for clients that
   * are trusted, or for packets.
   *
   * @returns The bytes.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  async readAll(): Promise<Uint8Array> {
    await this.#finishSkip();
    const chunks: Uint8Array[] = [];
    let length = 0;
    do {
      const chunk = this.#takeTo(this.#end);
      chunks.push(chunk);
      length += chunk.length;
    } while (await this.#fill(length === 0));
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    return bytes;
  }

  /**
   * Iterates over the lines, as `readLine()` gives them.
   *
   * @returns The iterator.
   */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<string> {
    for (let line; (line = await this.readLine()) !== null;) yield line;
  }

  /** @ignore */
  [drain](): void {
    this.#receiver.drain();
  }

  /** @ignore */
  [release](): void {
    this.#receiver.release();
  }

  /** Buffers up to a delimiter; returns the index behind it, or of the end. */
  async #until(delimiter: Uint8Array): Promise<number> {
    if (this.#skip !== null) await this.#finishSkip();
    for (let searched = 0;;) {
      const from = this.#start + searched;
      const at = indexOf(this.#buffer, delimiter, from, this.#end);
      const held = (at < 0 ? this.#end : at) - this.#start;
      if (held > this.#maxLineLength) this.#checkLength(delimiter, at);
      if (at >= 0) return at + delimiter.length;
      searched = Math.max(0, held - delimiter.length + 1);
      if (this.#receiver.ended) return this.#end;
      const count = await this.#receiver.receive(this.#space(), held === 0);
      if (count === null) return this.#end;
      this.#end += count;
    }
  }

  /**
   * Throws if what is held is too long: a part of the delimiter that has come,
   * and the "\r" of a line's end, don't count.
   */
  #checkLength(delimiter: Uint8Array, at: number): void {
    const end = at < 0 ? this.#end : at;
    const slack = delimiter === NEWLINE &&
        this.#buffer[end - 1] === CARRIAGE_RETURN
      ? 1
      : at < 0
      ? delimiter.length - 1
      : 0;
    if (end - this.#start <= this.#maxLineLength + slack) return;
    if (at < 0) this.#skip = delimiter;
    else this.#start = at + delimiter.length;
    throw new LineTooLongError(this.#maxLineLength);
  }

  /** Throws away what is left of a line that was too long. */
  async #finishSkip(): Promise<void> {
    while (this.#skip !== null) {
      const at = indexOf(this.#buffer, this.#skip, this.#start, this.#end);
      if (at >= 0) {
        this.#start = at + this.#skip.length;
        this.#skip = null;
        return;
      }
      this.#start = Math.max(this.#start, this.#end - this.#skip.length + 1);
      if (!await this.#fill(false)) {
        this.#start = this.#end;
        this.#skip = null;
      }
    }
  }

  async #skipThenRead(into: Uint8Array): Promise<number | null> {
    await this.#finishSkip();
    return await this.read(into);
  }

  async #readChunk(): Promise<Uint8Array | null> {
    await this.#finishSkip();
    if (this.#start === this.#end && !await this.#fill(true)) return null;
    return this.#takeTo(this.#end);
  }

  #take(into: Uint8Array): number {
    const count = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + count));
    this.#start += count;
    return count;
  }

  #takeTo(end: number): Uint8Array {
    const bytes = this.#buffer.slice(this.#start, end);
    this.#start = end;
    return bytes;
  }

  /** Reads more into the buffer; false at the end. */
  async #fill(idle: boolean): Promise<boolean> {
    if (this.#receiver.ended) return false;
    const count = await this.#receiver.receive(this.#space(), idle);
    if (count === null) return false;
    this.#end += count;
    return true;
  }

  /** The free end of the buffer. */
  #space(): Uint8Array {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end === this.#buffer.length) this.#makeRoom();
    // A buffer of one byte asks for no reading ahead, however long the line
    const stop = this.#bufferSize === 1 ? this.#end + 1 : this.#buffer.length;
    return this.#end === 0 && stop === this.#buffer.length
      ? this.#buffer
      : this.#buffer.subarray(this.#end, stop);
  }

  #makeRoom(): void {
    const held = this.#end - this.#start;
    if (held < this.#buffer.length / 2 && held > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const size = Math.max(this.#bufferSize, this.#buffer.length * 2);
      const larger = new Uint8Array(size);
      larger.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = larger;
    }
    this.#start = 0;
    this.#end = held;
  }
}
