/**
 * How values are written as bytes between processes.
 *
 * What V8's structured clone can write crosses. Setting that up takes it 10 µs
 * and more a message, so what most messages are made of (plain objects and
 * arrays of numbers, strings and bytes) is written by hand in a tenth of that.
 *
 * @module
 */
import { ByteWriter } from "./byte_writer.ts";

/** The first byte of a value. */
const TAGS = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  int32: 4,
  float64: 5,
  string: 6,
  bytes: 7,
  array: 8,
  object: 9,
  v8: 10,
} as const;

/** Deeper values go to V8, and so do rings, which have no end. */
const MAX_DEPTH = 8;
/** Up to this length a loop beats `TextEncoder` and `TextDecoder`. */
const SHORT_STRING = 24;

/**
 * The part of `node:v8` that is used here: not `serialize()`, which writes
 * views of memory without the memory they share.
 */
interface V8 {
  Serializer: new () => {
    writeHeader(): void;
    writeValue(value: unknown): void;
    releaseBuffer(): Uint8Array;
  };
  Deserializer: new (bytes: Uint8Array) => {
    readHeader(): void;
    readValue(): unknown;
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);
/** What the value being written contains: twice means V8 must keep track. */
const seen = new Set<object>();

let v8Module: V8 | undefined;

/** An import would cost every thread and process 2 ms at its start. */
function v8(): V8 {
  return v8Module ??= (globalThis as unknown as {
    process: { getBuiltinModule(id: string): unknown };
  }).process.getBuiltinModule("node:v8") as V8;
}

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

/** Whether it is all of plain memory, which nothing else has been seen of. */
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
    writer.byte(TAGS.bytes);
    writer.int32(bytes.length);
    writer.raw(bytes);
    return true;
  }
  if (prototype === Array.prototype && Array.isArray(value)) {
    return Object.keys(value).length <= value.length &&
      writeArray(writer, value, depth + 1);
  }
  return prototype === Object.prototype &&
    Object.prototype.toString.call(value) === "[object Object]" &&
    writeObject(writer, value, depth + 1);
}

/** Writes a value; `false` leaves it to V8, with the writer in any state. */
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

function writeByV8(writer: ByteWriter, value: unknown): void {
  const serializer = new (v8().Serializer)();
  try {
    serializer.writeHeader();
    serializer.writeValue(value);
  } catch (error) {
    const { message } = Object(error) as Partial<Error>;
    // Others are thrown by the value's own getters
    if (!message?.endsWith("could not be cloned.")) throw error;
    throw new DOMException(message, "DataCloneError");
  }
  writer.byte(TAGS.v8);
  writer.raw(serializer.releaseBuffer());
}

function readByV8(bytes: Uint8Array): unknown {
  const deserializer = new (v8().Deserializer)(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

/**
 * Writes a value as bytes.
 *
 * @param writer Where they go.
 * @param value What is to cross.
 * @throws {DOMException} "DataCloneError", if the value can't cross; the
 * writer is then as it was.
 */
export function encodeInto(writer: ByteWriter, value: unknown): void {
  const start = writer.length;
  try {
    if (write(writer, value, 0)) return;
  } catch (error) {
    writer.length = start;
    throw error;
  } finally {
    if (seen.size > 0) seen.clear();
  }
  writer.length = start;
  writeByV8(writer, value);
}

/**
 * Writes a value as bytes of its own.
 *
 * @param value What is to cross.
 * @returns Its bytes.
 * @throws {DOMException} "DataCloneError", if the value can't cross.
 */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(256);
  encodeInto(writer, value);
  return writer.bytes.subarray(0, writer.length);
}

function refuse(): never {
  throw new TypeError("Cannot read a message: its bytes make no sense");
}

/** Reads what {@linkcode encodeInto} wrote, or refuses what anybody else did. */
class Reader {
  #bytes: Uint8Array<ArrayBuffer>;
  #offset: number;
  #end: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, start: number, end: number) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  value(depth = 0): unknown {
    switch (this.#bytes[this.#advance(1)]) {
      case TAGS.undefined:
        return undefined;
      case TAGS.null:
        return null;
      case TAGS.false:
        return false;
      case TAGS.true:
        return true;
      case TAGS.int32:
        return this.#int32();
      case TAGS.float64:
        float64Bytes.set(this.#take(8));
        return float64[0];
      case TAGS.string:
        return this.#string();
      case TAGS.bytes:
        return this.#take(this.#int32() >>> 0).slice();
      case TAGS.array:
        return this.#array(depth);
      case TAGS.object:
        return this.#object(depth);
      case TAGS.v8:
        return readByV8(this.#take(this.#end - this.#offset));
      default:
        return refuse();
    }
  }

  #int32(): number {
    const bytes = this.#bytes;
    const offset = this.#advance(4);
    return bytes[offset]! | bytes[offset + 1]! << 8 |
      bytes[offset + 2]! << 16 | bytes[offset + 3]! << 24;
  }

  /** Goes on, and tells where it was. */
  #advance(count: number): number {
    const start = this.#offset;
    if (count > this.#end - start) refuse();
    this.#offset = start + count;
    return start;
  }

  #take(count: number): Uint8Array<ArrayBuffer> {
    const start = this.#advance(count);
    return this.#bytes.subarray(start, this.#offset);
  }

  #string(): string {
    const length = this.#int32() >>> 0;
    if (length > SHORT_STRING) return decoder.decode(this.#take(length));
    const start = this.#advance(length);
    let text = "";
    for (let offset = start; offset < start + length; offset++) {
      const code = this.#bytes[offset]!;
      if (code > 0x7f) {
        return decoder.decode(this.#bytes.subarray(start, this.#offset));
      }
      text += String.fromCharCode(code);
    }
    return text;
  }

  #array(depth: number): unknown[] {
    if (depth >= MAX_DEPTH) refuse();
    const length = this.#int32() >>> 0;
    const array: unknown[] = [];
    for (let index = 0; index < length; index++) {
      array.push(this.value(depth + 1));
    }
    return array;
  }

  #object(depth: number): Record<string, unknown> {
    if (depth >= MAX_DEPTH) refuse();
    const count = this.#int32() >>> 0;
    const object: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const key = this.#string();
      if (key === "__proto__") refuse();
      object[key] = this.value(depth + 1);
    }
    return object;
  }
}

/**
 * Reads a value from its bytes; nothing of it goes on using them.
 *
 * @param bytes Where {@linkcode encodeInto} wrote.
 * @param start Where the value begins.
 * @param end Where it ends.
 * @returns The value.
 * @throws {TypeError} If the bytes make no sense.
 */
export function decode(
  bytes: Uint8Array<ArrayBuffer>,
  start = 0,
  end: number = bytes.length,
): unknown {
  return new Reader(bytes, start, end).value();
}
