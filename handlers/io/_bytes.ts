/**
 * Bytes: searched, joined and encoded, and the buffers of writers.
 *
 * @module
 */

import { quote } from "../../workers/base/check.ts";

const NEAR = 64;

/** Throws unless it can be written. */
export function checkData(data: unknown): void {
  if (typeof data === "string" || data instanceof Uint8Array) return;
  throw new TypeError(
    `Cannot write ${quote(data)}: expected a text or a Uint8Array`,
  );
}

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

/** The system encodes longer texts faster. */
const MAX_SHORT_TEXT = 40;
const encoder = new TextEncoder();

/**
 * Writes a text into bytes as UTF-8 and returns the index after it. There must
 * be room for three bytes per character.
 */
export function putText(text: string, into: Uint8Array, at: number): number {
  const { length } = text;
  if (length <= MAX_SHORT_TEXT) {
    let i = 0;
    for (let code; i < length; i++) {
      if ((code = text.charCodeAt(i)) > 127) break;
      into[at + i] = code;
    }
    if (i === length) return at + length;
  }
  const free = at === 0 ? into : into.subarray(at);
  return at + encoder.encodeInto(text, free).written;
}

/** Most answers are short, and a turn of the event loop may answer thousands. */
const SMALL_SIZE = 1_024;
const MAX_SMALL = 4_096;
const LARGE_SIZE = 16_384;
const MAX_LARGE = 64;
const small: Uint8Array[] = [];
const large: Uint8Array[] = [];

/** Takes a buffer of at least `size` bytes, with arbitrary content. */
function takeBuffer(size: number): Uint8Array {
  if (size <= SMALL_SIZE) return small.pop() ?? new Uint8Array(SMALL_SIZE);
  if (size > LARGE_SIZE) return new Uint8Array(size);
  return large.pop() ?? new Uint8Array(LARGE_SIZE);
}

/** Returns a buffer. Nothing else may refer to it. */
export function giveBack(buffer: Uint8Array): void {
  const { length } = buffer;
  if (length === SMALL_SIZE && small.length < MAX_SMALL) small.push(buffer);
  if (length === LARGE_SIZE && large.length < MAX_LARGE) large.push(buffer);
}

/** Moves the first `held` bytes of a buffer into one of at least `size`. */
export function enlarge(
  buffer: Uint8Array,
  held: number,
  size: number,
): Uint8Array {
  const larger = takeBuffer(Math.max(size, buffer.length * 2));
  if (held > 0) larger.set(buffer.subarray(0, held));
  giveBack(buffer);
  return larger;
}
