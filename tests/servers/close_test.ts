/** Closing: what is finished, what is cut off, what is let go. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  type Acceptor,
  BaseRequestHandler,
  EchoHandler,
  RequestHandler,
  ServerClosedError,
  StreamRequestHandler,
  TCPServer,
  UnixStreamServer,
} from "../../mod.ts";
import { role, ServerRole } from "../../server/_internal.ts";
import { startPython } from "./_programs.ts";
import {
  ALL,
  assertEchoes,
  type Client,
  collectErrors,
  dial,
  exchange,
  freePath,
  kinds,
  messages,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { needs } from "../support/programs.ts";
import { onceFree, refused } from "../support/sockets.ts";
import { StallBefore, StallClient } from "../support/stall.ts";
import { pause, until, within } from "../support/waiting.ts";

testEach(
  STREAMS,
  "serverClose() is not held up by idle and never-spoke connections",
  async (kind) => {
    const server = kind.open(EchoHandler, { shutdownTimeout: 600 });
    const served = server.serveForever();
    using silent = await kind.connect(server);
    using idle = await kind.connect(server);
    assertEquals(await exchange(idle, "hello"), "hello");
    const report = await server.serverClose();
    assertEquals(report, { completed: 2, aborted: [] });
    assertEquals([await silent.receive(), await idle.receive()], [null, null]);
    await served;
  },
);

/** Answers each line; "more" is said in the middle of a request. */
class Talk extends StreamRequestHandler {
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      if (line === "more") this.beginRequest();
      await this.wfile.write(`${line}\n`);
    }
  }
}

testEach(
  STREAMS,
  "serverClose() lets idle clients go soon beside one that keeps talking",
  async (kind) => {
    const server = kind.open(Talk);
    server.serveForever();
    using idle = await kind.connect(server);
    using talker = await kind.connect(server);
    assertEquals(await exchange(idle, "hello"), "hello");
    assertEquals(await exchange(talker, "more"), "more");
    const closing = server.serverClose();
    let ended = false;
    const end = idle.receive().then(() => ended = true);
    while (!ended) {
      assertEquals(await exchange(talker, "more"), "more");
      await pause(10);
    }
    await end;
    talker[Symbol.dispose]();
    assertEquals(await closing, { completed: 2, aborted: [] });
  },
);

/** Answers "hello"; all else is part of a request without end. */
class Endless extends StreamRequestHandler {
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      if (line === "hello") await this.wfile.write("hello\n");
      else this.beginRequest();
    }
  }
}

test("serverClose() cuts off no idle client beside one that never pauses", async () => {
  const server = new TCPServer({ port: 0 }, Endless, { shutdownTimeout: 400 });
  server.serveForever();
  using idle = await kinds.tcp.connect(server);
  using talker = await dial(server);
  assertEquals(await exchange(idle, "hello"), "hello");
  let isOver = false;
  const talking = (async () => {
    for (; !isOver; await pause(1)) await writeAll(talker, "more\n");
  })().catch(() => {}); // it is cut off
  await until(
    () => server.connections().some(({ bytesRead = 0 }) => bytesRead > 10),
    "it talks",
  );
  const closing = server.serverClose();
  assertEquals(await within("the end", idle.receive()), null);
  assertEquals(await closing, { completed: 1, aborted: [talker.localAddr] });
  isOver = true;
  await talking;
});

class Gated extends RequestHandler<Gates> {
  override async handle(): Promise<void> {
    const line = await this.rfile.readLine();
    this.server.context.entered();
    await this.server.context.gate;
    await this.wfile.write(`${line}\n`);
  }
}

class Gates {
  readonly #gate = Promise.withResolvers<void>();
  readonly #inside = Promise.withResolvers<void>();
  readonly gate = this.#gate.promise;
  readonly inside = this.#inside.promise;
  readonly open = this.#gate.resolve;
  readonly entered = this.#inside.resolve;
}

testEach(ALL, "serverClose() lets an open request finish", async (kind) => {
  const gates = new Gates();
  const server = kind.open(Gated, { context: gates });
  server.serveForever();
  using client = await kind.connect(server);
  await client.send("finished\n");
  await gates.inside;
  let closed = false;
  const closing = server.serverClose().then((report) => {
    closed = true;
    return report;
  });
  await pause(80);
  assertEquals(closed, false);
  gates.open();
  assertEquals((await closing).completed, 1);
  assertEquals((await client.receive())?.trimEnd(), "finished");
});

interface Reasons {
  reasons: unknown[];
  entered: () => void;
}

class Stubborn extends BaseRequestHandler<Deno.Conn, Reasons> {
  override async handle(): Promise<void> {
    const { signal } = this;
    await this.request.read(new Uint8Array(10));
    const buffer = new Uint8Array(10);
    signal.onabort = () => this.server.context.reasons.push(signal.reason);
    this.server.context.entered();
    while (await this.request.read(buffer) !== null);
  }
}

testEach(
  STREAMS,
  "serverClose() cuts off at the deadline and names what it cut",
  async (kind) => {
    const { promise: inside, resolve: entered } = Promise.withResolvers<void>();
    const context: Reasons = { reasons: [], entered };
    const server = kind.open(Stubborn, { context, shutdownTimeout: 40 });
    const errors = collectErrors(server);
    server.serveForever();
    using client = await dial(server);
    await writeAll(client, "x");
    await inside;
    const begin = performance.now();
    const { completed, aborted } = await server.serverClose();
    assert(performance.now() - begin >= 35);
    assertEquals([completed, aborted.length], [0, 1]);
    if (kind.name === "TCPServer") assertEquals(aborted, [client.localAddr]);
    assertInstanceOf(context.reasons[0], ServerClosedError);
    assertEquals(await readToEnd(client), "");
    assertEquals(messages(errors), []);
    assertEquals((await server.stats()).open, 0);
  },
);

class Obedient extends BaseRequestHandler<Deno.Conn> {
  override async handle(): Promise<void> {
    await new Promise((_, reject) => {
      this.signal.onabort = () => reject(this.signal.reason);
    });
  }
}

test("a handler that throws its signal's reason is no error", async () => {
  const server = new TCPServer({ port: 0 }, Obedient, { shutdownTimeout: 0 });
  const errors = collectErrors(server);
  const served = server.serveForever();
  using client = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is handled");
  const report = await server.serverClose();
  await served;
  assertEquals(report, { completed: 0, aborted: [client.localAddr] });
  assertEquals(errors, []);
});

testEach(ALL, "serverClose() serves what is queued already", async (kind) => {
  const server = kind.open(EchoHandler);
  const clients: Client[] = [];
  const count = kind.name === "UnixDatagramServer" ? 9 : 50;
  for (let i = 0; i < count; i++) {
    const client = await kind.connect(server);
    await client.send(`queued ${i}\n`);
    clients.push(client);
  }
  const replies = clients.map((client) => client.receive());
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [count, []]);
  const texts = await within("all the replies", Promise.all(replies));
  assertEquals(
    texts.map((text) => text?.trimEnd()),
    clients.map((_, i) => `queued ${i}`),
  );
  for (const client of clients) client[Symbol.dispose]();
});

for (const kind of STREAMS) {
  test(`${kind.name} serverClose() serves a backlog that is full`, async () => {
    const full = kind.name === "TCPServer" ? 512 : 1_000;
    const server = kind.open(EchoHandler);
    const conns: Deno.Conn[] = [];
    for (let i = 0; i < full; i++) {
      const conn = await dial(server);
      await writeAll(conn, "queued\n");
      conns.push(conn);
    }
    const replies = conns.map((conn) => readToEnd(conn).catch(String));
    const { completed, aborted } = await server.serverClose();
    const lost = (await Promise.all(replies)).filter((text) =>
      text !== "queued\n"
    );
    assertEquals([completed, aborted.length, lost], [full, 0, []]);
    for (const conn of conns) conn.close();
  });
}

test("serverClose() serves one by one what waits behind maxConnections", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler, { maxConnections: 1 });
  server.serveForever();
  const conns = await Promise.all(
    Array.from({ length: 5 }, () => dial(server)),
  );
  await Promise.all(conns.map((conn) => writeAll(conn, "waits")));
  const replies = conns.map(readToEnd);
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [5, []]);
  assertEquals(await Promise.all(replies), Array(5).fill("waits"));
  for (const conn of conns) conn.close();
});

const RESETTING = `
import socket, struct, sys
def connect():
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    return s
for i in range(20):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    good = connect()
    good.sendall(b"good")
    globals()[f"good{i}"] = good
print("ready")
echoes = 0
for i in range(20):
    good = globals()[f"good{i}"]
    good.shutdown(socket.SHUT_WR)
    try: echoes += good.recv(10) == b"good"
    except OSError: pass
print(echoes)
`;

test(
  "serverClose() serves what is queued behind clients that have reset",
  async () => {
    const server = new TCPServer({ port: 0 }, EchoHandler);
    const { port } = server.serverAddress;
    await using clients = startPython(RESETTING, port);
    assertEquals(await clients.readLine(), "ready");
    const { aborted } = await server.serverClose();
    assertEquals(aborted, []);
    assertEquals(await clients.readLine(), "20");
  },
  needs("python3"),
);

/** Gives a connection every few milliseconds, as a busy system may. */
class SlowAcceptor implements Acceptor<Deno.TcpConn> {
  #inner: Acceptor<Deno.TcpConn>;

  constructor(inner: Acceptor<Deno.TcpConn>) {
    this.#inner = inner;
  }

  async accept(): Promise<[Deno.TcpConn, Deno.Addr]> {
    await pause(3);
    return await this.#inner.accept();
  }

  close(): void {
    this.#inner.close();
  }
}

test("serverClose() goes on with the queue when requests end meanwhile", async () => {
  class SlowServer extends TCPServer {
    override serverActivate(): void {
      super.serverActivate();
      this.acceptor = new SlowAcceptor(this.acceptor!);
    }
  }
  const server = new SlowServer({ port: 0 }, EchoHandler);
  const conns = await Promise.all(
    Array.from({ length: 30 }, () => dial(server)),
  );
  for (const conn of conns) {
    await writeAll(conn, "queued");
    await conn.closeWrite();
  }
  const replies = conns.map((conn) => readToEnd(conn).catch(String));
  await server.serverClose();
  assertEquals(await Promise.all(replies), Array(30).fill("queued"));
  for (const conn of conns) conn.close();
});

testEach(
  ALL,
  "serverClose() is idempotent, ends serveForever() and frees everything",
  async (kind) => {
    const server = kind.open(EchoHandler);
    const served = server.serveForever();
    await assertEchoes(kind, server);
    const [first, second] = await Promise.all([
      server.serverClose(),
      server.serverClose(),
    ]);
    assertStrictEquals(first, second);
    await within("serveForever()", served);
    assertStrictEquals(await server.serverClose(), first);
  },
);

test("serverClose() of a server that was never bound settles", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler, {
    bindAndActivate: false,
  });
  assertEquals(server.fileno(), -1);
  await within("the close", server.serverClose());
  const bound = new TCPServer({ port: 0 }, EchoHandler, {
    bindAndActivate: false,
  });
  bound.serverBind();
  await within("the close", bound.serverClose());
});

class Closer extends StreamRequestHandler<{ server: TCPServer | null }> {
  override async handle(): Promise<void> {
    await this.rfile.readLine();
    this.server.context.server!.serverClose();
    await this.wfile.write("closing\n");
  }
}

test("serverClose() may be begun inside a handler", async () => {
  const context = { server: null as TCPServer | null };
  const server = new TCPServer<typeof context>({ port: 0 }, Closer, {
    context,
  });
  context.server = server as TCPServer;
  const served = server.serveForever();
  using client = await dial(server);
  await writeAll(client, "x\n");
  assertEquals(await readToEnd(client), "closing\n");
  await served;
  assertEquals((await server.serverClose()).aborted, []);
});

test("after serverClose() the address is free and clients are refused", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler);
  const { serverAddress } = server;
  server.serveForever();
  await server.serverClose();
  await refused(() => Deno.connect(serverAddress));
  await using next = await onceFree(() =>
    new TCPServer(serverAddress, EchoHandler)
  );
  next.serveForever();
  await assertEchoes(kinds.tcp, next);
});

test("a request that comes while a close waits is not taken for an open one", async () => {
  const gates = new Gates();
  const path = freePath();
  const server = new UnixStreamServer({ path }, Gated, { context: gates });
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "x\n");
  await gates.inside;
  const closing = server.serverClose();
  await until(
    () => Deno.lstat(path).then(() => false, () => true),
    "the listener is closed",
  );
  await assertRejects(() => dial(server));
  gates.open();
  assertEquals(await closing, { completed: 1, aborted: [] });
  assertEquals(await readToEnd(client), "x\n");
});

testEach(
  ALL,
  "serverClose() aborts a request whose verifyRequest() hangs, and no handler gets it later",
  async (kind) => {
    let handlers = 0;
    class Counting extends RequestHandler {
      override handle() {
        handlers++;
      }
    }
    const server = kind.open(Counting, { shutdownTimeout: 50 });
    const asked = Promise.withResolvers<void>();
    const verdict = Promise.withResolvers<boolean>();
    server.verifyRequest = () => {
      asked.resolve();
      return verdict.promise;
    };
    const served = server.serveForever();
    using client = await kind.connect(server);
    await client.send("hello");
    await asked.promise;
    const { completed, aborted } = await within(
      "serverClose()",
      server.serverClose(),
    );
    assertEquals([completed, aborted.length], [0, 1]);
    await served;
    verdict.resolve(true);
    await until(async () => (await server.stats()).open === 0, "its end");
    assertEquals(handlers, 0);
  },
);

test("serverClose() reports any number of clients that were in replicas", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler);
  const lost = new Array(200_000).fill(server.serverAddress);
  class Losing extends ServerRole {
    override finish(): Promise<Deno.Addr[]> {
      return Promise.resolve(lost);
    }
  }
  Object.assign(server, { [role]: new Losing() });
  const { aborted } = await server.serverClose();
  assertEquals(aborted.length, lost.length);
});

class Between extends StreamRequestHandler<{
  waits: () => void;
  heard: (line: string | null) => void;
}> {
  override async handle(): Promise<void> {
    const { waits, heard } = this.server.context;
    this.endRequest();
    const reading = this.rfile.readLine();
    waits();
    heard(await reading);
  }
}

/** A server whose handler waits for a line, and its client. */
async function waitForLine() {
  const waits = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<string | null>();
  const server = new TCPServer({ port: 0 }, Between, {
    context: { waits: waits.resolve, heard: heard.resolve },
  });
  const client = new StallClient();
  server.serveForever();
  await client.connect(server.serverAddress.port);
  await waits.promise;
  return { server, client, heard: heard.promise };
}

test("serverClose() ends no connection whose bytes arrived while the event loop stood still", async () => {
  // Whenever the stall begins, and however long it is
  for (let after = 40; after <= 58; after += 2) {
    const { server, client, heard } = await waitForLine();
    using _client = client;
    let isOver = false;
    const line = heard.finally(() => isOver = true);
    const closing = server.serverClose();
    await pause(after);
    const wasOver = isOver;
    client.stall(after % 4 === 0 ? 80 : 8);
    assertEquals(await line, wasOver ? null : "late");
    await closing;
  }
});

test("serverClose() serves whom the system queued while the event loop stood still", async () => {
  using listener = Deno.listen({ port: 0 });
  using waking = await Deno.connect({ port: listener.addr.port });
  using woken = await listener.accept();
  for (let after = 10; after <= 24; after += 2) {
    const server = new TCPServer({ port: 0 }, EchoHandler);
    using client = new StallClient();
    server.serveForever();
    await client.connect(server.serverAddress.port, true);
    const { acceptor } = server;
    let isOver = false;
    server.acceptor = {
      accept: () => acceptor!.accept(),
      close() {
        isOver = true;
        acceptor!.close();
      },
    };
    const closing = server.serverClose();
    // In the turn of other arrivals, as handlers stand still that compute
    setTimeout(() => void waking.write(new Uint8Array(1)), after);
    await woken.read(new Uint8Array(1));
    const wasOver = isOver;
    client.stall(12);
    const answer = await client.answer;
    if (!wasOver) assertEquals(answer, "late\n", `after ${after} ms`);
    await closing;
  }
});

test("serverClose() looks at its queue again if the event loop stood still before its last look", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler);
  server.serveForever();
  // One would be taken by the accept that is pending anyway
  using first = new StallClient();
  using second = new StallClient();
  const clients = [first, second];
  for (const client of clients) {
    await client.connect(server.serverAddress.port, true);
  }
  // The last look is the first that comes without a pause
  using _stall = new StallBefore(
    1,
    () => clients.forEach((client) => client.stall(12)),
  );
  const closing = server.serverClose();
  for (const { answer } of clients) {
    assertEquals(await within("the answer", answer), "late\n");
  }
  await closing;
});

test("serverClose() looks for bytes again if the event loop stood still before its last look", async () => {
  const { server, client, heard } = await waitForLine();
  using _client = client;
  // That of the accepts comes first
  using _stall = new StallBefore(2, () => client.stall(12));
  const closing = server.serverClose();
  assertEquals(await within("the line", heard), "late");
  await closing;
});
