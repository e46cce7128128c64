/**
 * How values are written as bytes between processes: by V8's structured clone,
 * and bytes alone as they are.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { deserialize, serialize } from "node:v8";

/**
 * Writes a value as bytes.
 *
 * @param value What is to cross.
 * @returns Its bytes.
 * @throws {DOMException} "DataCloneError", if the value can't cross.
 */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  try {
    return serialize(value) as Uint8Array<ArrayBuffer>;
  } catch (error) {
    throw new DOMException(
      error instanceof Error ? error.message : String(error),
      "DataCloneError",
    );
  }
}

/**
 * Reads a value from its bytes.
 *
 * @param bytes What {@linkcode encode} wrote. Views in the value may go on
 * using it.
 * @returns The value.
 */
export function decode(bytes: Uint8Array<ArrayBuffer>): unknown {
  return deserialize(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  );
}
