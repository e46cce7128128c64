/**
 * The errors of reading from and writing to a client.
 *
 * @module
 */

import { SocketServerError } from "../workers/base/errors.ts";

/**
 * Thrown by a read or write that waits longer than the handler's `timeout`.
 * Also the reason of a request that exceeds `idleTimeout` or `requestTimeout`,
 * or falls below `minRate`.
 *
 * @example Usage
 * ```ts
 * import { RequestTimeoutError } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(new RequestTimeoutError("Too slow", 500).timeout, 500);
 * ```
 */
export class RequestTimeoutError extends SocketServerError {
  /** The name of the error's class. */
  override name = "RequestTimeoutError";
  /** The time limit in milliseconds. */
  readonly timeout: number;

  /**
   * Constructs an error about a time-out.
   *
   * @param message The operation that took too long.
   * @param timeout The time limit in milliseconds.
   */
  constructor(message: string, timeout: number) {
    super(message);
    this.timeout = timeout;
  }
}

/**
 * Thrown when a line, or the data before a delimiter, is longer than the
 * reader's `maxLineLength`. The rest of it is skipped: the next read begins
 * after it.
 *
 * @example Usage
 * ```ts
 * import { BufferedReader, LineTooLongError } from "@socketserver/socketserver";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("much too long\nok\n");
 * const reader = BufferedReader.from(bytes, { maxLineLength: 4 });
 * await assertRejects(() => reader.readLine(), LineTooLongError);
 * assertEquals(await reader.readLine(), "ok");
 * ```
 */
export class LineTooLongError extends SocketServerError {
  /** The name of the error's class. */
  override name = "LineTooLongError";
  /** The number of bytes allowed. */
  readonly maxLineLength: number;

  /**
   * Constructs an error about a line that is too long.
   *
   * @param maxLineLength The number of bytes allowed.
   */
  constructor(maxLineLength: number) {
    super(
      `Cannot read a line: it is longer than ${maxLineLength} bytes ("maxLineLength")`,
    );
    this.maxLineLength = maxLineLength;
  }
}

/**
 * Thrown when the client's data ends in the middle of a read.
 *
 * @example Usage
 * ```ts
 * import { BufferedReader, IncompleteReadError } from "@socketserver/socketserver";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const reader = BufferedReader.from(new Uint8Array([1, 2]));
 * const error = await assertRejects(() => reader.readExact(3), IncompleteReadError);
 * assertEquals(error.partial, new Uint8Array([1, 2]));
 * ```
 */
export class IncompleteReadError extends SocketServerError {
  /** The name of the error's class. */
  override name = "IncompleteReadError";
  /** The bytes before the end. */
  readonly partial: Uint8Array;

  /**
   * Constructs an error about data that ended too early.
   *
   * @param message The read that failed.
   * @param partial The bytes before the end.
   */
  constructor(message: string, partial: Uint8Array) {
    super(message);
    this.partial = partial;
  }
}
