/**
 * The source and the options of a reader.
 *
 * @module
 */

/** The source of a `BufferedReader`, for example a `Deno.Conn`. */
export interface ReaderSource {
  /**
   * Reads up to `into.length` bytes.
   *
   * @param into Where the bytes go.
   * @returns The number of bytes read, or `null` at the end.
   */
  read(into: Uint8Array): Promise<number | null>;
}

/** Options of `BufferedReader`. */
export interface BufferedReaderOptions {
  /**
   * Size of the buffer in bytes. The first reads take 1,024 bytes at most, so
   * that an idle connection keeps little memory. The buffer grows for a longer
   * line.
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
