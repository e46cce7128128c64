/** Random values of every type that a structured clone knows. */

/** A source of numbers below a limit that is the same in every run. */
export type Random = (below: number) => number;

/** Makes a source of numbers. */
export function createRandom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

const NUMBERS = [0.5, -0, NaN, Infinity, 2 ** 31, -(2 ** 31), 1e300];
const TEXTS = [
  "",
  "a",
  "ä",
  "€",
  "😀",
  "x".repeat(24),
  "y".repeat(25),
  "\ufeffb",
];
const ODD_TEXTS = ["\ud800", "\0", "__proto__", "constructor", "length"];
type View = new (
  buffer: ArrayBuffer,
  offset: number,
  length?: number,
) => ArrayBufferView;

const VIEW_TYPES: View[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float16Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];
const ERROR_TYPES = [
  Error,
  TypeError,
  RangeError,
  ReferenceError,
  SyntaxError,
  EvalError,
  URIError,
];

class Generator {
  #random: Random;
  /** What there is already, to be used again: shared, or in a ring. */
  #made: object[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  value(depth = 0): unknown {
    const random = this.#random;
    if (this.#made.length > 0 && random(12) === 0) {
      return this.#made[random(this.#made.length)];
    }
    switch (random(depth > 5 ? 6 : 14)) {
      case 0:
        return [undefined, null, true, false][random(4)];
      case 1:
        return random(2 ** 32) - 2 ** 31;
      case 2:
        return NUMBERS[random(NUMBERS.length)];
      case 3:
        return TEXTS[random(TEXTS.length)]!.repeat(random(40));
      case 4:
        return ODD_TEXTS[random(ODD_TEXTS.length)];
      case 5:
        return BigInt(random(2 ** 32)) ** BigInt(random(5));
      case 6:
        return this.#keep(new Uint8Array(random(50)).fill(random(256)));
      case 7:
        return this.#keep(this.#memory());
      case 8:
        return this.#keep(this.#box());
      case 9:
        return this.#error(depth);
      case 10:
        return this.#collection(depth);
      case 11:
      case 12:
        return this.#array(depth);
      default:
        return this.#object(depth);
    }
  }

  #keep<T extends object>(value: T): T {
    this.#made.push(value);
    return value;
  }

  #memory(): object {
    const random = this.#random;
    const length = 8 * random(5);
    const buffers = this.#made.filter((made) => made instanceof ArrayBuffer);
    const buffer = buffers.length > 0 && random(2) === 0
      ? buffers[random(buffers.length)]!
      : this.#keep(
        random(3) === 0
          ? new ArrayBuffer(length, { maxByteLength: length + random(64) })
          : new ArrayBuffer(length),
      );
    new Uint8Array(buffer).fill(random(256));
    const offset = 8 * random(buffer.byteLength / 8 + 1);
    const Type = VIEW_TYPES[random(VIEW_TYPES.length)]!;
    return random(2) === 0 && offset > 0
      ? new Type(buffer, 0, 1)
      : new Type(buffer, offset);
  }

  #box(): object {
    const boxes = [
      () => new Date(random(1e9)),
      () => new Date(NaN),
      () =>
        new RegExp(
          ["a", "\\/", "(b)|[^c]"][random(3)]!,
          ["", "gi", "su"][random(3)],
        ),
      () => Object(5),
      () => Object("text"),
      () => Object(random(2) === 0),
      () => Object(10n),
      () => Object.assign(/a/y, { lastIndex: random(5) }),
    ];
    const random = this.#random;
    return boxes[random(boxes.length)]!();
  }

  #error(depth: number): object {
    const random = this.#random;
    const Type = ERROR_TYPES[random(ERROR_TYPES.length)]!;
    const cause = random(2) === 0 ? this.value(depth + 1) : undefined;
    const errors = [
      () => new Type("alone"),
      () => new Type("caused", { cause }),
      () => new AggregateError([cause], "many", { cause }),
      () => new DOMException("aborted", TEXTS[random(3)]! + "Error"),
    ];
    return this.#keep(errors[random(errors.length)]!());
  }

  #collection(depth: number): object {
    const random = this.#random;
    const set: Set<unknown> = this.#keep(new Set());
    const map: Map<unknown, unknown> = this.#keep(new Map());
    for (let count = random(5); count > 0; count--) {
      set.add(this.value(depth + 1));
      map.set(this.value(depth + 1), this.value(depth + 1));
    }
    return random(2) === 0 ? set : map;
  }

  #array(depth: number): object {
    const random = this.#random;
    const array: unknown[] = this.#keep([]);
    const sparse = random(5) === 0;
    for (let count = random(6); count > 0; count--) {
      if (sparse && random(2) === 0) array.length++;
      else array.push(this.value(depth + 1));
    }
    if (random(8) === 0) Object.assign(array, { more: this.value(depth + 1) });
    return array;
  }

  #object(depth: number): object {
    const random = this.#random;
    const object = this.#keep({});
    for (let count = random(6); count > 0; count--) {
      const key = random(9) === 0
        ? ODD_TEXTS[random(ODD_TEXTS.length)]!
        : `key ${random(20)}`;
      Object.defineProperty(object, key, {
        value: this.value(depth + 1),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return object;
  }
}

/** Makes a random value. */
export function randomValue(random: Random): unknown {
  return new Generator(random).value();
}

/** What there is of a value beside its properties. */
function essence(value: object): unknown[] {
  const tag = Object.prototype.toString.call(value);
  if (value instanceof ArrayBuffer) {
    return [
      tag,
      value.resizable,
      value.maxByteLength,
      new Uint8Array(value).toHex(),
    ];
  }
  if (value instanceof DataView) {
    return [tag, value.byteOffset, value.byteLength, value.buffer];
  }
  if (ArrayBuffer.isView(value)) {
    const view = value as Uint8Array;
    return [view.constructor.name, view.byteOffset, view.length, view.buffer];
  }
  if (value instanceof Error) {
    const { name, message, stack } = value;
    const { code } = value as { code?: number };
    return [tag, name, message, stack, code, "cause" in value, value.cause];
  }
  if (value instanceof Map) return [tag, ...[...value].flat()];
  if (value instanceof Set) return [tag, ...value];
  if (value instanceof RegExp) return [tag, String(value), value.lastIndex];
  if (Array.isArray(value)) return [tag, value.length];
  return [tag, tag === "[object Object]" ? null : value.valueOf()];
}

function primitive(value: unknown): string {
  return Object.is(value, -0) ? "-0" : `${typeof value} ${String(value)}`;
}

/** Writes a value so that two are alike only if nothing tells them apart. */
export function describe(root: unknown): string {
  const ids = new Map<object, number>();
  const open: object[] = [];
  const describeOne = (value: unknown): string => {
    if (typeof value !== "object" || value === null) return primitive(value);
    let id = ids.get(value);
    if (id === undefined) {
      ids.set(value, id = ids.size);
      open.push(value);
    }
    return `#${id}`;
  };
  const lines = [describeOne(root)];
  for (let value; (value = open.shift()) !== undefined;) {
    const properties = ArrayBuffer.isView(value) || value instanceof Error
      ? []
      : Object.entries(value);
    lines.push([
      Object.getPrototypeOf(value)?.constructor.name,
      ...essence(value).map(describeOne),
      ...properties.map(([key, item]) =>
        `${JSON.stringify(key)}: ${describeOne(item)}`
      ),
    ].join(", "));
  }
  return lines.join("\n");
}
