/** The relay: a connection that is carried behaves as one that is held. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { startPython } from "../servers/_programs.ts";
import { RelayHub } from "../../workers/relay/hub.ts";
import { RelayPort } from "../../workers/relay/port.ts";
import type { RelayedConn } from "../../workers/relay/relayed_conn.ts";
import { dial, readExactly, readToEnd, writeAll } from "../servers/_support.ts";
import {
  HalfCloser,
  LineEcho,
  Loss,
  SlowStart,
  Streams,
  ThreeReads,
} from "./handlers_fixture.ts";
import { CROSSED_STREAMS, modeOf, test, testEach } from "./_support.ts";
import { needs } from "../support/programs.ts";
import { pause, until, within } from "../support/waiting.ts";

const RELAYED = CROSSED_STREAMS.filter(({ dispatch }) => dispatch === "relay");
const WINDOW = 262_144;
/** A message that was full when it got its last chunk. */
const SLACK = 65_536 + 16_384;
const LARGE = 16 * 1024 * 1024;

/** A client, its carried connection, and what is under way between. */
class Bench implements AsyncDisposable {
  readonly client: Deno.Conn;
  conn!: RelayedConn;
  readonly carried: Promise<unknown>;
  toPort = 0;
  toHub = 0;
  /** What the hub has handed to the system. */
  toClient = 0;
  done: () => void;
  #listener: Deno.Listener;

  constructor(listener: Deno.Listener, client: Deno.Conn, held: Deno.Conn) {
    this.#listener = listener;
    this.client = client;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = resolve;
    const write = held.write.bind(held);
    held.write = async (bytes) => {
      const count = await write(bytes);
      this.toClient += count;
      return count;
    };
    const hub = new RelayHub({
      post: (message) => {
        this.toPort += message.length;
        port.receive(message);
      },
    });
    const post = (message: unknown) => {
      this.toHub += (message as Uint8Array).length;
      hub.receive(message as Uint8Array);
    };
    const flushed = () => Promise.resolve();
    const port = new RelayPort(
      { post, flushed },
      {
        connection: (relayed) => {
          this.conn = relayed;
          return promise.then(() => 0);
        },
        packet: () => Promise.resolve(0),
        cutOff() {},
      },
      null,
    );
    this.carried = hub.relay(held).finally(() => held[Symbol.dispose]());
    hub.flush();
  }

  static async open(): Promise<Bench> {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const [client, held] = await Promise.all([
      Deno.connect(listener.addr as Deno.NetAddr & { transport: "tcp" }),
      listener.accept(),
    ]);
    const bench = new Bench(listener, client, held);
    await until(() => bench.conn !== undefined, "the beginning");
    return bench;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.done();
    try {
      this.client.close();
    } catch {
      // The test has closed it
    }
    await within("the relay's end", this.carried);
    this.#listener.close();
  }
}

test("relay: a handler that never reads holds its client after a window", async () => {
  await using bench = await Bench.open();
  const chunk = new Uint8Array(65_536);
  let sent = 0;
  const writing = (async () => {
    for (;;) sent += await bench.client.write(chunk);
  })().catch(() => {});
  await until(() => bench.toPort >= WINDOW * 0.95, "the window to fill");
  await pause(100);
  assert(bench.toPort <= WINDOW + SLACK, `${bench.toPort} bytes went over`);
  // Once it reads, the rest flows
  const before = bench.toPort;
  const into = new Uint8Array(65_536);
  for (let read = 0; read < 2 * WINDOW;) read += (await bench.conn.read(into))!;
  await until(() => bench.toPort >= before + WINDOW, "more to come");
  bench.client.close();
  await writing;
  assert(sent > WINDOW);
});

test("relay: a client that never reads holds its handler after a window", async () => {
  await using bench = await Bench.open();
  const chunk = new Uint8Array(65_536);
  let written = 0;
  const writing = (async () => {
    for (;;) written += await bench.conn.write(chunk);
  })().catch((error) => error);
  let before = -1;
  await until(async () => {
    before = written;
    await pause(100);
    return written === before && written > WINDOW;
  }, "the writer to stop");
  const underWay = bench.toHub - bench.toClient;
  assert(underWay <= WINDOW + SLACK, `${underWay} bytes are under way`);
  await within("bytes", readExactly(bench.client, written - WINDOW));
  await until(() => written > before, "the writer to go on");
  bench.client.close();
  assert(await writing instanceof Error);
});

test("relay: many small writes to a client that never reads stay within a window", async () => {
  await using bench = await Bench.open();
  let written = 0;
  let stopped = false;
  const chunk = new Uint8Array(100);
  const writing = (async () => {
    while (!stopped) {
      written += await bench.conn.write(chunk);
      if (written % 100_000 === 0) await pause(0);
    }
  })().catch(() => {});
  let before = -1;
  await until(async () => {
    before = written;
    await pause(100);
    return written === before && written > 0;
  }, "the writer to stop");
  const underWay = written - bench.toClient;
  assert(underWay <= WINDOW, `${underWay} bytes are under way`);
  stopped = true;
  bench.client.close();
  await writing;
});

test("relay: closing wakes a pending read and a pending write", async () => {
  await using bench = await Bench.open();
  const read = bench.conn.read(new Uint8Array(1));
  bench.conn.close();
  await assertRejects(() => read, Deno.errors.Interrupted);
  await assertRejects(
    () => bench.conn.read(new Uint8Array(1)),
    Deno.errors.BadResource,
  );
  await assertRejects(
    () => bench.conn.write(new Uint8Array(1)),
    Deno.errors.BadResource,
  );
  assertEquals(await readToEnd(bench.client), "");
});

test("relay: bytes of length zero are read and written at once", async () => {
  await using bench = await Bench.open();
  assertEquals(await bench.conn.read(new Uint8Array(0)), 0);
  assertEquals(await bench.conn.write(new Uint8Array(0)), 0);
});

test("relay: what the client sent before its end is read, then the end", async () => {
  await using bench = await Bench.open();
  await writeAll(bench.client, "last words");
  await bench.client.closeWrite();
  assertEquals(await readToEnd(bench.conn), "last words");
  await writeAll(bench.conn, "answer");
  await bench.conn.closeWrite();
  await assertRejects(
    () => bench.conn.write(new Uint8Array(1)),
    Deno.errors.BrokenPipe,
  );
  assertEquals(await readToEnd(bench.client), "answer");
});

testEach(
  RELAYED,
  "reads that begin beside a pending one get what comes next",
  async (mode) => {
    await using server = mode.open(ThreeReads);
    server.serveForever();
    using conn = await dial(server);
    await readExactly(conn, "begun\n".length);
    await writeAll(conn, "abc");
    assertEquals(await within("the reads", readToEnd(conn)), "abc");
  },
);

testEach(RELAYED, "carries 16 MiB intact both ways at once", async (mode) => {
  await using server = mode.openOne(Streams);
  server.serveForever();
  using conn = await dial(server);
  await writeAll(conn, "raw\n");
  const sent = new Uint8Array(LARGE);
  for (let i = 0; i < LARGE; i += 65_536) {
    crypto.getRandomValues(sent.subarray(i, i + 65_536));
  }
  const writing = writeAll(conn, sent).then(() => conn.closeWrite());
  const received = await readExactly(conn, LARGE);
  await writing;
  assertEquals(await digest(received), await digest(sent));
  assertEquals(await readToEnd(conn), "");
});

async function digest(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(hash).toHex();
}

testEach(RELAYED, "has readable and writable streams", async (mode) => {
  await using server = mode.openOne(Streams);
  server.serveForever();
  using conn = await dial(server);
  const sent = "streams\n".repeat(100_000);
  const writing = writeAll(conn, "streams\n" + sent)
    .then(() => conn.closeWrite());
  assertEquals(await readToEnd(conn), sent);
  await writing;
});

testEach(RELAYED, "half-closes both ways", async (mode) => {
  await using server = mode.openOne(HalfCloser);
  server.serveForever();
  using conn = await dial(server);
  // The handler ends its direction first, and still reads
  assertEquals(await readToEnd(conn), "only this");
  await writeAll(conn, "and that");
  await conn.closeWrite();
  await until(
    async () => (await server.stats()).open === 0,
    "the handler to end",
  );
  assertEquals((await server.stats()).errors, 0);
});

testEach(RELAYED, "echoes after its client's half-close", async (mode) => {
  await using server = mode.openOne(LineEcho);
  server.serveForever();
  using conn = await dial(server);
  await writeAll(conn, "one\ntwo\n");
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "one\ntwo\n");
});

const RESETTING = `
import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.recv(6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
print("gone")
sys.stdin.read()
`;

const TCP = ["ThreadingTCPServer by relay", "ForkingTCPServer by relay"];
for (const mode of TCP.map(modeOf)) {
  test(
    `${mode.name} tells a reset as a reset, to reads and writes`,
    async () => {
      await using server = mode.openOne(Loss);
      server.serveForever();
      using watcher = await mode.connect(server);
      await watcher.send("watch\n");
      assertEquals(await watcher.receive(), "begun");
      const { port } = server.serverAddress as Deno.NetAddr;
      await using client = startPython(RESETTING, port);
      assertEquals(await client.readLine(), "gone");
      await until(
        async () => (await server.stats()).disconnects === 1,
        "the count of clients that went away",
      );
      assertEquals((await server.stats()).errors, 0);
    },
    needs("python3"),
  );
}

testEach(
  RELAYED,
  "a handler that never reads, and a client that never reads, leave others alone",
  async (mode) => {
    await using server = mode.open(SlowStart, {
      workers: 1,
      shutdownTimeout: 200,
    });
    server.serveForever();
    using greedy = await dial(server);
    await writeAll(greedy, "write\n");
    using deaf = await dial(server);
    await writeAll(deaf, "sleep\n");
    const writing = writeAll(deaf, new Uint8Array(LARGE)).catch(() => {});
    await pause(50);
    for (let i = 0; i < 5; i++) {
      using conn = await dial(server);
      await writeAll(conn, "echo\n");
      assertEquals(await within("an echo", readToEnd(conn)), "echo\n");
    }
    await server.serverClose();
    await writing;
  },
);
