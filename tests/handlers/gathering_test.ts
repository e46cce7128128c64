/** When `wfile` sends what it has gathered, and where a failure goes. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { BufferedWriter, StreamRequestHandler, TCPServer } from "../../mod.ts";
import { connect } from "../../server/testing.ts";
import {
  collectErrors,
  dial,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "../servers/_support.ts";
import { pause, until } from "../support/waiting.ts";

const { BrokenPipe } = Deno.errors;
const decoder = new TextDecoder();

/** Notes each write; takes it when it is let. */
class Gate {
  readonly writes: string[] = [];
  #opened: Promise<void> = Promise.resolve();
  #open = () => {};

  close(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opened = promise;
    this.#open = resolve;
  }

  open(): void {
    this.#open();
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.writes.push(decoder.decode(bytes));
    await this.#opened;
    return bytes.length;
  }
}

/** Waits until what a turn's end brings has happened. */
async function turn(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("BufferedWriter sends what it has gathered when the turn ends, once", async () => {
  const gate = new Gate();
  const writer = new BufferedWriter(gate, { bufferSize: 64 });
  await writer.write("one ");
  await writer.write("two");
  for (let i = 0; i < 20; i++) await null;
  assertEquals(gate.writes, []);
  await turn();
  assertEquals(gate.writes, ["one two"]);
  await turn();
  await writer.write("three");
  await turn();
  assertEquals(gate.writes, ["one two", "three"]);
});

test("BufferedWriter.write() waits only while the client is behind", async () => {
  const gate = new Gate();
  const writer = new BufferedWriter(gate, { bufferSize: 8 });
  gate.close();
  await writer.write("12345");
  await turn(); // the client does not take these
  await writer.write("67"); // the buffer has room
  let taken = false;
  const behind = writer.write("890123").then(() => taken = true);
  await turn();
  await turn();
  assertEquals([gate.writes, taken], [["12345"], false]);
  gate.open();
  await behind;
  await writer.flush();
  assertEquals(gate.writes.join("|"), "12345|67|890123");
});

test("BufferedWriter holds no more than two buffers for a client that takes nothing", async () => {
  const gate = new Gate();
  const writer = new BufferedWriter(gate, { bufferSize: 16_384 });
  gate.close();
  let taken = 0;
  const writing = (async () => {
    for (let i = 0; i < 1_000; i++) taken += await writer.write("x".repeat(99));
  })();
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(taken <= 2 * 16_384, true);
  assertEquals(gate.writes.length, 1);
  gate.open();
  await writing;
  await writer.flush();
  assertEquals(gate.writes.join("").length, 99_000);
});

test("BufferedWriter lets the event loop turn in a loop of writes that are taken at once", async () => {
  const writer = new BufferedWriter({
    write: (bytes) => Promise.resolve(bytes.length),
  }, { bufferSize: 16_384 });
  let turned = false;
  const timer = setTimeout(() => turned = true);
  for (let i = 0; i < 10_000_000 && !turned; i++) await writer.write("x");
  clearTimeout(timer);
  assertEquals(turned, true);
  await writer.flush();
});

test("BufferedWriter: a failure in the background reaches the next write, and flush()", async () => {
  const gone = new BrokenPipe("gone");
  const writer = new BufferedWriter({ write: () => Promise.reject(gone) }, {
    bufferSize: 64,
  });
  assertEquals(await writer.write("lost"), 4);
  await turn();
  assertStrictEquals(await assertRejects(() => writer.write("x")), gone);
  assertStrictEquals(await assertRejects(() => writer.flush()), gone);
});

test("BufferedWriter passes on what a sink throws instead of a rejection", async () => {
  const writer = new BufferedWriter({
    write() {
      throw new BrokenPipe("at once");
    },
  });
  await assertRejects(() => writer.write("x"), BrokenPipe);
});

test("BufferedWriter: promises that nobody awaits do no harm when writing fails", async () => {
  for (const bufferSize of [0, 8]) {
    const writer = new BufferedWriter({
      write: () => turn().then(() => Promise.reject(new BrokenPipe("gone"))),
    }, { bufferSize });
    for (let i = 0; i < 9; i++) writer.write("four");
    writer.flush();
    await pause(5); // a rejection that is not handled would fail the test
    await assertRejects(() => writer.flush(), BrokenPipe);
  }
});

/** Every connection of this class counts the writes of its handler. */
class CountingServer extends TCPServer {
  readonly writes: string[] = [];

  override async getRequest(): ReturnType<TCPServer["getRequest"]> {
    const [conn, address] = await super.getRequest();
    const { write } = conn;
    conn.write = (bytes) => {
      this.writes.push(decoder.decode(bytes));
      return write.call(conn, bytes);
    };
    return [conn, address];
  }
}

class Lines extends StreamRequestHandler {
  override async handle(): Promise<void> {
    for await (const line of this.rfile) await this.wfile.write(`${line}!\n`);
  }
}

test("wfile answers lines that came together together, when rfile waits", async () => {
  await using server = new CountingServer({ port: 0 }, Lines);
  server.serveForever();
  using conn = await dial(server);
  await writeAll(conn, "a\nb\nc\n");
  const buffer = new Uint8Array(100);
  assertEquals(await conn.read(buffer), 9);
  await writeAll(conn, "d\n");
  assertEquals(await conn.read(buffer), 3);
  assertEquals(server.writes, ["a!\nb!\nc!\n", "d!\n"]);
});

class Unbuffered extends StreamRequestHandler {
  override wbufsize = 0;

  override async handle(): Promise<void> {
    await this.wfile.write("one");
    await this.wfile.write("two");
  }
}

test("wfile with wbufsize 0 sends each write at once", async () => {
  await using server = new CountingServer({ port: 0 }, Unbuffered);
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "onetwo");
  assertEquals(server.writes, ["one", "two"]);
});

class Waiting extends StreamRequestHandler<PromiseWithResolvers<void>> {
  override async handle(): Promise<void> {
    await this.wfile.write("wait");
    await this.server.context.promise;
    await this.wfile.write("ed");
  }
}

testEach(
  STREAMS,
  "wfile sends while the handler waits for something else",
  async (kind) => {
    const context = Promise.withResolvers<void>();
    await using server = kind.open(Waiting, { context });
    server.serveForever();
    using conn = await dial(server);
    const buffer = new Uint8Array(9);
    assertEquals(await conn.read(buffer), 4);
    context.resolve();
    assertEquals(await readToEnd(conn), "ed");
  },
);

class SetupThrower extends StreamRequestHandler {
  override async setup(): Promise<void> {
    await this.wfile.write("told in setup");
    throw new Error("in setup");
  }
  override handle(): void {}
}

class HandleThrower extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("told in handle");
    throw new Error("in handle");
  }
}

class OwnFinish extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("told before an own finish");
  }
  override finish(): void {}
}

for (
  const [Handler, text, errorCount] of [
    [SetupThrower, "told in setup", 1],
    [HandleThrower, "told in handle", 1],
    [OwnFinish, "told before an own finish", 0],
  ] as const
) {
  testEach(
    STREAMS,
    `wfile sends what was written before the end of ${Handler.name}`,
    async (kind) => {
      await using server = kind.open(Handler);
      const errors = collectErrors(server);
      server.serveForever();
      using conn = await dial(server);
      assertEquals(await readToEnd(conn), text);
      await until(async () => (await server.stats()).open === 0, "the end");
      assertEquals(errors.length, errorCount);
    },
  );
}

/** Writes on until its client, which leaves, makes it fail. */
class Forgetful extends StreamRequestHandler<string[]> {
  override async handle(): Promise<void> {
    const chunk = new Uint8Array(4_096);
    await this.rfile.readLine();
    for (let i = 0; i < 500; i++) this.wfile.write(chunk); // not awaited
    await this.rfile.read().catch(() => null);
    this.server.context.push("ended");
  }
}

testEach(
  STREAMS,
  "wfile.write() without await and a client that leaves do no harm",
  async (kind) => {
    const context: string[] = [];
    await using server = kind.open(Forgetful, { context });
    const errors = collectErrors(server);
    server.serveForever();
    for (let i = 0; i < 5; i++) {
      const conn = await dial(server);
      await writeAll(conn, "go\n");
      await conn.read(new Uint8Array(100));
      conn.close();
    }
    await until(async () => (await server.stats()).open === 0, "the end");
    assertEquals(context.length, 5);
    assertEquals(errors.length <= 5, true);
    assertEquals((await server.stats()).errors, 0);
  },
);

class Caught extends StreamRequestHandler<unknown[]> {
  override async handle(): Promise<void> {
    this.request.close();
    await this.wfile.write("nobody will read this");
    await this.wfile.flush().catch((error) => this.server.context.push(error));
  }
}

test("wfile: a failure that a handler was told reaches handleError no more", async () => {
  const context: unknown[] = [];
  await using server = new TCPServer({ port: 0 }, Caught, { context });
  const errors = collectErrors(server);
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "");
  await until(async () => (await server.stats()).open === 0, "the end");
  assertEquals([context.length, errors.length], [1, 0]);
});

class Untold extends StreamRequestHandler {
  override async handle(): Promise<void> {
    this.request.close();
    await this.wfile.write("nobody will read this");
  }
}

test("wfile: a failure that a handler was not told reaches handleError once", async () => {
  await using server = new TCPServer({ port: 0 }, Untold);
  const errors = collectErrors(server);
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "");
  await until(() => errors.length > 0, "the error");
  await until(async () => (await server.stats()).open === 0, "the end");
  assertEquals(errors.length, 1);
});

class HalfCloser extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("all of it");
    await this.request.closeWrite();
    await this.rfile.readAll();
  }
}

testEach(
  STREAMS,
  "wfile goes before a closeWrite() of the handler",
  async (kind) => {
    await using server = kind.open(HalfCloser);
    server.serveForever();
    using conn = await dial(server);
    assertEquals(await readToEnd(conn), "all of it");
  },
);

test("a client that sends and never reads is not read on for ever", async () => {
  const context: unknown[] = [];
  class Answers extends StreamRequestHandler<unknown[]> {
    override async handle(): Promise<void> {
      for await (const line of this.rfile) {
        this.server.context.push(line);
        await this.wfile.write("x".repeat(1_000));
      }
    }
  }
  await using client = connect(Answers, { context, windowSize: 1 });
  let written = 0;
  const writing = (async () => {
    for (;;) written += await client.write(new Uint8Array(1_000).fill(10));
  })().catch(() => {});
  await client.clock.advance(0);
  const read = context.length;
  await client.clock.advance(0);
  assertEquals(context.length, read);
  assert(read < 40, "two buffers hold 32 answers");
  assert(written < 200_000);
  client.close();
  await writing;
});
