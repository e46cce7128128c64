/**
 * What is done to arguments, fields and results before and after they cross.
 *
 * @module
 */

/**
 * Makes a value ready to cross.
 *
 * @param value What is to cross.
 * @returns What can be cloned in its place.
 */
export function pack(value: unknown): unknown {
  return value;
}

/**
 * Restores a value that crossed.
 *
 * @param value What {@linkcode pack} returned, cloned.
 * @returns The value.
 */
export function unpack(value: unknown): unknown {
  return value;
}
