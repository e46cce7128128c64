import {
  assertEquals,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BufferedReader,
  IncompleteReadError,
  LineTooLongError,
  RequestTimeoutError,
} from "../../mod.ts";
import { release } from "../../handlers/_internal.ts";
import { ChunkySource, forSeeds, ManualSource } from "./_sources.ts";

const encoder = new TextEncoder();

function over(text: string, maxLineLength = 100): BufferedReader {
  return BufferedReader.from(encoder.encode(text), { maxLineLength });
}

Deno.test("BufferedReader iterates over lines of either end, the last without one too", async () => {
  const lines = await Array.fromAsync(over("a\r\n\nb\rc\nlast"));
  assertEquals(lines, ["a", "", "b\rc", "last"]);
});

Deno.test("BufferedReader.readLine() decodes UTF-8 across chunks and replaces what is none", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source);
  const line = reader.readLine();
  const bytes = encoder.encode("\ufeffgrüße €\n");
  for (const byte of bytes) {
    source.push("");
    void byte;
  }
  source.push("\ufeffgrüße €\n");
  assertEquals(await line, "\ufeffgrüße €");
  const odd = BufferedReader.from(new Uint8Array([0xff, 97, 10]));
  assertEquals(await odd.readLine(), "\ufffda");
});

Deno.test("BufferedReader.readLine() keeps a character whole wherever a kilobyte ends in it", async () => {
  for (let before = 1_020; before <= 1_025; before++) {
    const lines = ["short", "x".repeat(before - 6), "é€😀", "end"];
    const reader = over(`${lines.join("\n")}\n`, 2_000);
    assertEquals(await Array.fromAsync(reader), lines);
  }
});

Deno.test("BufferedReader: a line of maxLineLength passes, one byte more does not", async () => {
  for (const end of ["\n", "\r\n", ""]) {
    assertEquals(await over(`12345${end}`, 5).readLine(), "12345");
    const error = await assertRejects(
      () => over(`123456${end}`, 5).readLine(),
      LineTooLongError,
    );
    assertEquals(error.maxLineLength, 5);
  }
});

Deno.test("BufferedReader goes on behind a line that was too long", async () => {
  const reader = over("123456\nok\nmuch, much too long;next;", 5);
  await assertRejects(() => reader.readLine(), LineTooLongError);
  assertEquals(await reader.readLine(), "ok");
  await assertRejects(() => reader.readUntil(";"), LineTooLongError);
  assertEquals(await reader.readUntil(";"), encoder.encode("next;"));
});

Deno.test("BufferedReader holds little of an endless line", async () => {
  let left = 512;
  let largest = 0;
  const reader = new BufferedReader({
    read(into) {
      largest = Math.max(largest, into.buffer.byteLength);
      if (--left < 0) {
        into.set(encoder.encode("\nok\n"));
        return Promise.resolve(left < -1 ? null : 4);
      }
      into.fill(120);
      return Promise.resolve(into.length);
    },
  }, { maxLineLength: 65_536 });
  await assertRejects(() => reader.readLine(), LineTooLongError);
  assertEquals(await reader.readLine(), "ok");
  assertLessOrEqual(largest, 4 * 65_536);
});

Deno.test("BufferedReader tells what had come before the data ended", async () => {
  const exact = await assertRejects(
    () => over("abc").readExact(4),
    IncompleteReadError,
  );
  assertEquals(exact.partial, encoder.encode("abc"));
  const until = await assertRejects(
    () => over("abc").readUntil(";"),
    IncompleteReadError,
  );
  assertEquals(until.partial, encoder.encode("abc"));
});

Deno.test("BufferedReader refuses counts, delimiters and options that can't work", async () => {
  for (const count of [-1, 1.5, NaN, Infinity]) {
    await assertRejects(() => over("abc").readExact(count), RangeError);
  }
  await assertRejects(() => over("abc").readUntil(""), RangeError);
  const source = new ManualSource();
  for (
    const options of [
      { bufferSize: 0 },
      { maxLineLength: 0 },
      { timeout: 0 },
      { timeout: -1 },
      { timeout: 2 ** 31 },
    ]
  ) {
    assertThrows(() => new BufferedReader(source, options), RangeError);
  }
});

Deno.test("BufferedReader refuses a second read at a time, and the first goes on", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source);
  const line = reader.readLine();
  await Promise.resolve();
  await assertRejects(() => reader.readLine(), TypeError, "another read");
  await assertRejects(() => reader.read(), TypeError, "another read");
  source.push("first\n");
  assertEquals(await line, "first");
});

Deno.test("BufferedReader.readExact() of more than the buffer holds keeps other reads out until it has all", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source, { bufferSize: 4 });
  source.push("a\nbc");
  assertEquals(await reader.readLine(), "a");
  const exact = reader.readExact(9); // takes "bc" at once, and waits
  await assertRejects(() => reader.readLine(), TypeError, "another read");
  for (const text of ["def", "ghi"]) {
    source.push(text);
    for (let turn = 0; turn < 9; turn++) {
      await assertRejects(() => reader.read(), TypeError, "another read");
      assertEquals(reader.tryReadLine(), undefined);
    }
  }
  source.push("j");
  assertEquals(await exact, encoder.encode("bcdefghij"));
  source.push("k\n");
  assertEquals(await reader.readLine(), "k");
});

Deno.test("BufferedReader rejects, and does not throw, a count for which there is no memory", async () => {
  for (const method of ["readExact", "readText"] as const) {
    const promise = over("abc")[method](Number.MAX_SAFE_INTEGER);
    await assertRejects(() => promise, RangeError);
  }
});

Deno.test("BufferedReader.read(into) reads straight into it, and reads ahead never", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source);
  source.push("abc");
  const into = new Uint8Array(10);
  assertEquals(await reader.read(into), 3);
  assertEquals(into.subarray(0, 3), encoder.encode("abc"));
  assertEquals(source.reads, 1);
});

Deno.test("BufferedReader asks its source no more after the end", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source);
  source.push(null);
  assertEquals(await reader.read(), null);
  assertEquals(await reader.readLine(), null);
  assertEquals(await reader.readAll(), new Uint8Array(0));
  assertEquals(source.reads, 1);
});

Deno.test("BufferedReader passes errors of its source on", async () => {
  const reader = new BufferedReader({
    read: () => Promise.reject(new Deno.errors.ConnectionReset("gone")),
  });
  await assertRejects(() => reader.readLine(), Deno.errors.ConnectionReset);
});

Deno.test("BufferedReader times out, and later reads fail with the same error", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source, { timeout: 60_000 });
  source.push("part of a line");
  const line = assertRejects(() => reader.readLine(), RequestTimeoutError);
  await source.wait(60_000);
  const error = await line;
  assertEquals(error.timeout, 60_000);
  const again = await assertRejects(() => reader.readLine());
  assertStrictEquals(again, error);
});

Deno.test("BufferedReader counts its time-out from the last byte", async () => {
  const source = new ManualSource();
  const reader = new BufferedReader(source, { timeout: 80 });
  const line = reader.readLine();
  for (const character of "drip-fed\n") {
    await source.wait(79);
    source.push(character);
  }
  assertEquals(await line, "drip-fed");
  await source.wait(1_000); // nobody waits for a byte: no time-out
  source.push("next\n");
  assertEquals(await reader.readLine(), "next");
});

Deno.test("BufferedReader times out in real time as well", async () => {
  const reader = new BufferedReader({ read: () => new Promise(() => {}) }, {
    timeout: 5,
  });
  await assertRejects(() => reader.read(), RequestTimeoutError);
  reader[release]();
});

Deno.test("BufferedReader.readText() counts bytes, and splits a character into U+FFFD on both sides", async () => {
  const reader = BufferedReader.from(encoder.encode("n\u00e9!\u20ac.rest"));
  assertEquals(await reader.readText(0), "");
  assertEquals(await reader.readText(2), "n\ufffd");
  assertEquals(await reader.readText(2), "\ufffd!");
  assertEquals(await reader.readText(4), "\u20ac.");
  const error = await assertRejects(
    () => reader.readText(5),
    IncompleteReadError,
    "Cannot read 5 bytes: the data ended after 4",
  );
  assertEquals(error.partial, encoder.encode("rest"));
  assertThrows(() => reader.tryReadText(1), IncompleteReadError);
  await assertRejects(() => reader.readText(-1), RangeError);
  assertThrows(() => reader.tryReadText(0.5), RangeError);
});

Deno.test("BufferedReader.readText() reads more than the buffer holds", async () => {
  const text = "\u20ac".repeat(1_000);
  const source = [encoder.encode(text + "|"), null];
  const reader = new BufferedReader({
    read(into) {
      const bytes = source[0];
      if (!bytes) return Promise.resolve(null);
      const count = Math.min(7, into.length, bytes.length);
      into.set(bytes.subarray(0, count));
      source[0] = count < bytes.length ? bytes.subarray(count) : null;
      return Promise.resolve(count);
    },
  }, { bufferSize: 16 });
  assertEquals(await reader.readText(3_000), text);
  assertEquals(await reader.readText(1), "|");
});

Deno.test("BufferedReader.tryReadLine() and tryReadText() return undefined where they would wait", async () => {
  const arrivals: string[] = ["one\ntw", "o\r\n12345", "6|", "last"];
  const reader = new BufferedReader({
    read(into) {
      const next = arrivals.shift();
      return Promise.resolve(
        next === undefined ? null : encoder.encodeInto(next, into).written,
      );
    },
  }, { maxLineLength: 10 });
  assertEquals(reader.tryReadLine(), undefined);
  const waiting = reader.readLine();
  assertEquals(reader.tryReadLine(), undefined); // another read is pending
  assertEquals(await waiting, "one");
  assertEquals(reader.tryReadLine(), undefined);
  assertEquals(await reader.readLine(), "two");
  assertEquals(reader.tryReadText(6), undefined);
  assertEquals(await reader.readText(6), "123456");
  assertEquals(reader.tryReadText(1), "|");
  assertEquals(await reader.readLine(), "last");
  assertEquals(reader.tryReadLine(), null);
});

Deno.test("BufferedReader.tryReadLine() and readLine() agree on every line, as do their limits", async () => {
  const lines = [
    "",
    "a",
    "\u00e9",
    "x".repeat(60),
    "\ufffd",
    "b\r",
    "\u{1F600}z",
  ];
  await forSeeds(200, async (dice) => {
    const sent = Array.from({ length: 100 }, () => dice.pick(lines));
    const ends = sent.map(() => dice.pick(["\n", "\r\n"]));
    const text = sent.map((line, i) => line + ends[i]).join("");
    const bytes = encoder.encode(text);
    const reader = BufferedReader.from(bytes, { maxLineLength: 60 });
    for (const [i, line] of sent.entries()) {
      const wanted = ends[i] === "\n" && line.endsWith("\r")
        ? line.slice(0, -1)
        : line;
      const found = dice.below(2) === 0
        ? reader.tryReadLine()
        : await reader.readLine();
      assertEquals(found, wanted);
    }
    assertEquals(reader.tryReadLine(), null);
  });
  const long = `ok\n${"x".repeat(61)}\nok\n`;
  const reader = BufferedReader.from(encoder.encode(long), {
    maxLineLength: 60,
  });
  assertEquals(reader.tryReadLine(), "ok");
  assertThrows(() => reader.tryReadLine(), LineTooLongError);
  assertEquals(reader.tryReadLine(), "ok");
});

Deno.test("BufferedReader.read() and readUntil() refuse what they can't use in words; an empty buffer reads nothing", async () => {
  const reader = BufferedReader.from(encoder.encode("abc"));
  await assertRejects(
    () => reader.read(3 as unknown as Uint8Array),
    TypeError,
    "Cannot read into 3: expected a Uint8Array; for a number of bytes call readExact()",
  );
  await assertRejects(
    () => reader.readUntil(10 as unknown as string),
    TypeError,
    "Cannot read until 10: expected a text or a Uint8Array",
  );
  assertEquals(await reader.read(new Uint8Array(0)), 0);
  assertEquals(await reader.readLine(), "abc");
});

Deno.test("BufferedReader's buffer grows to bufferSize while reads fill it, and shrinks after a short one", async () => {
  const spaces: number[] = [];
  const counts = [10, 1_024, 600, 4_096, 16_384, 16_384, 513, 512, 1_024, 5];
  const reader = new BufferedReader({
    read(into) {
      spaces.push(into.length);
      return Promise.resolve(counts.shift() ?? null);
    },
  });
  while (await reader.read() !== null);
  assertEquals(spaces, [
    ...[1_024, 1_024, 4_096, 4_096, 16_384, 16_384, 16_384, 16_384],
    ...[1_024, 4_096, 1_024],
  ]);
});

Deno.test("BufferedReader keeps its place while its buffer shrinks and grows", async () => {
  await forSeeds(50, async (dice) => {
    const sizes = Array.from({ length: 60 }, () => dice.pick([3, 400, 3_000]));
    const lines = sizes.map((size) => "x".repeat(dice.below(size)));
    const bytes = encoder.encode(lines.map((line) => `${line}\n`).join(""));
    const source = new ChunkySource(bytes, dice, dice.pick([600, 20_000]));
    const reader = new BufferedReader(source);
    for (const line of lines) assertEquals(await reader.readLine(), line);
    assertEquals(await reader.readLine(), null);
  });
});
