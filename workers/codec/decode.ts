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
/** The cost of an array or object, beside that of the values in it. */
export const OBJECT_COST = 8;
/** The cost of bytes and exceptions: they take half a KB even if they are empty. */
export const BYTES_COST = 64;
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

/** Reads an integer of 32 bits, the lowest first. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 |
    bytes[at + 3]! << 24;
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

const decoder = newDecoder();
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
  // A stack that is no text, however short, could become a text of any length
  const isStack = stack === undefined || typeof stack === "string";
  if (typeof name !== "string" || typeof message !== "string" || !isStack) {
    refuse();
  }
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

/** The most that a received value may cost to read and to keep. */
export interface DecodeLimits {
  /**
   * The number of values in arrays and objects. Each of these counts 8 more,
   * bytes and exceptions 64 more.
   */
  values: number;
  /** The bytes of what V8 reads, which can't be stopped. */
  v8: number;
}

/** For bytes of this program, or of one that may do what this one may. */
export const TRUSTED: DecodeLimits = { values: 2 ** 28, v8: 2 ** 30 };

function refuse(): never {
  throw new TypeError("Cannot read a message: its bytes make no sense");
}

/** Reads values that {@linkcode encodeInto} wrote, and refuses other bytes. */
class Reader {
  #bytes: Uint8Array<ArrayBuffer>;
  #offset: number;
  #end: number;
  /** How many values may still come. */
  #values: number;
  #v8: number;

  constructor(
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    limits: DecodeLimits,
  ) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
    this.#values = limits.values;
    this.#v8 = limits.v8;
  }

  /** The next byte, which tells what follows; `undefined` after the last. */
  get tag(): number | undefined {
    return this.#offset < this.#end ? this.#bytes[this.#offset] : undefined;
  }

  /** Reads a length. */
  length(): number {
    return this.#int32() >>> 0;
  }

  /** Reads how many members an array or object has, and counts its values. */
  members(depth: number, valuesEach: 1 | 2): number {
    if (depth >= MAX_DEPTH) refuse();
    const length = this.length();
    this.count(valuesEach * length);
    return length;
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
        float64Bytes.set(this.take(8));
        return float64[0];
      case TAGS.string:
        return this.string();
      case TAGS.bytes:
        this.count(BYTES_COST);
        return this.take(this.length()).slice();
      case TAGS.array:
        return this.#array(depth);
      case TAGS.object:
        return this.#object(depth);
      case TAGS.v8:
        return this.#byV8();
      case TAGS.exception:
        this.count(BYTES_COST);
        return toException(this.value(depth));
      case TAGS.v8Exceptions:
        return restoreExceptions(this.#byV8());
      default:
        return refuse();
    }
  }

  #int32(): number {
    return readInt32(this.#bytes, this.#advance(4));
  }

  /** Advances the position; returns the old one. */
  #advance(count: number): number {
    const start = this.#offset;
    if (count > this.#end - start) refuse();
    this.#offset = start + count;
    return start;
  }

  #byV8(): unknown {
    const size = this.#end - this.#offset;
    if (size > this.#v8) {
      throw new RangeError(
        `Cannot read a message: it has ${size} bytes with dates, maps or rings, and at most ${this.#v8} may come`,
      );
    }
    return readByV8(this.take(size));
  }

  /** Counts the values of an array or object before they are read. */
  count(values: number): void {
    this.#values -= OBJECT_COST + values;
    if (this.#values < 0) {
      throw new RangeError(
        "Cannot read a message: it has more values than its sender may send",
      );
    }
  }

  /** Memory for bytes that have surely come. */
  room(count: number): Uint8Array {
    if (count > this.#end - this.#offset) refuse();
    return new Uint8Array(count);
  }

  /** Takes bytes, which stay where they are. */
  take(count: number): Uint8Array<ArrayBuffer> {
    const start = this.#advance(count);
    return this.#bytes.subarray(start, this.#offset);
  }

  string(): string {
    const length = this.length();
    if (length > SHORT_STRING) return decoder.decode(this.take(length));
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

  /** Reads the name of a property. */
  key(): string {
    const key = this.string();
    if (key === "__proto__") refuse();
    return key;
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    for (let left = this.members(depth, 1); left > 0; left--) {
      array.push(this.value(depth + 1));
    }
    return array;
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    for (let left = this.members(depth, 2); left > 0; left--) {
      const key = this.key();
      object[key] = this.value(depth + 1);
    }
    return object;
  }
}

/** The number of bytes that a slice copies or decodes at once. */
const PIECE = 2 ** 20;
/** How many values a slice reads between two looks at the clock. */
const VALUES_A_LOOK = 512;
/** How long a slice may take, in milliseconds. */
const SLICE = 5;

/** A part of a value that is being read in slices. */
interface Part {
  value: unknown[] | Record<string, unknown> | Uint8Array | string;
  /** How much of it is still to be read: values, or bytes. */
  left: number;
  /** Its name in the part that contains it. */
  key: string;
  /** Reads its text, which may end within a character of a piece. */
  decoder: TextDecoder;
}

/** Reads a long value, a slice at a time. */
class SlicedReader {
  #reader: Reader;
  #open: Part[] = [];
  /** The value, when it has been read. */
  value: unknown;

  constructor(reader: Reader) {
    this.#reader = reader;
    this.#begin("");
  }

  /** Reads on; returns whether that was all. */
  read(until: number): boolean {
    for (;;) {
      for (let count = VALUES_A_LOOK; count > 0; count--) {
        const part = this.#open.at(-1);
        if (part === undefined) return true;
        if (part.left === 0) {
          this.#open.pop();
          this.#put(part.key, part.value);
        } else if (typeof part.value === "string") {
          count -= this.#piece(part, (bytes) => {
            const stream = part.left > 0;
            part.value += part.decoder.decode(bytes, { stream }) as never;
          });
        } else if (part.value instanceof Uint8Array) {
          const { value } = part;
          const at = value.length - part.left;
          count -= this.#piece(part, (bytes) => value.set(bytes, at));
        } else {
          part.left--;
          this.#begin(Array.isArray(part.value) ? "" : this.#reader.key());
        }
      }
      if (performance.now() >= until) return false;
    }
  }

  /** Begins with the next value: a part, or one that is read at once. */
  #begin(key: string): void {
    const reader = this.#reader;
    const { tag } = reader;
    const isArray = tag === TAGS.array;
    const isBytes = tag === TAGS.bytes;
    const isContainer = isArray || tag === TAGS.object;
    if (!isContainer && !isBytes && tag !== TAGS.string) {
      return this.#put(key, reader.value());
    }
    reader.take(1);
    const left = isContainer
      ? reader.members(this.#open.length, isArray ? 1 : 2)
      : reader.length();
    if (isBytes) reader.count(BYTES_COST);
    this.#open.push({
      value: isArray ? [] : isContainer ? {} : isBytes ? reader.room(left) : "",
      left,
      key,
      decoder: left > PIECE ? newDecoder() : decoder,
    });
  }

  /** Takes a piece of a text or of bytes; returns what it counts. */
  #piece(part: Part, take: (bytes: Uint8Array<ArrayBuffer>) => void): number {
    const size = Math.min(part.left, PIECE);
    part.left -= size;
    take(this.#reader.take(size));
    return Math.ceil(size / PIECE * VALUES_A_LOOK);
  }

  #put(key: string, value: unknown): void {
    const into = this.#open.at(-1)?.value;
    if (into === undefined) this.value = value;
    else if (Array.isArray(into)) into.push(value);
    else (into as Record<string, unknown>)[key] = value;
  }
}

/**
 * Reads a value from its bytes. The value does not refer to them.
 *
 * @param bytes The bytes of {@linkcode encodeInto}.
 * @param start Where the value begins.
 * @param end Where it ends.
 * @param limits The most that it may cost.
 * @returns The value.
 * @throws {TypeError} If the bytes make no sense.
 * @throws {RangeError} If it is over a limit.
 */
export function decode(
  bytes: Uint8Array<ArrayBuffer>,
  start = 0,
  end: number = bytes.length,
  limits: DecodeLimits = TRUSTED,
): unknown {
  return new Reader(bytes, start, end, limits).value();
}

/**
 * Reads a long value as `decode()` does, but lets the event loop turn.
 *
 * @param bytes The bytes, which must not change meanwhile.
 * @param start Where the value begins.
 * @param end Where it ends.
 * @param limits The most that it may cost.
 * @returns The value. Rejects as `decode()` throws.
 */
export async function decodeInSlices(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  limits: DecodeLimits,
): Promise<unknown> {
  const sliced = new SlicedReader(new Reader(bytes, start, end, limits));
  while (!sliced.read(performance.now() + SLICE)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sliced.value;
}
