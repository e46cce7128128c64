/**
 * What a reader reads from, and how.
 *
 * @module
 */

/** What a `BufferedReader` reads from, such as a `Deno.Conn`. */
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
   * Size of the buffer in bytes. It is made at the first buffered read, and
   * grows for a longer line.
   *
   * @default {16384}
   */
  bufferSize?: number;
  /**
   * Longest line in bytes, its end not counted; longer ones raise
   * `LineTooLongError`.
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
