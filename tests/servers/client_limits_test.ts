/** Limits for each client: exact, changeable, counted. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  EchoHandler,
  type ServerLimits,
  StreamRequestHandler,
  TCPServer,
  type TcpServerOptions,
  UDPServer,
} from "../../mod.ts";
import { clientKey } from "../../server/core/entrance.ts";
import {
  assertEchoes,
  dial,
  kinds,
  readExactly,
  readToEnd,
  test,
  testEach,
  udpSocket,
  writeAll,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

const encoder = new TextEncoder();

function open(options: TcpServerOptions): TCPServer {
  const server = new TCPServer({ port: 0 }, EchoHandler, options);
  server.serveForever();
  return server;
}

/** Whoever asks may tell by a PROXY header where he comes from. */
function openProxied(options: TcpServerOptions): TCPServer {
  return open({ ...options, proxyProtocol: "require" });
}

async function connect(server: TCPServer, from?: number): Promise<Deno.Conn> {
  const conn = await dial(server);
  if (from !== undefined) {
    await writeAll(conn, `PROXY TCP4 10.0.0.${from} 10.0.1.1 1 1\r\n`);
  }
  return conn;
}

async function echo(conn: Deno.Conn): Promise<boolean> {
  try {
    await writeAll(conn, "x");
    return (await readExactly(conn, 1)).length === 1;
  } catch {
    return false; // refused: an end, or a reset
  }
}

/** Whether the server closes a connection without an answer. */
async function isRefused(conn: Deno.Conn): Promise<boolean> {
  using _conn = conn;
  return !await echo(conn);
}

function statsWhen(
  server: TCPServer | UDPServer,
  count: "refused" | "waited" | "open",
  value: number,
): Promise<void> {
  return until(
    async () => (await server.stats())[count] === value,
    `${count} ${value}`,
  );
}

test("clientKey() is an IPv4 address, or 64 bits of an IPv6 address", () => {
  const key = (hostname: string) =>
    clientKey({ transport: "tcp", hostname, port: 1 });
  assertEquals(key("10.0.0.1"), "10.0.0.1");
  assertEquals(key("::ffff:10.0.0.1"), "10.0.0.1");
  assertEquals(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2");
  assertEquals(key("2001:db8:1:2::9"), "2001:db8:1:2");
  assertEquals(key("2001:db8::9"), "2001:db8:0:0");
  assertEquals(key("::1"), "0:0:0:0");
  assertEquals(key("fe80::1%eth0"), "fe80:0:0:0");
  assertEquals(key("1::2:3:4:5:6:7"), "1:0:2:3");
  assertEquals(clientKey({ transport: "unix", path: "/x" }), null);
});

test("maxConnectionsPerClient refuses the next of one client, and no other's", async () => {
  await using server = openProxied({
    maxConnectionsPerClient: 2,
    overLimit: "refuse",
  });
  const [first, second] = [await connect(server, 1), await connect(server, 1)];
  assert(await echo(first) && await echo(second));
  assert(await isRefused(await connect(server, 1)));
  using other = await connect(server, 2);
  assert(await echo(other));
  first.close();
  await statsWhen(server, "open", 2);
  using next = await connect(server, 1);
  assert(await echo(next));
  second.close();
  const { refused, waited } = await server.stats();
  assertEquals([refused, waited], [1, 0]);
});

test("maxConnectionsPerClient holds the next of one client until one ends, and no other's", async () => {
  await using server = openProxied({ maxConnectionsPerClient: 1 });
  const first = await connect(server, 1);
  assert(await echo(first));
  const held = [await connect(server, 1), await connect(server, 1)];
  const replies = held.map(echo);
  await statsWhen(server, "waited", 2);
  using other = await connect(server, 2);
  assert(await echo(other));
  first.close();
  assert(await within("the next", replies[0]!));
  assertEquals((await server.stats()).waited, 2);
  held[0]!.close();
  assert(await within("the last", replies[1]!));
  held[1]!.close();
  assertEquals((await server.stats()).refused, 0);
});

test("held clients leave the room of maxConnections to others, and never exceed it", async () => {
  let [now, most] = [0, 0];
  class Counting extends StreamRequestHandler {
    override async handle(): Promise<void> {
      most = Math.max(most, ++now);
      await this.rfile.readLine();
      now--;
    }
  }
  await using server = new TCPServer(
    { port: 0 },
    Counting,
    {
      maxConnections: 4,
      maxConnectionsPerClient: 2,
      proxyProtocol: "require",
    },
  );
  server.serveForever();
  const visit = async (from: number) => {
    using conn = await connect(server, from);
    await writeAll(conn, "x\n");
    assertEquals(await readToEnd(conn), "");
  };
  await Promise.all(
    Array.from({ length: 90 }, (_, i) => visit(1 + i % 3)),
  );
  assertEquals([now, most], [0, 4]);
});

test("maxConnections refuses the next, if told so", async () => {
  await using server = open({ maxConnections: 1, overLimit: "refuse" });
  const first = await connect(server);
  assert(await echo(first));
  assert(await isRefused(await connect(server)));
  first.close();
  await statsWhen(server, "open", 0);
  using next = await connect(server);
  assert(await echo(next));
  assertEquals((await server.stats()).refused, 1);
});

test("maxConnections counts who waited", async () => {
  await using server = open({ maxConnections: 1 });
  const first = await connect(server);
  assert(await echo(first));
  using next = await connect(server);
  const reply = echo(next);
  first.close();
  assert(await reply);
  assertEquals((await server.stats()).waited, 1);
});

test("acceptRatePerClient refuses what is too fast, of one client", async () => {
  await using server = openProxied({
    acceptRatePerClient: 3,
    overLimit: "refuse",
  });
  const refused = await Promise.all(
    Array.from({ length: 50 }, async () => isRefused(await connect(server, 1))),
  );
  const count = refused.filter((one) => one).length;
  assert(count > 0 && count <= 47, `${count} of 50`);
  assertEquals((await server.stats()).refused, count);
  using other = await connect(server, 2);
  assert(await echo(other));
  await until(
    async () => !await isRefused(await connect(server, 1)),
    "it may begin another",
  );
});

test("acceptRatePerClient set to Infinity and back locks nobody out", async () => {
  await using server = open({
    acceptRatePerClient: 10,
    overLimit: "refuse",
  });
  await assertEchoes(kinds.tcp, server);
  await server.setLimits({ acceptRatePerClient: Infinity });
  for (let i = 0; i < 30; i++) await assertEchoes(kinds.tcp, server);
  await server.setLimits({ acceptRatePerClient: 10 });
  await assertEchoes(kinds.tcp, server);
});

test("acceptRatePerClient holds what is too fast", async () => {
  await using server = open({ acceptRatePerClient: 20 });
  const begin = performance.now();
  const conns = await Promise.all(
    Array.from({ length: 40 }, () => connect(server)),
  );
  assert((await Promise.all(conns.map(echo))).every((done) => done));
  assert(performance.now() - begin >= 900, "It was too fast");
  for (const conn of conns) conn.close();
  assertEquals((await server.stats()).refused, 0);
});

test("allow and deny tell who is served", async () => {
  await using server = openProxied({
    allow: ["10.0.0.1", "10.0.0.2"],
    deny: ["10.0.0.2/32"],
  });
  using first = await connect(server, 1);
  assert(await echo(first));
  assert(await isRefused(await connect(server, 2)));
  assert(await isRefused(await connect(server, 3)));
  await server.setLimits({ allow: ["10.0.0.0/8"], deny: [] });
  using second = await connect(server, 2);
  assert(await echo(second));
  assertEquals((await server.stats()).refused, 2);
});

test("setLimits() counts the open, holds, lets in, and refuses nonsense", async () => {
  await using server = openProxied({});
  const first = await connect(server, 1);
  assert(await echo(first));
  await server.setLimits({ maxConnectionsPerClient: 1 });
  const second = await connect(server, 1);
  const reply = echo(second);
  await statsWhen(server, "waited", 1);
  const wrong: [ServerLimits, string][] = [
    [{ maxConnectionsPerClient: 0 }, '"maxConnectionsPerClient"'],
    [{ allow: ["nowhere"] }, '"nowhere"'],
    [{ noDelay: true } as ServerLimits, '"noDelay"'],
    [{ maxConections: 5 } as ServerLimits, '"maxConections"'],
  ];
  for (const [limits, part] of wrong) {
    await assertRejects(() => server.setLimits(limits), Error, part);
  }
  await server.setLimits({ maxConnectionsPerClient: 2 });
  assert(await reply);
  await server.setLimits({ maxConnections: 1, overLimit: "refuse" });
  assert(await isRefused(await connect(server, 2)));
  first.close();
  second.close();
});

test("serverClose() serves the held as others end, and cuts off the rest", async () => {
  const server = open({ maxConnectionsPerClient: 1, shutdownTimeout: 300 });
  const first = await connect(server);
  await writeAll(first, "y");
  assertEquals((await readExactly(first, 1)).length, 1);
  using held = await connect(server);
  await writeAll(held, "z");
  await statsWhen(server, "waited", 1);
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [2, []]);
  assertEquals(await readToEnd(held), "z");
  first.close();
});

class Stuck extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await new Promise((resolve) => this.signal.onabort = resolve);
  }
}

test("serverClose() cuts off the held when the time is over", async () => {
  const server = new TCPServer({ port: 0 }, Stuck, {
    maxConnectionsPerClient: 1,
    shutdownTimeout: 50,
  });
  server.serveForever();
  using _first = await dial(server);
  using held = await dial(server);
  await statsWhen(server, "waited", 1);
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted.length], [0, 2]);
  assertEquals(await readToEnd(held), "");
  assertEquals((await server.stats()).refused, 0);
});

test("disconnect() of a client that is held for its limit refuses nobody", async () => {
  await using server = open({ maxConnectionsPerClient: 1 });
  let refusals = 0;
  server.on("refusal", () => refusals++);
  using first = await connect(server);
  assert(await echo(first));
  using held = await connect(server);
  await statsWhen(server, "waited", 1);
  const { id } = server.connections().find(({ clientAddress }) =>
    (clientAddress as Deno.NetAddr).port ===
      (held.localAddr as Deno.NetAddr).port
  )!;
  assert(server.disconnect(id));
  assertEquals(await readToEnd(held), "");
  await statsWhen(server, "open", 1);
  assertEquals([(await server.stats()).refused, refusals], [0, 0]);
  using next = await connect(server); // nobody else waits for the limit
  await statsWhen(server, "waited", 2);
  first.close();
  assert(await echo(next));
});

test("UDPServer: limits of clients drop packets", async () => {
  await using server = new UDPServer({ port: 0 }, EchoHandler, {
    acceptRatePerClient: 2,
    overLimit: "refuse",
  });
  server.serveForever();
  const client = udpSocket();
  for (let i = 0; i < 50; i++) {
    await client.send(encoder.encode("x"), server.serverAddress);
  }
  await until(async () => (await server.stats()).refused > 0, "a refusal");
  client.close();
});

testEach(
  [kinds.tcp, kinds.udp],
  "with limits that nobody reaches serves as before",
  async (kind) => {
    const limits: ServerLimits = {
      maxConnectionsPerClient: 100,
      acceptRatePerClient: 1_000,
      deny: ["192.0.2.0/24"],
    };
    await using server = kind.open(EchoHandler, limits);
    server.serveForever();
    for (let i = 0; i < 20; i++) await assertEchoes(kind, server);
    assertEquals((await server.stats()).refused, 0);
  },
);

test("the event refusal names the option that refuses", async () => {
  const limits: [ServerLimits, string][] = [
    [{ maxConnections: 1 }, "maxConnections"],
    [{ maxConnectionsPerClient: 1 }, "maxConnectionsPerClient"],
    [{ acceptRatePerClient: 1 }, "acceptRatePerClient"],
    [{ deny: ["127.0.0.1"] }, "deny"],
    [{ allow: ["10.0.0.0/8"] }, "allow"],
  ];
  for (const [limit, expected] of limits) {
    await using server = open({ overLimit: "refuse", ...limit });
    const { promise, resolve } = Promise.withResolvers<string>();
    server.on("refusal", ({ reason }) => resolve(reason));
    using _first = await dial(server);
    using _second = await dial(server);
    assertEquals(await within("the refusal", promise), expected);
  }
});
