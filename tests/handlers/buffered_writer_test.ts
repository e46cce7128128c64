import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BufferedWriter, RequestTimeoutError } from "../../mod.ts";
import { clock } from "../../handlers/_internal.ts";
import { TestClock } from "../../server/testing.ts";
import { until } from "../support/waiting.ts";

const encoder = new TextEncoder();

/** Notes each write; takes all of it. */
function notingWriter(bufferSize: number): [BufferedWriter, string[]] {
  const writes: string[] = [];
  const writer = new BufferedWriter({
    write(bytes) {
      writes.push(new TextDecoder().decode(bytes));
      return Promise.resolve(bytes.length);
    },
  }, { bufferSize });
  return [writer, writes];
}

Deno.test("BufferedWriter without a buffer sends every write at once", async () => {
  const [writer, writes] = notingWriter(0);
  assertEquals(await writer.write("one"), 3);
  assertEquals(await writer.write("€"), 1); // data.length
  assertEquals(await writer.write(encoder.encode("three")), 5);
  assertEquals(writes, ["one", "€", "three"]);
  assertEquals(await writer.write(""), 0);
});

Deno.test("BufferedWriter with a buffer gathers until it is full or flushed", async () => {
  const [writer, writes] = notingWriter(8);
  await writer.write("one");
  await writer.write("two");
  assertEquals(writes, []);
  await writer.write("three");
  assertEquals(writes, ["onetwo"]);
  await writer.flush();
  assertEquals(writes, ["onetwo", "three"]);
  await writer.flush();
  await writer.write("longer than the buffer");
  assertEquals(writes, ["onetwo", "three", "longer than the buffer"]);
});

Deno.test("BufferedWriter with a buffer keeps a copy of what it holds", async () => {
  const [writer, writes] = notingWriter(8);
  const bytes = encoder.encode("abc");
  await writer.write(bytes);
  bytes.fill(120);
  await writer.flush();
  assertEquals(writes, ["abc"]);
});

Deno.test("BufferedWriter: flush() waits for writes that nobody awaited", async () => {
  let sent = 0;
  const writer = new BufferedWriter({
    async write(bytes) {
      await new Promise((resolve) => setImmediate(resolve));
      sent += bytes.length;
      return bytes.length;
    },
  });
  writer.write("one");
  writer.write("two");
  await writer.flush();
  assertEquals(sent, 6);
});

Deno.test("BufferedWriter: after a failure every write fails, nothing follows the gap", async () => {
  let calls = 0;
  const writer = new BufferedWriter({
    write(bytes) {
      calls++;
      return calls === 1
        ? Promise.resolve(1)
        : calls === 2
        ? Promise.reject(new Deno.errors.BrokenPipe("gone"))
        : Promise.resolve(bytes.length);
    },
  });
  const results = await Promise.allSettled([
    writer.write("first"),
    writer.write("second"),
    writer.write("third"),
  ]);
  assertEquals(results.map(({ status }) => status), Array(3).fill("rejected"));
  await assertRejects(() => writer.write("later"), Deno.errors.BrokenPipe);
  assertEquals(calls, 2);
});

Deno.test("BufferedWriter times out from the last byte taken, and later writes fail", async () => {
  const time = new TestClock();
  let taken = 0;
  const stuck = Promise.withResolvers<number>();
  const sink = {
    [clock]: time,
    async write() {
      if (taken === 6) return await stuck.promise;
      await new Promise<void>((resolve) => void time.after(59, resolve));
      taken++;
      return 1;
    },
  };
  const writer = new BufferedWriter(sink, { timeout: 60 });
  const write = assertRejects(
    () => writer.write("longer than six"),
    RequestTimeoutError,
  );
  await time.advance(6 * 59 + 59);
  assertEquals(taken, 6);
  await time.advance(1);
  assertEquals((await write).timeout, 60);
  await assertRejects(() => writer.write("x"), RequestTimeoutError);
  stuck.resolve(1); // too late: nothing more is sent
  await assertRejects(() => writer.flush(), RequestTimeoutError);
});

Deno.test("BufferedWriter refuses options that can't work", () => {
  const sink = { write: () => Promise.resolve(1) };
  for (
    const options of [
      { bufferSize: -1 },
      { bufferSize: 1.5 },
      { timeout: 0 },
      { timeout: 2 ** 31 },
    ]
  ) {
    assertThrows(() => new BufferedWriter(sink, options), RangeError);
  }
  assert(new BufferedWriter(sink) instanceof BufferedWriter);
});

Deno.test("BufferedWriter never joins the halves of a character of two writes", async () => {
  for (const bufferSize of [0, 64]) {
    const [writer, writes] = notingWriter(bufferSize);
    await writer.write("\ud83d");
    await writer.write("\ude00");
    await writer.flush();
    assertEquals(writes.join(""), "\ufffd\ufffd");
  }
});

Deno.test("BufferedWriter refuses at once what is neither text nor bytes, and keeps its other output", async () => {
  const [writer, writes] = notingWriter(64);
  writer.write("before ");
  for (
    const [data, shown] of [
      [5, "5"],
      [new ArrayBuffer(1), "ArrayBuffer {"],
      [new DataView(new ArrayBuffer(1)), "DataView {"],
    ]
  ) {
    assertThrows(
      () => void writer.write(data as unknown as string),
      TypeError,
      `Cannot write ${shown}`,
    );
  }
  writer.write("after");
  await writer.flush();
  assertEquals(writes, ["before after"]);
});

Deno.test("BufferedWriter.bufferedBytes counts what is held, waits and is being sent", async () => {
  const taken: PromiseWithResolvers<number>[] = [];
  const writer = new BufferedWriter({
    write() {
      taken.push(Promise.withResolvers());
      return taken.at(-1)!.promise;
    },
  }, { bufferSize: 8 });
  writer.write("€");
  assertEquals(writer.bufferedBytes, 3);
  writer.write("12345678"); // after the first
  writer.write("123456789");
  assertEquals(writer.bufferedBytes, 20);
  for (const [i, size] of [3, 8, 9].entries()) {
    await until(() => taken.length > i, "the next write");
    taken[i]!.resolve(size);
  }
  await writer.flush();
  assertEquals(writer.bufferedBytes, 0);
});
