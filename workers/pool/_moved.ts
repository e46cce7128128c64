/**
 * Finds the parts of a result to transfer.
 *
 * @module
 */

import { isObject, objectsIn } from "../codec/graph.ts";

/** The classes that can be moved but not copied. */
const MOVABLE = [MessagePort, ReadableStream, WritableStream, TransformStream];

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
  if (!isObject(result)) return [];
  const isMoved = (value: object): boolean =>
    moved.includes(value) || MOVABLE.some((Class) => value instanceof Class);
  const found = new Set<object>();
  for (const value of objectsIn(result, isMoved)) {
    const whole = ArrayBuffer.isView(value) ? value.buffer : value;
    if (isMoved(whole)) found.add(whole);
  }
  return [...found] as Transferable[];
}
