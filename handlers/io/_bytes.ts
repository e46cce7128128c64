/**
 * Searching bytes for bytes.
 *
 * @module
 */

/** Whether `bytes` end in `end`. */
export function endsWith(bytes: Uint8Array, end: Uint8Array): boolean {
  const from = bytes.length - end.length;
  return from >= 0 && indexOf(bytes, end, from, bytes.length) === from;
}

/** The index of `sought` in `bytes` between `from` and `end`, or -1. */
export function indexOf(
  bytes: Uint8Array,
  sought: Uint8Array,
  from: number,
  end: number,
): number {
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
