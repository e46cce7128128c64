import { serialize } from "node:v8";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ByteWriter,
  decode,
  decodeInSlices,
  encode,
  encodeInto,
} from "../../workers/codec/codec.ts";
import { TRUSTED } from "../../workers/codec/decode.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { createRandom, describe, randomValue } from "./_values.ts";

const V8_TAG = 10;
const EMPTY_MODULE = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);

Deno.test("encode() and decode() give what structuredClone() gives, for 2,500 random values", () => {
  const random = createRandom(42);
  for (let round = 0; round < 2_500; round++) {
    const value = randomValue(random);
    assertEquals(
      describe(decode(encode(value))),
      describe(structuredClone(value)),
    );
  }
});

Deno.test("decodeInSlices() gives what decode() gives, however long it is", async () => {
  const random = createRandom(43);
  const text = "ä€😀x".repeat(2 ** 18);
  const values: unknown[] = [
    [text, new Uint8Array(3_000_000).map((_, index) => index), { text }],
    Array.from({ length: 300 }, () => randomValue(random)).filter((value) =>
      encode(value)[0] !== V8_TAG
    ),
    ...Array.from({ length: 300 }, () => randomValue(random)),
    [],
    {},
    "",
    new Uint8Array(),
  ];
  for (const value of values) {
    const bytes = encode(value);
    assertEquals(
      describe(await decodeInSlices(bytes, 0, bytes.length, TRUSTED)),
      describe(decode(bytes)),
    );
  }
});

Deno.test("decodeInSlices() lets the event loop turn", async () => {
  const bytes = encode(Array.from({ length: 400_000 }, () => ({})));
  let turns = 0;
  let isOver = false;
  (function turn() {
    turns++;
    if (!isOver) setImmediate(turn);
  })();
  const value = await decodeInSlices(bytes, 0, bytes.length, TRUSTED);
  isOver = true;
  assertEquals((value as unknown[]).length, 400_000);
  assert(turns > 3, `${turns} turns`);
});

Deno.test("decode() and decodeInSlices() refuse a value over a limit before it is made", async () => {
  const many = new Uint8Array(500_005).fill(0);
  for (let at = 0; at < many.length; at += 5) many[at] = 9; // an empty object
  many.set([8, 0xa0, 0x86, 1, 0]); // in an array of 100,000
  const limits = { values: 2 ** 17, v8: 1_000 };
  const claims = new Uint8Array([8, 255, 255, 255, 255]);
  const byV8 = encode(new Map([["x".repeat(1_000), 1]]));
  const parts = encode(Array.from({ length: 3_000 }, () => new Uint8Array()));
  for (const bytes of [many, claims, byV8, parts]) {
    assertThrows(() => decode(bytes, 0, bytes.length, limits), RangeError);
    await assertRejects(
      () => decodeInSlices(bytes, 0, bytes.length, limits),
      RangeError,
    );
  }
});

Deno.test("decode() makes no long text of an exception's short record", () => {
  const long = new Array(1_000).fill("x".repeat(1_000));
  for (
    const parts of [["name", long], [long, "text"], ["name", "text", long]]
  ) {
    const plain = new Uint8Array([11, ...encode(parts)]);
    const byV8 = new Uint8Array([12, ...serialize([parts, [parts]])]);
    for (const bytes of [plain, byV8]) {
      assertThrows(() => decode(bytes), TypeError, "make no sense");
    }
  }
});

Deno.test("encode() and decode() give an AbortError anywhere as structuredClone() does", () => {
  const { reason } = AbortSignal.abort();
  class Own extends DOMException {
    more = 1;
  }
  const ring: unknown[] = [reason];
  ring.push(ring, new Map([[reason, ring]]));
  const values: unknown[] = [
    reason,
    { error: reason },
    [reason, reason],
    new Error("caused", { cause: new TypeError("inner", { cause: reason }) }),
    Object.assign(new Error(), { cause: new Set([reason]), name: "TypeError" }),
    ring,
    new Own("own", "Name"),
    new DOMException("lone \ud800", "AbortError"),
    Object.create(DOMException.prototype),
    new QuotaExceededError("full", { quota: 3 }),
  ];
  for (const value of values) {
    const copy = decode(encode(value));
    assertEquals(describe(copy), describe(structuredClone(value)));
  }
  const copy = decode(encode(reason)) as DOMException;
  assert(copy instanceof DOMException && copy.code === 20);
});

Deno.test("encode() and decode() lose and add what structuredClone() does", () => {
  class Point {
    x = 1;
    #y = 2;
    get sum(): number {
      return this.x + this.#y;
    }
  }
  const bytes = new Uint8Array(8);
  const values: unknown[] = [
    new Point(),
    Object.assign(new RangeError("m"), { code: "X" }),
    Object.assign(new Error("m"), { name: "Own" }),
    new AggregateError([new Error("inner")], "outer"),
    Object.assign(/a/g, { lastIndex: 3 }),
    Object.assign(new Uint8Array(2), { more: 1 }),
    Object.create(null, { seen: { value: 1, enumerable: true } }),
    Object.create({ inherited: 1 }),
    Object.create(Uint8Array.prototype),
    {
      get computed() {
        return bytes;
      },
      bytes,
    },
    { [Symbol("dropped")]: 1, kept: 2 },
    { [Symbol.toStringTag]: "Blob", kept: 2 },
    new Event("kept as an empty object"),
    new SuppressedError(new Error("a"), new Error("b"), "suppressed"),
  ];
  for (const value of values) {
    assertEquals(
      describe(decode(encode(value))),
      describe(structuredClone(value)),
    );
  }
});

Deno.test("SharedQueue gives what structuredClone() gives, for 1,000 random values", () => {
  const random = createRandom(3);
  const queue = new SharedQueue<unknown>();
  for (let round = 0; round < 1_000; round++) {
    const value = randomValue(random);
    queue.putSync(value);
    assertEquals(describe(queue.getSync()), describe(structuredClone(value)));
  }
});

Deno.test("decode() gives memory that can be transferred", () => {
  const buffer = new ArrayBuffer(16);
  const views = [new Uint8Array(buffer), new Float64Array(buffer), buffer];
  for (const view of [...views, new DataView(buffer)]) {
    const copy = decode(encode([{ buffer, view }])) as [
      { buffer: ArrayBuffer },
    ];
    assertEquals(copy[0].buffer.byteLength, 16);
    structuredClone(copy, { transfer: [copy[0].buffer] });
    assertEquals(copy[0].buffer.byteLength, 0);
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
  const encoded = encode([new Uint8Array(10).fill(1)]);
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
    address: Object.assign(Object.create(null), { port: 1 }),
  };
  assert(encode(plain)[0] !== V8_TAG);
  assertEquals(encode(new Date(0))[0], V8_TAG);
});

Deno.test("encodeInto() refuses what can't be cloned or written, and leaves the writer as it was", async () => {
  const key = await crypto.subtle.generateKey("Ed25519", false, ["sign"]);
  const { port1, port2 } = new MessageChannel();
  const buffer = new ArrayBuffer(2);
  buffer.transfer();
  const writer = new ByteWriter(8);
  encodeInto(writer, "before");
  const { length } = writer;
  const refused = [
    () => {},
    Symbol("no"),
    { promise: Promise.resolve() },
    [1, new WeakMap()],
    new SharedArrayBuffer(1),
    new Uint8Array(new SharedArrayBuffer(1)),
    new WebAssembly.Module(EMPTY_MODULE),
    new Blob(["text"]),
    [new File([], "name"), new Date()],
    new Map([[1, key]]),
    new Error("caused", { cause: port1 }),
    new URL("http://localhost"),
    new ReadableStream(),
    buffer,
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
  port1.close();
  port2.close();
});

Deno.test("encodeInto() refuses a value that a getter of another one sends", () => {
  const writer = new ByteWriter(8);
  for (const more of [1, new Date(0)]) {
    const twice = {};
    const sending = {
      twice,
      get inner() {
        assertThrows(() => encodeInto(writer, "inner"), TypeError, "a getter");
        return "outer";
      },
      again: twice,
      more,
    };
    const start = writer.length;
    encodeInto(writer, sending);
    const copy = decode(writer.bytes, start, writer.length) as typeof sending;
    assertEquals([copy.inner, copy.more], ["outer", more]);
    assert(copy.twice === copy.again);
  }
});
