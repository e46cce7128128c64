/** The ready handlers on all four servers. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  ChargenHandler,
  DaytimeHandler,
  DiscardHandler,
  EchoHandler,
  RequestTimeoutError,
  SumHandler,
} from "../../mod.ts";
import { connect } from "../../server/testing.ts";
import {
  ALL,
  collectErrors,
  DATAGRAMS,
  dial,
  exchange,
  readExactly,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "../servers/_support.ts";
import { until, within } from "../support/waiting.ts";

testEach(ALL, "EchoHandler sends back what it gets", async (kind) => {
  await using server = kind.open(EchoHandler);
  server.serveForever();
  using client = await kind.connect(server);
  for (const line of ["one", "zwei ü", "x".repeat(5_000)]) {
    assertEquals(await exchange(client, line), line);
  }
});

testEach(
  STREAMS,
  "EchoHandler sends back every byte of a large stream",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    server.serveForever();
    using conn = await dial(server);
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const count = 64;
    const writing = (async () => {
      for (let i = 0; i < count; i++) await writeAll(conn, bytes);
      await conn.closeWrite();
    })();
    for (let i = 0; i < count; i++) {
      assertEquals(await readExactly(conn, bytes.length), bytes);
    }
    await writing;
    assertEquals(await conn.read(new Uint8Array(1)), null);
  },
);

testEach(
  STREAMS,
  "EchoHandler gives up a client that reads nothing",
  async (kind) => {
    class Impatient extends EchoHandler {
      override timeout = 200;
    }
    await using server = kind.open(Impatient);
    const errors = collectErrors(server);
    const handling = server.handleRequest();
    using conn = await dial(server);
    await assertRejects(async () => {
      for (;;) await writeAll(conn, new Uint8Array(65_536));
    });
    await handling;
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], RequestTimeoutError);
  },
);

Deno.test("EchoHandler sends what a subclass wrote before", async () => {
  class Greeting extends EchoHandler {
    override async setup() {
      await super.setup();
      await this.wfile.write("welcome\n");
    }
  }
  await using client = connect(Greeting);
  await client.wfile.write("hello\n");
  assertEquals(await client.rfile.readLine(), "welcome");
  assertEquals(await client.rfile.readLine(), "hello");
});

testEach(STREAMS, "DiscardHandler reads and never answers", async (kind) => {
  await using server = kind.open(DiscardHandler);
  server.serveForever();
  using conn = await dial(server);
  await writeAll(conn, new Uint8Array(4 * 1024 * 1024));
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "");
});

Deno.test("DiscardHandler ends at once when the server closes", async () => {
  await using client = connect(DiscardHandler);
  await client.wfile.write("gone");
  await client.clock.advance(0);
  client.drain();
  await client.clock.advance(50);
  await client.ended;
});

testEach(DATAGRAMS, "DiscardHandler never answers", async (kind) => {
  await using server = kind.open(DiscardHandler);
  const errors = collectErrors(server);
  let sent = 0;
  server.serveForever();
  using client = await kind.connect(server);
  const { socket } = server as { socket: { send: unknown } };
  Object.assign(socket, { send: () => Promise.resolve(sent++) });
  for (let i = 0; i < 5; i++) await client.send("gone");
  await until(async () => {
    const { accepted, open } = await server.stats();
    return accepted === 5 && open === 0;
  }, "five packets");
  assertEquals([sent, errors], [0, []]);
});

testEach(ALL, "DaytimeHandler tells the time, and ends", async (kind) => {
  await using server = kind.open(DaytimeHandler);
  server.serveForever();
  using client = await kind.connect(server);
  if (!kind.isStream) await client.send("");
  const line = (await client.receive())!.trimEnd();
  assertMatch(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert(Math.abs(Date.parse(line) - Date.now()) < 60_000);
  if (kind.isStream) assertEquals(await client.receive(), null);
});

testEach(
  STREAMS,
  "ChargenHandler sends the pattern until the client leaves",
  async (kind) => {
    await using server = kind.open(ChargenHandler);
    collectErrors(server);
    server.serveForever();
    const conn = await dial(server);
    const bytes = await readExactly(conn, 74 * 95 * 2);
    const lines = new TextDecoder().decode(bytes).split("\r\n").slice(0, -1);
    const ring = Array.from(
      { length: 95 },
      (_, i) => String.fromCharCode(32 + i),
    );
    for (const [i, line] of lines.entries()) {
      const expected = Array.from({ length: 72 }, (_, n) => ring[(i + n) % 95]);
      assertEquals(line, expected.join(""));
    }
    conn.close();
    await until(async () => (await server.stats()).open === 0, "the end");
    assertEquals((await server.stats()).disconnects, 1);
  },
);

testEach(
  STREAMS,
  "ChargenHandler ends when the server closes",
  async (kind) => {
    const server = kind.open(ChargenHandler, { shutdownTimeout: 50 });
    const errors = collectErrors(server);
    server.serveForever();
    using conn = await dial(server);
    await readExactly(conn, 1);
    const reading = readToEnd(conn);
    const { aborted } = await within("the close", server.serverClose());
    assertEquals([aborted.length, errors], [1, []]);
    assert((await reading).length > 0);
  },
);

testEach(
  DATAGRAMS,
  "ChargenHandler answers 0 to 512 characters",
  async (kind) => {
    await using server = kind.open(ChargenHandler);
    server.serveForever();
    using client = await kind.connect(server);
    const lengths = new Set<number>();
    for (let i = 0; i < 50; i++) {
      await client.send("");
      const text = (await client.receive())!;
      assert(text.length <= 512);
      assert(` !"#$%&'()*+,-./0123`.startsWith(text.slice(0, 20)));
      lengths.add(text.length);
    }
    assert(lengths.size > 10);
  },
);

const LESSONS: [string, string][] = [
  ["2 3", "5"],
  ["  -2\t+3 ", "1"],
  ["0 0", "0"],
  ["-5 5", "0"],
  ["2", "SyntaxError: expected two integers, got 1"],
  [" ", "SyntaxError: expected two integers, got 0"],
  ["1 2 3", "SyntaxError: expected two integers, got 3"],
  ["2 x", 'TypeError: "x" is not an integer'],
  ["1.5 2", 'TypeError: "1.5" is not an integer'],
  ["1e3 2", 'TypeError: "1e3" is not an integer'],
  ["0x10 2", 'TypeError: "0x10" is not an integer'],
  ["NaN 2", 'TypeError: "NaN" is not an integer'],
  ["- 2", 'TypeError: "-" is not an integer'],
  ["9007199254740990 1", "9007199254740991"],
  [
    "9007199254740991 1",
    "RangeError: the sum 9007199254740992 is out of range",
  ],
  ["-9007199254740991 0", "-9007199254740991"],
  [
    "-9007199254740991 -1",
    "RangeError: the sum -9007199254740992 is out of range",
  ],
  [`${"9".repeat(40)} -${"9".repeat(40)}`, "0"],
  ["2 3", "5"],
];

testEach(
  ALL,
  "SumHandler answers sums and named errors, and goes on",
  async (kind) => {
    await using server = kind.open(SumHandler);
    const errors = collectErrors(server);
    server.serveForever();
    using client = await kind.connect(server);
    for (const [line, answer] of LESSONS) {
      assertEquals(await exchange(client, line), answer);
    }
    assertEquals(errors, []);
  },
);

testEach(
  STREAMS,
  "SumHandler answers a line that is too long, and goes on",
  async (kind) => {
    await using server = kind.open(SumHandler);
    server.serveForever();
    using client = await kind.connect(server);
    assertMatch(
      await exchange(client, "1".repeat(70_000)),
      /^LineTooLongError: /,
    );
    assertEquals(await exchange(client, "2 3"), "5");
  },
);

test("SumHandler answers alike however its lines are split, alone or together", async () => {
  const asked = LESSONS.map(([line]) => `${line}\n`).join("");
  const answered = LESSONS.map(([, answer]) => `${answer}\n`).join("");
  for (const chunkSize of [1, 2, 3, 7, 64, Infinity]) {
    await using client = connect(SumHandler, { chunkSize });
    await client.wfile.write(asked);
    await client.closeWrite();
    assertEquals(await readToEnd(client), answered);
    await client.ended;
  }
});

test("ChargenHandler waits for a client that stalls, and ends with its connection", async () => {
  await using client = connect(ChargenHandler, { windowSize: 100 });
  assertEquals((await readExactly(client, 500)).length, 500);
  client.close();
  await assertRejects(() => client.ended, Deno.errors.BrokenPipe);
});

let finished = 0;

class WatchedSum extends SumHandler {
  override async finish(): Promise<void> {
    finished++;
    await super.finish();
  }
}

testEach(
  ALL,
  "SumHandler: what must be done at the end is done",
  async (kind) => {
    await using server = kind.open(WatchedSum);
    server.serveForever();
    finished = 0;
    const client = await kind.connect(server);
    assertMatch(await exchange(client, "what?"), /^SyntaxError/);
    client[Symbol.dispose]();
    await until(async () => (await server.stats()).open === 0, "the end");
    assertEquals(finished, 1);
  },
);
