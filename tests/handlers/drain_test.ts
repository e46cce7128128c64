/** Which reads find the end when a server closes, and when. */

import { assertEquals } from "@std/assert";
import { BaseRequestHandler, StreamRequestHandler } from "../../mod.ts";
import { connect } from "../../server/testing.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** How long a read goes on between two requests. */
const GRACE = 50;
/** How long a new connection has. */
const NEW = 5_000;

/** Reads lines of a connection in a way of its own, and answers them. */
abstract class LineHandler extends StreamRequestHandler {
  /** Reads a line; `null` at the end. */
  abstract next(): Promise<string | null>;
  override async handle() {
    for (let line; (line = await this.next()) !== null;) {
      if (line === "ask") await this.wfile.write("answered\n");
      if (line === "nothing") await this.wfile.write("");
      if (line === "begin") this.beginRequest();
      if (line === "end") this.endRequest();
      await this.wfile.flush();
    }
    await this.wfile.write("bye\n");
  }
}

class ByReadLine extends LineHandler {
  override next() {
    return this.rfile.readLine();
  }
}

class ByIteration extends LineHandler {
  #lines: AsyncIterator<string> | null = null;
  override async next() {
    const lines = this.#lines ??= this.rfile[Symbol.asyncIterator]();
    return (await lines.next()).value ?? null;
  }
}

class ByChunk extends LineHandler {
  override async next() {
    const chunk = await this.rfile.read();
    return chunk === null ? null : decoder.decode(chunk).trimEnd();
  }
}

class ByRequest extends LineHandler {
  override async next() {
    const into = new Uint8Array(100);
    const count = await this.request.read(into);
    return count === null
      ? null
      : decoder.decode(into.subarray(0, count)).trimEnd();
  }
}

class ByStream extends LineHandler {
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  override async next() {
    const reader = this.#reader ??= this.connection.readable.getReader();
    const { value } = await reader.read();
    return value === undefined ? null : decoder.decode(value).trimEnd();
  }
}

for (
  const Handler of [ByReadLine, ByIteration, ByChunk, ByRequest, ByStream]
) {
  const { name } = Handler;

  Deno.test(`drain, ${name}: a new connection has 5 s from its begin`, async () => {
    await using client = connect(Handler);
    await client.clock.advance(1_000);
    client.drain();
    await client.clock.advance(NEW - 1_000);
    await client.wfile.write("ask\n");
    assertEquals(await client.rfile.readLine(), "answered");
    await client.clock.advance(GRACE);
    assertEquals(await client.rfile.readLine(), "bye");
    await client.ended;
  });

  Deno.test(`drain, ${name}: a silent client finds the end after that`, async () => {
    await using client = connect(Handler);
    client.drain();
    await client.clock.advance(NEW + GRACE);
    assertEquals(await client.rfile.readLine(), "bye");
    await client.ended;
  });

  Deno.test(`drain, ${name}: between two requests the end comes at once`, async () => {
    await using client = connect(Handler);
    await client.wfile.write("ask\n");
    assertEquals(await client.rfile.readLine(), "answered");
    client.drain();
    await client.clock.advance(GRACE - 20);
    await client.wfile.write("ask\n"); // had been received
    assertEquals(await client.rfile.readLine(), "answered");
    await client.clock.advance(GRACE);
    assertEquals(await client.rfile.readLine(), "bye");
    await client.ended;
  });

  Deno.test(`drain, ${name}: what has no answer goes on`, async () => {
    await using client = connect(Handler);
    await client.wfile.write("ask\n");
    assertEquals(await client.rfile.readLine(), "answered");
    await client.wfile.write("nothing\n");
    await client.clock.advance(0);
    client.drain();
    await client.clock.advance(9_000);
    await client.wfile.write("ask\n");
    assertEquals(await client.rfile.readLine(), "answered");
    await client.clock.advance(GRACE);
    assertEquals(await client.rfile.readLine(), "bye");
  });

  Deno.test(`drain, ${name}: beginRequest() and endRequest() alone count`, async () => {
    await using client = connect(Handler);
    for (const line of ["begin", "ask"]) {
      await client.wfile.write(`${line}\n`);
      await client.clock.advance(0);
    }
    assertEquals(await client.rfile.readLine(), "answered");
    client.drain();
    await client.clock.advance(9_000);
    await client.wfile.write("ask\n");
    assertEquals(await client.rfile.readLine(), "answered");
    await client.wfile.write("end\n");
    await client.clock.advance(GRACE);
    assertEquals(await client.rfile.readLine(), "bye");
  });
}

Deno.test("drain: a line, a count or a body that has begun comes to its end", async () => {
  for (
    const how of ["readLine", "readExact", "readAll", "readUntil"] as const
  ) {
    class Handler extends StreamRequestHandler {
      override rbufsize = 4;
      override async handle() {
        await this.rfile.readLine();
        await this.wfile.write("go on\n");
        const read = how === "readExact"
          ? this.rfile.readExact(8)
          : how === "readUntil"
          ? this.rfile.readUntil("8")
          : this.rfile[how]();
        const got = await read;
        await this.wfile.write(typeof got === "string" ? got : got!);
      }
    }
    await using client = connect(Handler);
    await client.wfile.write("first\n");
    assertEquals(await client.rfile.readLine(), "go on");
    await client.wfile.write("1234");
    await client.clock.advance(0);
    client.drain();
    await client.clock.advance(9_000);
    await client.wfile.write("5678");
    await client.closeWrite();
    assertEquals(await client.rfile.readLine(), "12345678", how);
  }
});

Deno.test("drain: part of a next request keeps a connection that says it has none", async () => {
  class Log extends StreamRequestHandler {
    readonly lines: string[] = [];
    override async handle() {
      this.endRequest();
      for await (const line of this.rfile) this.lines.push(line);
    }
  }
  await using client = connect(Log);
  await client.wfile.write("whole\nha");
  await client.clock.advance(0);
  client.drain();
  await client.clock.advance(9_000);
  await client.wfile.write("lf\n");
  await client.clock.advance(GRACE);
  await client.ended;
  assertEquals(client.handler.lines, ["whole", "half"]);
});

Deno.test("drain: the end stops input only, and stays", async () => {
  class Handler extends BaseRequestHandler<Deno.Conn> {
    override async handle() {
      const into = new Uint8Array(10);
      await this.request.read(into);
      await this.request.write(encoder.encode("a"));
      const counts = [];
      for (let i = 0; i < 2; i++) counts.push(await this.request.read(into));
      await this.request.write(encoder.encode(`${counts}`));
    }
  }
  await using client = connect(Handler);
  await client.wfile.write("x");
  await client.rfile.readExact(1);
  client.drain();
  await client.clock.advance(GRACE);
  assertEquals(await client.rfile.readLine(), ","); // null, null
});

Deno.test("drain: a read beside another finds the end, too", async () => {
  class Handler extends StreamRequestHandler {
    override async handle() {
      const into = new Uint8Array(10);
      const reads = [this.request.read(into), this.request.read(into)];
      await reads[0];
      reads.push(this.request.read(into));
      await this.request.write(encoder.encode("a"));
      const last = this.rfile.readLine();
      await this.request.write(
        encoder.encode(`${await Promise.all([...reads, last])}`),
      );
    }
  }
  await using client = connect(Handler);
  await client.wfile.write("x");
  await client.rfile.readExact(1);
  client.drain();
  await client.clock.advance(GRACE);
  assertEquals(await client.rfile.readLine(), "1,,,"); // null, null, null
});

Deno.test("drain: an answer that ends after the drain is what the read waits for", async () => {
  class Slow extends StreamRequestHandler {
    override async handle() {
      await this.rfile.readLine();
      const next = this.rfile.readLine();
      await client.clock.advance(1_000);
      await this.wfile.write("late\n");
      await this.wfile.flush();
      await this.wfile.write(await next === null ? "end\n" : "more\n");
    }
  }
  const client = connect(Slow);
  await using _client = client;
  await client.wfile.write("x\n");
  client.drain();
  assertEquals(await client.rfile.readLine(), "late");
  await client.clock.advance(GRACE);
  assertEquals(await client.rfile.readLine(), "end");
});
