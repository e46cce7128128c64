/**
 * Reads values from bytes of another process, which may be malformed.
 *
 * @module
 */

import { restoreIn } from "./graph.ts";

/** The first byte of a value. */
export const TAGS = {
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
  exception: 11,
  v8Exceptions: 12,
} as const;

/** Deeper values go to V8, and so do rings, which have no end. */
export const MAX_DEPTH = 8;
/** Up to this length a loop beats `TextEncoder` and `TextDecoder`. */
export const SHORT_STRING = 24;

/**
 * The part of `node:v8` in use. `serialize()` is not, because it loses the
 * memory that views share.
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

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);

let v8Module: V8 | undefined;

/** An import would cost every thread and process 2 ms at its start. */
export function v8(): V8 {
  return v8Module ??= (globalThis as unknown as {
    process: { getBuiltinModule(id: string): unknown };
  }).process.getBuiltinModule("node:v8") as V8;
}

function readByV8(bytes: Uint8Array): unknown {
  const deserializer = new (v8().Deserializer)(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

/** The fields of a `DOMException`. */
export type ExceptionRecord = [
  name: string,
  message: string,
  stack: string | undefined,
];

function toException(record: unknown): DOMException {
  if (!Array.isArray(record)) refuse();
  const [name, message, stack] = record as ExceptionRecord;
  const exception = new DOMException(message, name);
  Object.defineProperty(exception, "stack", {
    value: stack,
    writable: true,
    configurable: true,
  });
  return exception;
}

/** Reads a value, and the records in it that stand for exceptions. */
function restoreExceptions(pair: unknown): unknown {
  const [value, records] = pair as [unknown, object[]];
  const exceptions = new Map<object, DOMException>();
  for (const record of records) exceptions.set(record, toException(record));
  return restoreIn(value, (member) => exceptions.get(member) ?? member);
}

function refuse(): never {
  throw new TypeError("Cannot read a message: its bytes make no sense");
}

/** Reads values that {@linkcode encodeInto} wrote, and refuses other bytes. */
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
      case TAGS.exception:
        return toException(this.value(depth));
      case TAGS.v8Exceptions:
        return restoreExceptions(
          readByV8(this.#take(this.#end - this.#offset)),
        );
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

  /** Advances the position; returns the old one. */
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
 * Reads a value from its bytes. The value does not refer to them.
 *
 * @param bytes The bytes of {@linkcode encodeInto}.
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
