/** TLS, limits and deadlines of TCP servers with replicas, in every mode. */

import { assert, assertEquals } from "@std/assert";
import { TCP_MODES, testEach } from "../replicas/_support.ts";
import { read, tls } from "./_certificates.ts";
import { RawEcho } from "./_limits_fixture.ts";
import {
  type Addressed,
  dial,
  readExactly,
  readToEnd,
  until,
  within,
  writeAll,
} from "./_support.ts";

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

testEach(
  TCP_MODES,
  "serves TLS beside clients that are silent",
  async (mode) => {
    const server = mode.open(RawEcho, { ...tls, handshakeTimeout: 2_000 });
    const serving = server.serveForever();
    await server.ready;
    const { hostname, port } = server.serverAddress as Deno.NetAddr;
    const silent = await Promise.all(
      Array.from({ length: 5 }, () => dial(server)),
    );
    for (let i = 0; i < 3; i++) {
      using client = await Deno.connectTls({
        hostname,
        port,
        caCerts: [read("ca")],
      });
      assert(await echo(client));
    }
    await until(
      async () => (await server.stats()).failedHandshakes === 5,
      "the count",
    );
    for (const conn of silent) conn.close();
    await server.serverClose();
    await serving;
  },
);

testEach(
  TCP_MODES,
  "obeys allow and deny, also when they change",
  async (mode) => {
    const server = mode.open(RawEcho, { deny: ["127.0.0.0/8"] });
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

testEach(TCP_MODES, "holds maxConnectionsPerClient exactly", async (mode) => {
  if (mode.dispatch === "shard") return; // refused: see sharing_test.ts
  const server = mode.open(RawEcho, {
    maxConnectionsPerClient: 2,
    overLimit: "refuse",
  });
  const serving = server.serveForever();
  await server.ready;
  const conns = [await dial(server), await dial(server)];
  for (const conn of conns) assert(await echo(conn));
  assert(await isRefused(server));
  assertEquals((await server.stats()).refused, 1);
  for (const conn of conns) conn.close();
  await until(async () => !await isRefused(server), "there is room");
  await server.serverClose();
  await serving;
});

testEach(
  TCP_MODES,
  "ends a client over idleTimeout, and counts it once",
  async (mode) => {
    const server = mode.open(RawEcho, { idleTimeout: 1_000 });
    const errors: string[] = [];
    server.handleError = (error) => void errors.push((error as Error).name);
    const serving = server.serveForever();
    await server.ready;
    using client = await dial(server);
    assert(await echo(client));
    assertEquals(await within(5_000, "the end", readToEnd(client)), "");
    await until(async () => (await server.stats()).timeouts === 1, "the count");
    await server.serverClose();
    assertEquals((await server.stats()).errors, 0);
    await serving;
  },
);
