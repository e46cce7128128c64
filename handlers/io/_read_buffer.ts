/**
 * The bytes that were read ahead, and the parsing of lines in them.
 *
 * @module
 */

import { IncompleteReadError, LineTooLongError } from "../errors.ts";

const NEWLINE = Uint8Array.of(10);
const CARRIAGE_RETURN = 13;
/** A line that the handler keeps may keep as much text alive. */
const LOOK_AHEAD = 1_024;
const EMPTY = new Uint8Array(0);
/** The first buffer: an idle connection keeps it. */
const FIRST_SIZE = 1_024;
/** After a read this short, a larger buffer is given up. */
const LITTLE = FIRST_SIZE / 2;
const GROWTH = 4;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A buffer of bytes: filled at one end, read at the other. A read returns
 * `undefined` while it needs more bytes.
 */
export class ReadBuffer {
  /** Whether nothing more will come. */
  ended = false;
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  #size: number;
  #maxLineLength: number;
  /** The end of a line that was too long; the bytes before it are skipped. */
  #skip: Uint8Array | null = null;
  /** The number of buffered bytes already searched for this delimiter. */
  #searched = 0;
  #sought: Uint8Array = EMPTY;
  /** Decoded in advance: the bytes from `#textAt`, a character each. */
  #text = "";
  #textAt = 0;
  #lookAhead = LOOK_AHEAD;

  constructor(size: number, maxLineLength: number) {
    this.#size = size;
    this.#maxLineLength = maxLineLength;
  }

  /** Whether the buffer is empty and nothing is being skipped. */
  get isIdle(): boolean {
    return this.#start === this.#end && this.#skip === null;
  }

  /** Fills the buffer with complete data. */
  fill(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.ended = true;
  }

  /** The free end of the buffer. */
  space(): Uint8Array {
    if (this.#start === this.#end) {
      const { length } = this.#bytes;
      const filled = this.#end;
      this.#start = this.#end = 0;
      this.#forgetText();
      // A read that filled it may have left more behind
      if (filled === length && length < this.#size) this.#makeRoom();
      else if (filled <= LITTLE && length > FIRST_SIZE) this.#bytes = EMPTY;
    }
    if (this.#end === this.#bytes.length) this.#makeRoom();
    // A buffer of one byte means no reading ahead, even for a long line
    const stop = this.#size === 1 ? this.#end + 1 : this.#bytes.length;
    return this.#end === 0 && stop === this.#bytes.length
      ? this.#bytes
      : this.#bytes.subarray(this.#end, stop);
  }

  /** Reports the number of bytes put into the space. */
  add(count: number): void {
    this.#end += count;
  }

  /** A line as text; `null` at the end. */
  line(): string | null | undefined {
    return this.#decodedLine() ?? this.#encodedLine();
  }

  /** A line within the text that was decoded in advance. */
  #decodedLine(): string | undefined {
    const text = this.#text;
    const at = this.#start - this.#textAt;
    if (at < 0 || at >= text.length || this.#skip !== null) return undefined;
    const end = text.indexOf("\n", at);
    if (end < 0 || end - at > this.#maxLineLength) return undefined;
    this.#moveTo(this.#textAt + end + 1);
    const hasReturn = end > at && text.charCodeAt(end - 1) === CARRIAGE_RETURN;
    return text.substring(at, hasReturn ? end - 1 : end);
  }

  #encodedLine(): string | null | undefined {
    const end = this.#until(NEWLINE);
    if (end < 0) return undefined;
    const start = this.#start;
    if (end === start) return null;
    let stop = end;
    if (this.#bytes[stop - 1] === NEWLINE[0]) {
      stop--;
      if (stop > start && this.#bytes[stop - 1] === CARRIAGE_RETURN) stop--;
    }
    this.#moveTo(end);
    return this.#decode(start, stop);
  }

  /** A line as text, for an iterator. */
  nextLine(): IteratorResult<string> | undefined {
    const value = this.line();
    if (value === undefined) return undefined;
    return value === null
      ? { done: true, value: undefined }
      : { done: false, value };
  }

  /** A line with its end; `null` at the end. */
  lineBytes(): Uint8Array | null | undefined {
    const end = this.#until(NEWLINE);
    if (end < 0) return undefined;
    return end === this.#start ? null : this.#takeTo(end);
  }

  /** The bytes up to and including a delimiter. */
  until(delimiter: Uint8Array): Uint8Array | undefined {
    const end = this.#until(delimiter);
    if (end < 0) return undefined;
    const found = endsWith(this.#bytes, this.#start, end, delimiter);
    const bytes = this.#takeTo(end);
    if (found) return bytes;
    throw new IncompleteReadError(
      `Cannot read until the delimiter: the data ended after ${bytes.length} bytes`,
      bytes,
    );
  }

  /** An exact number of bytes. */
  exactly(count: number): Uint8Array | undefined {
    return this.#has(count) ? this.#takeTo(this.#start + count) : undefined;
  }

  /** An exact number of bytes as text. */
  text(count: number): string | undefined {
    if (!this.#has(count)) return undefined;
    const start = this.#start;
    this.#moveTo(start + count);
    return this.#decode(start, start + count);
  }

  /** Whether `count` bytes are there; throws if they never will be. */
  #has(count: number): boolean {
    if (!this.#finishSkip()) return false;
    if (this.#start + count <= this.#end) return true;
    if (!this.ended) return false;
    throw incomplete(count, this.#takeTo(this.#end));
  }

  /** All buffered bytes; `null` at the end. */
  chunk(): Uint8Array | null | undefined {
    if (!this.#finishSkip()) return undefined;
    if (this.#start < this.#end) return this.#takeTo(this.#end);
    return this.ended ? null : undefined;
  }

  /** Copies as many buffered bytes as fit; `null` at the end. */
  copy(into: Uint8Array): number | null | undefined {
    if (!this.#finishSkip()) return undefined;
    const count = Math.min(into.length, this.#end - this.#start);
    if (count === 0) return this.ended ? null : undefined;
    into.set(this.#bytes.subarray(this.#start, this.#start + count));
    this.#moveTo(this.#start + count);
    return count;
  }

  /** Decodes bytes that end at or before the buffer's start. */
  #decode(start: number, stop: number): string {
    const at = start - this.#textAt;
    if (at >= 0 && at + stop - start <= this.#text.length) {
      return this.#text.substring(at, at + stop - start);
    }
    const end = Math.min(start + this.#lookAhead, this.#end);
    if (end > this.#start) {
      // A call takes longer than a short line: one for many
      const text = decoder.decode(this.#bytes.subarray(start, end));
      if (text.length === end - start) {
        this.#text = text;
        this.#textAt = start;
        return text.substring(0, stop - start);
      }
      this.#lookAhead = 0; // the index of a byte is not that of a character
    }
    return decoder.decode(this.#bytes.subarray(start, stop));
  }

  /** The bytes are about to move. */
  #forgetText(): void {
    this.#text = "";
    this.#lookAhead = LOOK_AHEAD;
  }

  #moveTo(start: number): void {
    this.#start = start;
    this.#searched = 0;
  }

  #takeTo(end: number): Uint8Array {
    // Takes half the time of slice(), which clears the memory first
    const bytes = new Uint8Array(this.#bytes.subarray(this.#start, end));
    this.#moveTo(end);
    return bytes;
  }

  /**
   * The index after a delimiter, or of the end; -1 if more bytes are needed.
   */
  #until(delimiter: Uint8Array): number {
    if (this.#skip !== null && !this.#finishSkip()) return -1;
    if (delimiter !== this.#sought) this.#searched = 0;
    this.#sought = delimiter;
    const from = this.#start + this.#searched;
    const at = indexOf(this.#bytes, delimiter, from, this.#end);
    const held = (at < 0 ? this.#end : at) - this.#start;
    if (held > this.#maxLineLength) this.#checkLength(delimiter, at);
    if (at >= 0) return at + delimiter.length;
    if (this.ended) return this.#end;
    this.#searched = Math.max(0, held - delimiter.length + 1);
    return -1;
  }

  /**
   * Throws if the buffered line is too long. A partial delimiter and the "\r"
   * of a line's end don't count.
   */
  #checkLength(delimiter: Uint8Array, at: number): void {
    const end = at < 0 ? this.#end : at;
    const slack = delimiter === NEWLINE &&
        this.#bytes[end - 1] === CARRIAGE_RETURN
      ? 1
      : at < 0
      ? delimiter.length - 1
      : 0;
    if (end - this.#start <= this.#maxLineLength + slack) return;
    if (at < 0) this.#skip = delimiter;
    else this.#moveTo(at + delimiter.length);
    throw new LineTooLongError(this.#maxLineLength);
  }

  /** Skips the rest of a line that was too long; true when done. */
  #finishSkip(): boolean {
    const skip = this.#skip;
    if (skip === null) return true;
    const at = indexOf(this.#bytes, skip, this.#start, this.#end);
    if (at < 0 && !this.ended) {
      this.#moveTo(Math.max(this.#start, this.#end - skip.length + 1));
      return false;
    }
    this.#moveTo(at < 0 ? this.#end : at + skip.length);
    this.#skip = null;
    return true;
  }

  #makeRoom(): void {
    this.#forgetText();
    const held = this.#end - this.#start;
    if (held < this.#bytes.length / 2 && held > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    } else {
      const size = this.#nextSize();
      const larger = new Uint8Array(size);
      larger.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = larger;
    }
    this.#start = 0;
    this.#end = held;
  }

  #nextSize(): number {
    const { length } = this.#bytes;
    if (length === 0) return Math.min(this.#size, FIRST_SIZE);
    return length < this.#size
      ? Math.min(this.#size, GROWTH * length)
      : 2 * length;
  }
}

/** The error for data that ended before `count` bytes. */
export function incomplete(count: number, bytes: Uint8Array): Error {
  return new IncompleteReadError(
    `Cannot read ${count} bytes: the data ended after ${bytes.length}`,
    bytes,
  );
}

const NEAR = 64;

/** Whether the bytes from `start` to `end` end with `sought`. */
export function endsWith(
  bytes: Uint8Array,
  start: number,
  end: number,
  sought: Uint8Array,
): boolean {
  const from = end - sought.length;
  return from >= start && indexOf(bytes, sought, from, end) === from;
}

/** The index of `sought` in `bytes` from `from` to `end`, or -1. */
export function indexOf(
  bytes: Uint8Array,
  sought: Uint8Array,
  from: number,
  end: number,
): number {
  if (sought.length === 1) {
    // For a short line a view costs more than a loop
    const near = Math.min(end, from + NEAR);
    for (let at = from; at < near; at++) {
      if (bytes[at] === sought[0]) return at;
    }
    if (near === end) return -1;
    from = near;
  }
  // A view limits the search to `end`
  const within = bytes.subarray(from, end);
  const last = within.length - sought.length;
  for (let at = 0; at <= last; at++) {
    at = within.indexOf(sought[0]!, at);
    if (at < 0 || at > last) return -1;
    let matched = 1;
    while (
      matched < sought.length && within[at + matched] === sought[matched]
    ) {
      matched++;
    }
    if (matched === sought.length) return from + at;
  }
  return -1;
}

/** Joins chunks of bytes. */
export function concat(chunks: Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
