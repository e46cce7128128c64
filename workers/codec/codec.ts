/**
 * Writes values as bytes for another process.
 *
 * Every value that V8's structured clone can write may cross. V8 needs at least
 * 10 µs per message, so plain objects and arrays of numbers, strings and bytes
 * are written here in a tenth of that.
 *
 * @module
 */

import {
  BYTES_COST,
  type ExceptionRecord,
  MAX_DEPTH,
  OBJECT_COST,
  SHORT_STRING,
  TAGS,
  v8,
} from "./decode.ts";
import { isException, isUnwritable, replaceIn } from "./graph.ts";
import type { RunnerKind } from "../runner/runner.ts";
export { decode, decodeInSlices } from "./decode.ts";

const encoder = new TextEncoder();
const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);
/** The objects of the current value: if one occurs twice, V8 must write it. */
const seen = new Set<object>();
/** What the current value costs its reader; see `DecodeLimits`. */
let cost = 0;
/** Whether a value is being written: its getters must not write another. */
let isWriting = false;

function writeNumber(writer: ByteWriter, value: number): void {
  if ((value | 0) === value && !Object.is(value, -0)) {
    writer.byte(TAGS.int32);
    writer.int32(value);
    return;
  }
  writer.byte(TAGS.float64);
  float64[0] = value;
  writer.raw(float64Bytes);
}

function writeString(writer: ByteWriter, value: string): boolean {
  const { length } = value;
  writer.reserve(4 + length * 3);
  const { bytes, length: start } = writer;
  const from = start + 4;
  if (length <= SHORT_STRING) {
    let index = 0;
    for (; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) break;
      bytes[from + index] = code;
    }
    if (index === length) {
      writer.setInt32(start, length);
      writer.length = from + length;
      return true;
    }
  }
  // UTF-8 has no half of a pair.
  if (!value.isWellFormed()) return false;
  const { written } = encoder.encodeInto(value, bytes.subarray(from));
  writer.setInt32(start, written);
  writer.length = from + written;
  return true;
}

function writeArray(
  writer: ByteWriter,
  value: unknown[],
  depth: number,
): boolean {
  const { length } = value;
  cost += OBJECT_COST + length;
  writer.byte(TAGS.array);
  writer.int32(length);
  for (let index = 0; index < length; index++) {
    const item = value[index];
    if (item === undefined && !(index in value)) return false;
    if (!write(writer, item, depth)) return false;
  }
  return true;
}

function writeObject(
  writer: ByteWriter,
  value: object,
  depth: number,
): boolean {
  const keys = Object.keys(value);
  cost += OBJECT_COST + 2 * keys.length;
  writer.byte(TAGS.object);
  writer.int32(keys.length);
  for (const key of keys) {
    if (key === "__proto__" || !writeString(writer, key)) return false;
    if (!write(writer, (value as Record<string, unknown>)[key], depth)) {
      return false;
    }
  }
  return true;
}

/** Whether it is the whole of unshared memory that occurs only once. */
function isWhole(bytes: Uint8Array): boolean {
  if (!ArrayBuffer.isView(bytes)) return false;
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && !seen.has(buffer) &&
    bytes.length === buffer.byteLength && !buffer.resizable && !buffer.detached;
}

function writeReference(
  writer: ByteWriter,
  value: object,
  depth: number,
): boolean {
  if (depth >= MAX_DEPTH || seen.has(value)) return false;
  seen.add(value);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype) {
    const bytes = value as Uint8Array;
    if (!isWhole(bytes)) return false;
    seen.add(bytes.buffer);
    cost += OBJECT_COST + BYTES_COST;
    writer.byte(TAGS.bytes);
    writer.int32(bytes.length);
    writer.raw(bytes);
    return true;
  }
  if (prototype === Array.prototype && Array.isArray(value)) {
    return Object.keys(value).length <= value.length &&
      writeArray(writer, value, depth + 1);
  }
  // Deno's own addresses have no prototype
  if (prototype === Object.prototype || prototype === null) {
    return Object.prototype.toString.call(value) === "[object Object]" &&
      writeObject(writer, value, depth + 1);
  }
  if (!isException(value)) return false;
  cost += OBJECT_COST + BYTES_COST;
  writer.byte(TAGS.exception);
  return writeArray(writer, recordOf(value), depth + 1);
}

/**
 * Writes a value. `false` leaves it to V8; the writer's state is then
 * undefined.
 */
function write(writer: ByteWriter, value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "undefined":
      writer.byte(TAGS.undefined);
      return true;
    case "boolean":
      writer.byte(value ? TAGS.true : TAGS.false);
      return true;
    case "number":
      writeNumber(writer, value);
      return true;
    case "string":
      writer.byte(TAGS.string);
      return writeString(writer, value);
    case "object":
      if (value !== null) return writeReference(writer, value, depth);
      writer.byte(TAGS.null);
      return true;
    default:
      return false;
  }
}

function recordOf({ name, message, stack }: DOMException): ExceptionRecord {
  // Its own properties may be anything
  const text = typeof stack === "string" ? stack : undefined;
  return [String(name), String(message), text];
}

function notCloneable(message: string): DOMException {
  return new DOMException(message, "DataCloneError");
}

function serialize(value: unknown): Uint8Array {
  const serializer = new (v8().Serializer)();
  try {
    serializer.writeHeader();
    serializer.writeValue(value);
  } catch (error) {
    const { message } = Object(error) as Partial<Error>;
    // Other errors come from the value's own getters
    throw message?.endsWith("could not be cloned.")
      ? notCloneable(message)
      : error;
  }
  return serializer.releaseBuffer();
}

/** Whether V8, which knows no objects of the platform, needs a record for it. */
function needsRecord(value: object): boolean {
  if (!isUnwritable(value)) return isException(value);
  throw notCloneable(`#<${value.constructor.name}> could not be cloned.`);
}

function writeByV8(writer: ByteWriter, value: unknown): void {
  const records: ExceptionRecord[] = [];
  const replaced = replaceIn(value, needsRecord, (exception) => {
    const record = recordOf(exception as DOMException);
    records.push(record);
    return record;
  });
  const tagged = records.length > 0;
  const bytes = serialize(tagged ? [replaced, records] : value);
  writer.byte(tagged ? TAGS.v8Exceptions : TAGS.v8);
  writer.raw(bytes);
}

/**
 * Writes a value as bytes.
 *
 * @param writer The receiver of the bytes.
 * @param value The value.
 * @param check Called unless the value is plain, and has nothing to refuse.
 * @returns What it costs its reader in values; 0 if V8 wrote it.
 * @throws {DOMException} "DataCloneError", if the value can't cross; the
 * writer is then as it was.
 * @throws {TypeError} If a getter of another value calls this.
 */
export function encodeInto(
  writer: ByteWriter,
  value: unknown,
  check?: (value: unknown) => void,
): number {
  if (isWriting) {
    throw new TypeError(
      "Cannot send a value: a getter of one that is being sent does so; " +
        "call it before, and send its result",
    );
  }
  const start = writer.length;
  cost = 0;
  isWriting = true;
  try {
    if (write(writer, value, 0)) return cost;
    writer.length = start;
    check?.(value);
    writeByV8(writer, value);
    return 0;
  } catch (error) {
    writer.length = start;
    throw error;
  } finally {
    isWriting = false;
    if (seen.size > 0) seen.clear();
  }
}

/**
 * Writes a value as new bytes.
 *
 * @param value The value.
 * @returns Its bytes.
 * @throws {DOMException} "DataCloneError", if the value can't cross.
 */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(256);
  encodeInto(writer, value);
  // A part of a larger buffer would cross by V8, and with all of it
  return writer.bytes.slice(0, writer.length);
}

/**
 * Throws if a packed value can't cross.
 *
 * @param kind The kind of the other runner; of this one for its result.
 * @param packed The value.
 * @throws {DOMException} "DataCloneError", or an error of the value's own.
 */
export function assertCrosses(kind: RunnerKind, packed: unknown): void {
  if (kind === "thread") structuredClone(packed);
  else encode(packed);
}

/** Bytes that grow at their end. */
export class ByteWriter {
  /** The memory. Bytes from `length` on are free. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The number of bytes. */
  length = 0;

  /** Constructs an empty writer of a capacity in bytes. */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** Makes room for a number of bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** Writes a byte. */
  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Writes an integer of 32 bits, the lowest first. */
  int32(value: number): void {
    this.reserve(4);
    this.setInt32(this.length, value);
    this.length += 4;
  }

  /** Changes an integer of 32 bits, with or without a sign. */
  setInt32(offset: number, value: number): void {
    const { bytes } = this;
    bytes[offset] = value & 0xff;
    bytes[offset + 1] = (value >>> 8) & 0xff;
    bytes[offset + 2] = (value >>> 16) & 0xff;
    bytes[offset + 3] = value >>> 24;
  }

  /** Writes bytes. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}
