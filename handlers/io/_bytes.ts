/**
 * Searching bytes for bytes.
 *
 * @module
 */

const NEAR = 64;

/** Whether the bytes between `start` and `end` end in `sought`. */
export function endsWith(
  bytes: Uint8Array,
  start: number,
  end: number,
  sought: Uint8Array,
): boolean {
  const from = end - sought.length;
  return from >= start && indexOf(bytes, sought, from, end) === from;
}

/** The index of `sought` in `bytes` between `from` and `end`, or -1. */
export function indexOf(
  bytes: Uint8Array,
  sought: Uint8Array,
  from: number,
  end: number,
): number {
  if (sought.length === 1) {
    // A view costs more than to look at the bytes of a short line
    const near = Math.min(end, from + NEAR);
    for (let at = from; at < near; at++) {
      if (bytes[at] === sought[0]) return at;
    }
    from = near;
  }
  // The search of a view ends where the view does, that of an array at its end
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

/** Puts bytes together. */
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

/** Longer texts are encoded faster by the system. */
const MAX_SHORT_TEXT = 40;
const encoder = new TextEncoder();

/**
 * Puts a text into bytes with room for three for each of its characters, as
 * UTF-8; returns the index behind it.
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
