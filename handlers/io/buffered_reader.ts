/**
 * Reads by lines, counts and delimiters.
 *
 * @module
 */

import { assertPositiveInteger, quote } from "../../workers/base/check.ts";
import { abort, pair, release } from "../_internal.ts";
import { concat, ReadBuffer } from "./_read_buffer.ts";
import { type PairedWriter, type ReaderSource, Receiver } from "./_receiver.ts";

export type { ReaderSource } from "./_receiver.ts";

const DEFAULT_BUFFER_SIZE = 16_384;
const DEFAULT_MAX_LINE_LENGTH = 65_536;
const NO_SOURCE: ReaderSource = { read: () => Promise.resolve(null) };
const END: IteratorResult<string> = { done: true, value: undefined };
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Options of `BufferedReader`. */
export interface BufferedReaderOptions {
  /**
   * Size of the buffer in bytes. It begins with 1,024, grows to this size while
   * reads fill it, and shrinks after a short read: an idle connection keeps
   * little memory. It grows beyond this size for a longer line.
   *
   * @default {16384}
   */
  bufferSize?: number;
  /**
   * Longest line in bytes without its end. A longer one throws a
   * `LineTooLongError`.
   *
   * @default {65536}
   */
  maxLineLength?: number;
  /**
   * Longest wait for the next bytes in milliseconds. `null` waits without
   * limit.
   *
   * @default {null}
   */
  timeout?: number | null;
}

/**
 * Reads from a connection by lines, counts and delimiters. Only one read may be
 * pending. `maxLineLength` bounds the memory, except for `readAll()`,
 * `readExact()` and `readText()`.
 *
 * @example A line, then the bytes that it announces
 * ```ts
 * import { BufferedReader } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const source = new Blob(["3\nabc"]).stream().getReader({ mode: "byob" });
 * const reader = new BufferedReader({
 *   async read(into) {
 *     const { value } = await source.read(new Uint8Array(into.length));
 *     if (!value?.length) return null;
 *     into.set(value);
 *     return value.length;
 *   },
 * });
 * const length = Number(await reader.readLine());
 * const body = await reader.readExact(length);
 * assertEquals(new TextDecoder().decode(body), "abc");
 * ```
 */
export class BufferedReader {
  #buffer: ReadBuffer;
  #receiver: Receiver;
  #bufferSize: number;

  /**
   * Constructs a reader.
   *
   * @param source Where the bytes come from.
   * @param options The buffer's size, the longest line and the time-out.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(source: ReaderSource, options: BufferedReaderOptions = {}) {
    const { bufferSize = DEFAULT_BUFFER_SIZE, timeout = null } = options;
    const { maxLineLength = DEFAULT_MAX_LINE_LENGTH } = options;
    assertPositiveInteger("bufferSize", bufferSize);
    assertPositiveInteger("maxLineLength", maxLineLength);
    const buffer = new ReadBuffer(bufferSize, maxLineLength);
    this.#buffer = buffer;
    this.#receiver = new Receiver(source, buffer, timeout);
    this.#bufferSize = bufferSize;
  }

  /**
   * Makes a reader over complete data, for example a packet.
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
   * @param bytes The data.
   * @param options The longest line.
   * @returns The reader.
   */
  static from(
    bytes: Uint8Array,
    options: BufferedReaderOptions = {},
  ): BufferedReader {
    const reader = new BufferedReader(NO_SOURCE, options);
    reader.#buffer.fill(bytes);
    return reader;
  }

  /**
   * Reads available bytes into a buffer. Waits if there are none. While the
   * server closes, don't reuse the buffer of a read that found the end: bytes
   * that come later may be written there.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new Uint8Array([1, 2, 3]));
   * const into = new Uint8Array(2);
   * assertEquals(await reader.read(into), 2);
   * assertEquals(into, new Uint8Array([1, 2]));
   * assertEquals(await reader.read(into), 1);
   * assertEquals(await reader.read(into), null);
   * ```
   *
   * @param into Where the bytes go.
   * @returns The number of bytes; `null` at the end.
   * @throws {TypeError} If `into` is no `Uint8Array`.
   * @throws {RequestTimeoutError} If no bytes came within the time-out.
   */
  read(into: Uint8Array): Promise<number | null>;
  /**
   * Reads available bytes. Waits if there are none.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new Uint8Array([1, 2, 3]));
   * assertEquals(await reader.read(), new Uint8Array([1, 2, 3]));
   * assertEquals(await reader.read(), null);
   * ```
   *
   * @returns The bytes; `null` at the end.
   * @throws {RequestTimeoutError} If no bytes came within the time-out.
   */
  read(): Promise<Uint8Array | null>;
  read(into?: Uint8Array): Promise<number | Uint8Array | null> {
    if (into === undefined) {
      return this.#receiver.take((buffer) => buffer.chunk(), null);
    }
    if (!(into instanceof Uint8Array)) {
      return refuse(
        new TypeError(
          `Cannot read into ${
            quote(into)
          }: expected a Uint8Array; for a number of bytes call readExact()`,
        ),
      );
    }
    if (into.length === 0) return Promise.resolve(0);
    return this.#buffer.isIdle
      ? this.#receiver.receive(into, true)
      : this.#receiver.take((buffer) => buffer.copy(into), null);
  }

  /**
   * Reads a line as UTF-8 text, without its `"\n"` or `"\r\n"`. The last line
   * needs no end.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new TextEncoder().encode("a\r\n\nb"));
   * assertEquals(await reader.readLine(), "a");
   * assertEquals(await reader.readLine(), "");
   * assertEquals(await reader.readLine(), "b");
   * assertEquals(await reader.readLine(), null);
   * ```
   *
   * @returns The line, or `null` at the end.
   * @throws {LineTooLongError} If it is longer than `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readLine(): Promise<string | null> {
    return this.#receiver.take(line, null);
  }

  /**
   * Reads a line as bytes, including its end.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(Uint8Array.of(255, 13, 10, 97));
   * assertEquals(await reader.readLineBytes(), Uint8Array.of(255, 13, 10));
   * ```
   *
   * @returns The bytes, or `null` at the end.
   * @throws {LineTooLongError} If it is longer than `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readLineBytes(): Promise<Uint8Array | null> {
    return this.#receiver.take((buffer) => buffer.lineBytes(), null);
  }

  /**
   * Reads up to a delimiter. The result includes it.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const text = "Host: a\r\n\r\nbody";
   * const reader = BufferedReader.from(new TextEncoder().encode(text));
   * const head = await reader.readUntil("\r\n\r\n");
   * assertEquals(new TextDecoder().decode(head), "Host: a\r\n\r\n");
   * ```
   *
   * @param delimiter The text or bytes to stop at.
   * @returns The bytes, including the delimiter.
   * @throws {TypeError} If the delimiter is neither a text nor bytes.
   * @throws {IncompleteReadError} If the data ends before the delimiter.
   * @throws {LineTooLongError} If the data before it is longer than
   * `maxLineLength`.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readUntil(delimiter: string | Uint8Array): Promise<Uint8Array> {
    const sought = typeof delimiter === "string"
      ? encoder.encode(delimiter)
      : delimiter;
    if (!(sought instanceof Uint8Array)) {
      return refuse(
        new TypeError(
          `Cannot read until ${
            quote(delimiter)
          }: expected a text or a Uint8Array`,
        ),
      );
    }
    if (sought.length === 0) {
      const why =
        "Cannot read until an empty delimiter: expected at least one byte";
      return refuse(new RangeError(why));
    }
    return this.#receiver.take((buffer) => buffer.until(sought));
  }

  /**
   * Reads an exact number of bytes.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(Uint8Array.of(2, 7, 8));
   * const [length] = await reader.readExact(1);
   * assertEquals(await reader.readExact(length!), Uint8Array.of(7, 8));
   * ```
   *
   * @param count The number of bytes.
   * @returns The bytes.
   * @throws {IncompleteReadError} If the data ends too early.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readExact(count: number): Promise<Uint8Array> {
    if (!isCount(count)) return refuse(wrongCount(count));
    return count < this.#bufferSize
      ? this.#receiver.take((buffer) => buffer.exactly(count))
      : this.#receiver.receiveAll(count);
  }

  /**
   * Reads an exact number of bytes as UTF-8 text. It costs much less than
   * decoding what `readExact()` returns. Of a character that the count splits,
   * each part becomes `"\uFFFD"`.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new TextEncoder().encode("4\nné!"));
   * const length = Number(await reader.readLine());
   * assertEquals(await reader.readText(length), "né!"); // 4 bytes
   * ```
   *
   * @param count The number of bytes, not of characters.
   * @returns The text.
   * @throws {IncompleteReadError} If the data ends too early.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readText(count: number): Promise<string> {
    if (!isCount(count)) return refuse(wrongCount(count));
    return count < this.#bufferSize
      ? this.#receiver.take((buffer) => buffer.text(count))
      : this.#receiver.receiveAll(count).then(decode);
  }

  /**
   * Reads a line as `readLine()` does if it has arrived. With many lines in one
   * read, this saves the `await` of each.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Upper extends StreamRequestHandler {
   *   override async handle() {
   *     const { rfile, wfile } = this;
   *     while (true) {
   *       const line = rfile.tryReadLine() ?? await rfile.readLine();
   *       if (line === null) break;
   *       wfile.write(`${line.toUpperCase()}\n`);
   *     }
   *   }
   * }
   *
   * await using client = connect(Upper);
   * await client.wfile.write("a\nb\n");
   * assertEquals(await client.rfile.readLine(), "A");
   * assertEquals(await client.rfile.readLine(), "B");
   * ```
   *
   * @returns The line; `null` at the end; `undefined` if `readLine()` would
   * have to wait.
   * @throws {LineTooLongError} If it is longer than `maxLineLength`.
   */
  tryReadLine(): string | null | undefined {
    return this.#receiver.mustWait ? undefined : this.#buffer.line();
  }

  /**
   * Reads text as `readText()` does if its bytes have arrived.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new TextEncoder().encode("one two"));
   * assertEquals(reader.tryReadText(4) ?? await reader.readText(4), "one ");
   * assertEquals(reader.tryReadText(3), "two");
   * ```
   *
   * @param count The number of bytes, not of characters.
   * @returns The text; `undefined` if `readText()` would have to wait.
   * @throws {IncompleteReadError} If the data ends too early.
   * @throws {RangeError} If `count` is no integer of 0 or more.
   */
  tryReadText(count: number): string | undefined {
    if (!isCount(count)) throw wrongCount(count);
    return this.#receiver.mustWait ? undefined : this.#buffer.text(count);
  }

  /**
   * Reads until the end. Memory grows with the data: use it for packets and
   * trusted clients only.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(Uint8Array.of(1, 2));
   * assertEquals(await reader.readAll(), Uint8Array.of(1, 2));
   * assertEquals(await reader.readAll(), new Uint8Array(0));
   * ```
   *
   * @returns The bytes.
   * @throws {RequestTimeoutError} If nothing came within the time-out.
   */
  readAll(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    return this.#receiver.take((buffer) => {
      const chunk = buffer.chunk();
      if (chunk) chunks.push(chunk);
      return buffer.ended ? concat(chunks) : undefined;
    });
  }

  /**
   * Iterates over the lines, as `readLine()` returns them.
   *
   * @example Usage
   * ```ts
   * import { BufferedReader } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const reader = BufferedReader.from(new TextEncoder().encode("one\ntwo\n"));
   * const lines: string[] = [];
   * for await (const line of reader) lines.push(line);
   * assertEquals(lines, ["one", "two"]);
   * ```
   *
   * @returns The iterator.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<string> {
    // Not a generator: its promises cost more than the parsing of a line
    return {
      next: () => this.#receiver.take(nextLine, END),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @ignore */
  [pair](writer: PairedWriter): void {
    this.#receiver.writer = writer;
  }

  /** @ignore */
  [abort](reason: unknown): void {
    this.#receiver.fail(reason);
  }

  /** @ignore */
  [release](): void {
    this.#receiver.release();
  }
}

// One function for all reads: a closure costs more than a short line
function line(buffer: ReadBuffer): string | null | undefined {
  return buffer.line();
}

function nextLine(buffer: ReadBuffer): IteratorResult<string> | undefined {
  return buffer.nextLine();
}

function isCount(count: number): boolean {
  return Number.isSafeInteger(count) && count >= 0;
}

function wrongCount(count: unknown): RangeError {
  return new RangeError(
    `Cannot read ${quote(count)} bytes: expected an integer of 0 or more`,
  );
}

function refuse(why: Error): Promise<never> {
  return Promise.reject(why);
}

function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
