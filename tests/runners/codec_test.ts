import { assert, assertEquals, assertThrows } from "@std/assert";
import { ByteWriter } from "../../workers/codec/byte_writer.ts";
import { decode, encode, encodeInto } from "../../workers/codec/codec.ts";

const V8_TAG = 10;

/** A source of numbers that is the same in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

function randomValue(random: (below: number) => number, depth = 0): unknown {
  const texts = [
    "",
    "a",
    "ä",
    "€",
    "😀",
    "x".repeat(24),
    "y".repeat(25),
    "\ufeffb",
  ];
  switch (random(depth > 6 ? 9 : 11)) {
    case 0:
      return undefined;
    case 1:
      return null;
    case 2:
      return random(2) === 0;
    case 3:
      return random(2 ** 32) - 2 ** 31;
    case 4:
      return [0.5, -0, NaN, Infinity, 2 ** 31, -(2 ** 31), 1e300][random(7)];
    case 5:
      return texts[random(texts.length)]!.repeat(random(40));
    case 6:
      return new Uint8Array(random(50)).fill(random(256));
    case 7:
      return [1n, new Date(random(1e9)), new Map([[1, { a: 1 }]])][random(3)];
    case 8:
      return new Float64Array(random(4)).fill(0.25);
    case 9:
      return Array.from(
        { length: random(6) },
        () => randomValue(random, depth + 1),
      );
    default:
      return Object.fromEntries(Array.from(
        { length: random(6) },
        (_, index) => [`key ${index}`, randomValue(random, depth + 1)],
      ));
  }
}

Deno.test("encode() and decode() give what structuredClone() gives, for 3,000 random values", () => {
  const random = createRandom(42);
  for (let round = 0; round < 3_000; round++) {
    const value = randomValue(random);
    assertEquals(decode(encode(value)), structuredClone(value));
  }
});

Deno.test("encodeInto() puts values behind each other, and decode() reads each", () => {
  const writer = new ByteWriter(1);
  const values = [{ a: [1, "two"] }, new Map([[1, 2]]), new Uint8Array(300)];
  const ends = values.map((value) => {
    encodeInto(writer, value);
    return writer.length;
  });
  values.forEach((value, index) => {
    const start = ends[index - 1] ?? 0;
    assertEquals(decode(writer.bytes, start, ends[index]), value);
  });
});

Deno.test("decode() gives bytes that have a buffer of their own", () => {
  const source = new Uint8Array(100).fill(1);
  const encoded = encode([source.subarray(10, 20)]);
  const [bytes] = decode(encoded) as [Uint8Array];
  encoded.fill(9);
  assertEquals([bytes.byteOffset, bytes.buffer.byteLength], [0, 10]);
  assert(bytes.every((byte) => byte === 1));
});

Deno.test("encode() keeps that a value occurs twice, or in itself", () => {
  const shared = { name: "shared" };
  const [first, second] = decode(encode([shared, shared])) as object[];
  assert(first === second);
  const ring: Record<string, unknown> = {};
  ring["ring"] = { ring };
  const copy = decode(encode(ring)) as { ring: { ring: unknown } };
  assert(copy.ring.ring === copy);
});

Deno.test("encode() keeps holes, further properties, lone surrogates and odd keys", () => {
  const holes = [1, , 3];
  const copy = decode(encode(holes)) as number[];
  assertEquals([copy.length, 1 in copy], [3, false]);
  const odd = Object.assign([1], { more: 2 });
  assertEquals((decode(encode(odd)) as typeof odd).more, 2);
  assertEquals(decode(encode("a\ud800b")), "a\ud800b");
  const key = JSON.parse('{"__proto__": 1}');
  assertEquals(Object.keys(decode(encode(key)) as object), ["__proto__"]);
});

Deno.test("encode() writes plain values without the help of V8", () => {
  const plain = {
    id: 1,
    chunks: [[2, new Uint8Array(3)]],
    text: "ä",
    on: true,
  };
  assert(encode(plain)[0] !== V8_TAG);
  assertEquals(encode(new Date(0))[0], V8_TAG);
});

Deno.test("encodeInto() refuses what can't be cloned and leaves the writer as it was", () => {
  const writer = new ByteWriter(8);
  encodeInto(writer, "before");
  const { length } = writer;
  const refused = [
    () => {},
    Symbol("no"),
    { promise: Promise.resolve() },
    [1, new WeakMap()],
    new SharedArrayBuffer(1),
  ];
  for (const value of refused) {
    const error = assertThrows(() => encodeInto(writer, value), DOMException);
    assertEquals((error as DOMException).name, "DataCloneError");
    assertEquals(writer.length, length);
  }
  assertThrows(
    () =>
      encodeInto(writer, {
        get failing(): never {
          throw new RangeError("Thrown by a getter");
        },
      }),
    RangeError,
  );
  assertEquals(decode(writer.bytes, 0, writer.length), "before");
});
