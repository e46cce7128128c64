/**
 * Finds the parts of a result to transfer.
 *
 * @module
 */

/** The classes that can be moved but not copied. */
const MOVABLE = [MessagePort, ReadableStream, WritableStream, TransformStream];

/** The members of an object. */
function members(value: object): Iterable<unknown> {
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  if (value instanceof Set) return value;
  if (ArrayBuffer.isView(value)) return [value.buffer];
  return Object.values(value);
}

/**
 * Finds the parts of a result to move back: those that came by transfer, and
 * those that can't be copied.
 *
 * @param result The result.
 * @param moved The objects that came by transfer.
 * @returns Those that are in the result.
 */
export function movedIn(result: unknown, moved: unknown[]): Transferable[] {
  if (moved.includes(result)) return [result as Transferable];
  const found: unknown[] = [];
  const seen = new Set([result]);
  // Iterating a set includes values added meanwhile.
  for (const value of seen) {
    if (typeof value !== "object" || value === null) continue;
    if (
      moved.includes(value) || MOVABLE.some((Class) => value instanceof Class)
    ) found.push(value);
    else for (const member of members(value)) seen.add(member);
  }
  return found as Transferable[];
}
