/**
 * Finds the parts of a result to transfer.
 *
 * @module
 */

/** What can be moved but not copied. */
const MOVABLE = [MessagePort, ReadableStream, WritableStream, TransformStream];

/** What may be in a value. */
function members(value: object): Iterable<unknown> {
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  if (value instanceof Set) return value;
  if (ArrayBuffer.isView(value)) return [value.buffer];
  return Object.values(value);
}

/**
 * Finds what of a result moves back: what came by transfer, and what can't be
 * copied.
 *
 * @param result The result.
 * @param moved What came by transfer.
 * @returns What of that is in the result.
 */
export function movedIn(result: unknown, moved: unknown[]): Transferable[] {
  if (moved.includes(result)) return [result as Transferable];
  const found: unknown[] = [];
  const seen = new Set([result]);
  // A set yields what is added to it meanwhile.
  for (const value of seen) {
    if (typeof value !== "object" || value === null) continue;
    if (
      moved.includes(value) || MOVABLE.some((Class) => value instanceof Class)
    ) found.push(value);
    else for (const member of members(value)) seen.add(member);
  }
  return found as Transferable[];
}
