/** TLS, limits and deadlines of servers with replicas, in every mode. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { ServerLimits, TcpServerOptions } from "../../mod.ts";
import {
  chooseModes,
  type Mode,
  MODES,
  type ReplicaServer,
  statsWhen,
  STREAM_MODES,
  TCP_MODES,
  test,
  testEach,
} from "../replicas/_support.ts";
import { read, tls } from "./_certificates.ts";
import { PacketEcho, RawEcho } from "./_limits_fixture.ts";
import {
  type Addressed,
  dial,
  readExactly,
  readToEnd,
  sideBySide,
  udpSocket,
  writeAll,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const SHARDS = TCP_MODES.filter(({ dispatch }) => dispatch === "shard");
/** Where one place accepts. */
const EXACT = STREAM_MODES.filter(({ dispatch }) => dispatch !== "shard");
const UDP = MODES.filter(({ transport }) => transport === "udp");

async function echo(conn: Deno.Conn): Promise<boolean> {
  try {
    await writeAll(conn, "x");
    return (await readExactly(conn, 1)).length === 1;
  } catch {
    return false;
  }
}

async function isRefused(server: Addressed): Promise<boolean> {
  using conn = await dial(server);
  return !await echo(conn);
}

/** Ends all connections, and waits until the server has noticed. */
async function leave(server: ReplicaServer, conns: Deno.Conn[]): Promise<void> {
  for (const conn of conns) conn.close();
  await statsWhen(server, ({ open }) => open === 0, "they have ended");
}

/** Tests all modes at a time, once their servers are ready: it mostly waits. */
function testTogether(
  group: readonly Mode[],
  what: string,
  options: TcpServerOptions,
  run: (server: ReplicaServer) => Promise<void>,
): void {
  const modes = chooseModes(group, what);
  test(`Every mode ${what}`, async (t) => {
    const servers = modes.map((mode) =>
      mode.open(RawEcho, { workers: 1, ...options })
    );
    const servings = servers.map((server) => server.serveForever());
    await Promise.all(servers.map((server) => server.ready));
    await sideBySide(
      t,
      servers.map((server, i) => [modes[i]!.name, () => run(server)]),
    );
    await Promise.all(servers.map((server) => server.serverClose()));
    await Promise.all(servings);
  });
}

const WRONG_HANDSHAKES = [
  "GET / HTTP/1.0\r\n\r\n",
  "",
  "\x16\x03\x01\x02\x00\x01",
];

testTogether(
  TCP_MODES,
  "serves TLS beside clients that are silent, leave, or speak something else",
  { ...tls, handshakeTimeout: 1_000 },
  async (server) => {
    const { hostname, port } = server.serverAddress as Deno.NetAddr;
    const silent = await Promise.all(
      Array.from({ length: 5 }, () => dial(server)),
    );
    for (const bytes of WRONG_HANDSHAKES) {
      using conn = await dial(server);
      await writeAll(conn, bytes);
      await conn.closeWrite();
    }
    for (let i = 0; i < 3; i++) {
      using client = await Deno.connectTls({
        hostname,
        port,
        caCerts: [read("ca")],
      });
      assert(await echo(client));
      const bytes = crypto.getRandomValues(new Uint8Array(60_000));
      const [echoed] = await Promise.all([
        readExactly(client, bytes.length),
        writeAll(client, bytes),
      ]);
      assertEquals(echoed, bytes);
      await client.closeWrite();
      assertEquals(await client.read(bytes), null);
    }
    await statsWhen(
      server,
      ({ failedHandshakes }) => failedHandshakes === 8,
      "the count",
    );
    for (const conn of silent) conn.close();
    assertEquals((await server.stats()).errors, 0);
  },
);

testEach(
  TCP_MODES.filter(({ dispatch }) => dispatch === "isolate"),
  "has a replica for others while clients are silent in their handshake",
  async (mode) => {
    await using server = mode.open(RawEcho, {
      ...tls,
      workers: 1,
      handshakeTimeout: 60_000,
    });
    server.serveForever();
    const silent = await Promise.all([dial(server), dial(server)]);
    await statsWhen(server, ({ open }) => open === 2, "they wait");
    const { hostname, port } = server.serverAddress as Deno.NetAddr;
    const caCerts = [read("ca")];
    using client = await Deno.connectTls({ hostname, port, caCerts });
    assert(await within("an echo", echo(client)));
    for (const conn of silent) conn.close();
  },
);

testEach(
  TCP_MODES,
  "obeys allow and deny, also when they change",
  async (mode) => {
    const server = mode.open(RawEcho, { workers: 1, deny: ["127.0.0.0/8"] });
    const serving = server.serveForever();
    await server.ready;
    for (let i = 0; i < 3; i++) assert(await isRefused(server));
    await until(async () => (await server.stats()).refused === 3, "the count");
    await server.setLimits({ deny: [], allow: ["127.0.0.1"] });
    await until(async () => !await isRefused(server), "it is served");
    await server.serverClose();
    await serving;
  },
);

async function assertHolds(
  server: ReplicaServer,
  limits: ServerLimits,
): Promise<void> {
  await server.setLimits({ ...limits, overLimit: "refuse" });
  const conns = [await dial(server), await dial(server)];
  for (const conn of conns) assert(await echo(conn));
  const { refused } = await server.stats();
  assert(await isRefused(server));
  assertEquals((await server.stats()).refused, refused + 1);
  await server.setLimits({ overLimit: "wait" });
  const next = await dial(server);
  const reply = echo(next);
  conns.shift()!.close();
  assert(await within("the next", reply));
  await leave(server, [...conns, next]);
}

testEach(
  EXACT,
  "holds maxConnections exactly, also when it changes",
  async (mode) => {
    await using server = mode.open(RawEcho);
    server.serveForever();
    await assertHolds(server, { maxConnections: 2 });
    await server.setLimits({ maxConnections: 1, overLimit: "refuse" });
    using only = await dial(server);
    assert(await echo(only));
    assert(await isRefused(server));
  },
);

testEach(
  EXACT,
  "serves more at once when maxConnections rises above its first value",
  async (mode) => {
    await using server = mode.open(RawEcho, { maxConnections: 1 });
    server.serveForever();
    using first = await dial(server);
    assert(await echo(first));
    await server.setLimits({ maxConnections: 2 });
    assertEquals(server.maxConnections, 2);
    using second = await dial(server);
    assert(await within("the second", echo(second)));
    await until(async () => (await server.stats()).workers === 2, "a replica");
  },
);

testEach(
  EXACT.filter(({ transport }) => transport === "tcp"),
  "holds the limits of a client exactly, also when they change",
  async (mode) => {
    await using server = mode.open(RawEcho, { workers: 3 });
    server.serveForever();
    await assertHolds(server, { maxConnectionsPerClient: 2 });
    await server.setLimits({
      maxConnectionsPerClient: Infinity,
      acceptRatePerClient: 1,
      overLimit: "refuse",
    });
    const before = performance.now();
    let served = 0;
    for (let i = 0; i < 8; i++) if (!await isRefused(server)) served++;
    const most = 1 + (performance.now() - before) / 1_000;
    assert(served >= 1 && served <= most, `${served} were served`);
  },
);

testEach(
  UDP,
  "drops packets over the limits of a client, also when they change",
  async (mode) => {
    await using server = mode.open(PacketEcho, { workers: 1 });
    server.serveForever();
    const socket = udpSocket();
    const packet = new Uint8Array(1);
    await socket.send(packet, server.serverAddress);
    assertEquals((await socket.receive())[0], packet);
    await server.setLimits({ acceptRatePerClient: 1, overLimit: "refuse" });
    for (let i = 0; i < 20; i++) {
      await socket.send(packet, server.serverAddress);
    }
    await statsWhen(server, ({ refused }) => refused >= 15, "a refusal");
    await server.setLimits({
      acceptRatePerClient: Infinity,
      deny: ["127.0.0.1"],
    });
    const { refused } = await server.stats();
    await socket.send(packet, server.serverAddress);
    await statsWhen(server, (s) => s.refused === refused + 1, "the denial");
    socket.close();
  },
);

testEach(SHARDS, "refuses limits that one place must count", async (mode) => {
  const exact = {
    maxConnections: 4,
    maxConnectionsPerClient: 4,
    acceptRatePerClient: 4,
  };
  const server = mode.open(RawEcho);
  for (const [name, value] of Object.entries(exact)) {
    assertThrows(
      () => mode.open(RawEcho, { [name]: value }),
      TypeError,
      `"${name}"`,
    );
    await assertRejects(
      () => server.setLimits({ [name]: value }),
      TypeError,
      `"${name}"`,
    );
  }
  const change = () => server.maxConnections = 4;
  assertThrows(change, TypeError, '"maxConnections"');
  await server.serverClose();
});

testTogether(
  STREAM_MODES,
  "ends clients over idleTimeout and requestTimeout, and counts them once",
  { idleTimeout: 500, requestTimeout: 1_000 },
  async (server) => {
    using idle = await dial(server);
    using dripping = await dial(server);
    assert(await echo(idle));
    const end = within("the end", readToEnd(idle));
    while (await echo(dripping)) await pause(30);
    assertEquals(await end, "");
    await statsWhen(server, ({ timeouts }) => timeouts === 2, "the count");
    assertEquals((await server.stats()).errors, 0);
  },
);
