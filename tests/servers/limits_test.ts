/** Limits, counts and what a server tells of itself. */

import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { EchoHandler, StreamRequestHandler, TCPServer } from "../../mod.ts";
import {
  ALL,
  assertEchoes,
  type Client,
  dial,
  exchange,
  kinds,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { LINUX_ONLY } from "../support/system.ts";
import { pause, until, within } from "../support/waiting.ts";

for (const limit of [1, 3]) {
  testEach(
    STREAMS,
    `at maxConnections ${limit} the next waits, and is served when one leaves`,
    async (kind) => {
      await using server = kind.open(EchoHandler, { maxConnections: limit });
      server.serveForever();
      const clients: Client[] = [];
      for (let i = 0; i < limit; i++) {
        const client = await kind.connect(server);
        assertEquals(await exchange(client, `${i}`), `${i}`);
        clients.push(client);
      }
      using next = await kind.connect(server);
      await next.send("next\n");
      const reply = next.receive();
      await pause(40);
      const { accepted, open } = await server.stats();
      assertEquals([accepted, open], [limit, limit]);
      assertEquals(await exchange(clients[0]!, "still"), "still");
      clients.pop()![Symbol.dispose]();
      assertEquals(await within("the next", reply), "next");
      for (const client of clients) client[Symbol.dispose]();
    },
  );
}

class Counter extends StreamRequestHandler<{ open: number; most: number }> {
  override async handle(): Promise<void> {
    const { context } = this.server;
    context.most = Math.max(context.most, ++context.open);
    await this.rfile.readLine();
    await pause(1);
    context.open--;
  }
}

test("maxConnections is never exceeded, and may be changed", async () => {
  const context = { open: 0, most: 0 };
  await using server = new TCPServer({ port: 0 }, Counter, {
    context,
    maxConnections: 4,
  });
  server.serveForever();
  const visit = async () => {
    using conn = await dial(server);
    await writeAll(conn, "x\n");
    assertEquals(await readToEnd(conn), "");
  };
  await Promise.all(Array.from({ length: 60 }, visit));
  assertEquals(context, { open: 0, most: 4 });
  context.most = 0;
  server.maxConnections = 2;
  await Promise.all(Array.from({ length: 20 }, visit));
  assertEquals(context, { open: 0, most: 2 });
});

test("setLimits() leaves a limit that is given as undefined", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, {
    maxConnections: 3,
  });
  const limits: Record<string, unknown> = { maxConnections: undefined };
  await server.setLimits(limits);
  assertEquals(server.maxConnections, 3);
});

test("server.maxConnections does what setLimits() does, as a class field too", async () => {
  class Narrow extends TCPServer {
    override maxConnections = 1;
    override shutdownTimeout = 50;
  }
  await using server = new Narrow({ port: 0 }, EchoHandler);
  server.serveForever();
  assertEquals([server.maxConnections, server.shutdownTimeout], [1, 50]);
  using first = await kinds.tcp.connect(server);
  assertEquals(await exchange(first, "first"), "first");
  using second = await kinds.tcp.connect(server);
  const reply = exchange(second, "second");
  await until(async () => (await server.stats()).open === 1, "the first");
  server.maxConnections = 2; // nobody leaves
  assertEquals(await within("the second", reply), "second");
  assertThrows(() => server.maxConnections = 0, RangeError, "maxConnections");
  assertThrows(() => server.timeout = -1, RangeError, "timeout");
  assertThrows(() => server.shutdownTimeout = -1, RangeError);
  assertEquals([server.maxConnections, server.shutdownTimeout], [2, 50]);
});

test("TCPServer.serveForever() refuses a class field that is no limit", async () => {
  class Wrong extends TCPServer {
    override maxConnections = 0;
  }
  await using server = new Wrong({ port: 0 }, EchoHandler);
  await assertRejects(() => server.serveForever(), RangeError);
});

testEach(
  ALL,
  "fileno() is the socket's descriptor, -1 after close",
  async (kind) => {
    const server = kind.open(EchoHandler);
    const served = server.serveForever();
    const link = await Deno.readLink(`/proc/self/fd/${server.fileno()}`);
    const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
    const { serverAddress } = server;
    const table = serverAddress.transport.replace("unixpacket", "unix");
    const sought = "path" in serverAddress
      ? ` ${serverAddress.path}`
      : `:${(serverAddress as Deno.NetAddr).port.toString(16).toUpperCase()} `;
    const rows = (await Deno.readTextFile(`/proc/self/net/${table}`)).split(
      "\n",
    );
    const row = rows.find((row) => row.includes(` ${inode} `))!;
    assert(`${row} `.includes(sought), `${sought} is not of ${row}`);
    await assertEchoes(kind, server);
    assertEquals(await Deno.readLink(`/proc/self/fd/${server.fileno()}`), link);
    await server.serverClose();
    assertEquals(server.fileno(), -1);
    await served;
  },
  LINUX_ONLY,
);

test(
  "fileno() tells servers on the same port of two addresses apart",
  async () => {
    const pairs = [["127.0.0.1", "127.0.0.2"], ["::1", "::ffff:127.0.0.1"]];
    for (const [hostname, other] of pairs as [string, string][]) {
      await using first = new TCPServer({ hostname, port: 0 }, EchoHandler);
      const { port } = first.serverAddress;
      await using second = new TCPServer(
        { hostname: other, port },
        EchoHandler,
      );
      assert(first.fileno() > 2);
      assert(second.fileno() > 2);
      assert(first.fileno() !== second.fileno(), other);
    }
  },
  LINUX_ONLY,
);

testEach(
  ALL,
  "bindAndActivate false: opens nothing until told",
  async (kind) => {
    await using server = kind.open(EchoHandler, { bindAndActivate: false });
    assertEquals([server.socket, server.acceptor, server.fileno()], [
      null,
      null,
      -1,
    ]);
    await assertRejects(() => server.serveForever(), TypeError, "serverBind()");
    await assertRejects(
      () => server.handleRequest(),
      TypeError,
      "serverBind()",
    );
    await server.serverBind();
    await server.serverActivate();
    server.serveForever();
    await assertEchoes(kind, server);
  },
);

testEach(ALL, "stats() counts requests", async (kind) => {
  await using server = kind.open(EchoHandler);
  const zero = {
    accepted: 0,
    open: 0,
    rejected: 0,
    refused: 0,
    waited: 0,
    failedHandshakes: 0,
    badProxyHeaders: 0,
    errors: 0,
    disconnects: 0,
    timeouts: 0,
    acceptErrors: 0,
    dropped: 0,
  };
  assertObjectMatch(await server.stats(), zero);
  server.serveForever();
  for (let i = 0; i < 3; i++) await assertEchoes(kind, server);
  await until(async () => (await server.stats()).open === 0, "the end");
  const { duration, ...stats } = await server.stats();
  assertObjectMatch(stats, { ...zero, accepted: 3 });
  assertEquals(duration.count, 3);
});

test("serviceActions() that throws is counted", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  server.handleError = () => {};
  server.serviceActions = () => {
    throw new RangeError("from the hook");
  };
  server.serveForever();
  await assertEchoes(kinds.tcp, server);
  await until(async () => (await server.stats()).open === 0, "the end");
  assertEquals((await server.stats()).errors, 1);
});

test("a backlog takes clients while nobody serves (Python's five time out)", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const conns = await within(
    "100 clients",
    Promise.all(Array.from({ length: 100 }, () => dial(server))),
  );
  for (const conn of conns) conn.close();
});

test("requestQueueSize and allowReusePort reach the socket", async () => {
  await using first = new TCPServer({ port: 0 }, EchoHandler, {
    allowReusePort: true,
    requestQueueSize: 7,
  });
  const { port } = first.serverAddress;
  await using second = new TCPServer({ port }, EchoHandler, {
    allowReusePort: true,
  });
  assertEquals(second.serverAddress.port, port);
  assertEquals([first.requestQueueSize, second.requestQueueSize], [7, 511]);
});

test("context is what was given, for handlers too", async () => {
  class Teller extends StreamRequestHandler<{ word: string }> {
    override async handle(): Promise<void> {
      await this.wfile.write(this.server.context.word);
    }
  }
  const context = { word: "hello" };
  await using server = kinds.unix.open(Teller, { context });
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "hello");
  assert(server.context === context);
});
