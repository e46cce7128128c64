/** What a connection is when its replica leaves, and how its request ended. */

import { assert, assertEquals } from "@std/assert";
import type { RequestEndEvent } from "../../mod.ts";
import {
  collectErrors,
  dial,
  readToEnd,
  writeAll,
} from "../servers/_support.ts";
import {
  DirectEcho,
  Failing,
  LargeAnswer,
  LineEcho,
  Patient,
  Upload,
} from "./handlers_fixture.ts";
import {
  allReady,
  CROSSED_STREAMS,
  type Mode,
  type ReplicaServer,
  testEach,
  testTogether,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const LASTING = CROSSED_STREAMS.filter(({ dispatch }) =>
  dispatch !== "isolate"
);

/** Has all replicas replaced, and no client of them end the test. */
async function replace(server: ReplicaServer): Promise<void> {
  await within("reload()", server.reload());
}

/** How many requests are open in replicas that leave. */
async function draining(server: ReplicaServer): Promise<number> {
  const { replicas = [] } = await server.stats();
  return replicas.filter(({ state }) => state === "draining").length;
}

async function reading(mode: Mode, server: ReplicaServer) {
  const client = await mode.connect(server);
  return {
    client,
    ask: async (line: string) => {
      await client.send(`${line}\n`);
      return await within("an answer", client.receive());
    },
  };
}

testEach(
  LASTING,
  "reload() loses no client that is slow to speak",
  async (mode) => {
    await using server = mode.openOne(LineEcho);
    server.serveForever();
    await server.ready;
    const lost: string[] = [];
    let over = false;
    const speak = async (latency: number) => {
      const { client, ask } = await reading(mode, server);
      await pause(latency);
      const got = await ask("hello").catch(String);
      if (got !== "hello") lost.push(`${latency}: ${got}`);
      client[Symbol.dispose]();
    };
    // A child's own queue closes without loss if nobody comes for 1 s
    const hasQueue = mode.runner === "process" && mode.dispatch === "shard";
    const latencies = hasQueue ? [[0, 150, 400]] : [[0], [150], [400]];
    const speakers = latencies.map(async (together) => {
      while (!over) {
        await Promise.all(together.map(speak));
        if (hasQueue) await pause(2_000);
      }
    });
    for (let i = 0; i < 3; i++) await replace(server);
    over = true;
    await Promise.all(speakers);
    assertEquals(lost, []);
  },
);

testEach(
  LASTING,
  "reload() lets an upload that pauses come to its end",
  async (mode) => {
    await using server = mode.openOne(Upload);
    server.serveForever();
    await allReady(server);
    using client = await mode.connect(server);
    await client.send("put 9\n123");
    await until(async () => (await server.stats()).open === 1, "its begin");
    const replaced = replace(server);
    await until(async () => await draining(server) === 1, "the replacement");
    for (const part of ["456", "789"]) {
      await pause(150);
      await client.send(part);
    }
    assertEquals(await within("the answer", client.receive()), "kept 9");
    await replaced;
  },
);

testEach(
  LASTING,
  "reload() ends a connection between two requests, however it is read",
  async (mode) => {
    for (const handler of [LineEcho, DirectEcho]) {
      await using server = mode.openOne(handler, { shutdownTimeout: 60_000 });
      server.serveForever();
      await allReady(server);
      const { client, ask } = await reading(mode, server);
      using _client = client;
      assertEquals(await ask("hello"), "hello");
      await within("reload()", server.reload());
      assertEquals(await client.receive(), null);
    }
  },
);

testEach(
  CROSSED_STREAMS,
  "requestEnd tells of a failure, and stats() knows of it by then",
  async (mode) => {
    await using server = mode.openOne(Failing);
    collectErrors(server);
    const ended = new Promise<[RequestEndEvent, number]>((resolve) => {
      server.on("requestEnd", async (event) => {
        resolve([event, (await server.stats()).errors]);
      });
    });
    server.serveForever();
    await server.ready;
    using client = await mode.connect(server);
    await client.end().catch(() => {});
    const [{ failed }, errors] = await within("requestEnd", ended);
    assertEquals([failed, errors], [true, 1]);
  },
);

testEach(
  CROSSED_STREAMS,
  "serverClose() names what a deadline cut off meanwhile",
  async (mode) => {
    const server = mode.openOne(Patient, { requestTimeout: 2_000 });
    collectErrors(server);
    server.serveForever();
    using client = await mode.connect(server);
    assertEquals(await client.receive(), "begun");
    const { completed, aborted } = await within("it", server.serverClose());
    assertEquals([completed, aborted.length], [0, 1]);
  },
);

testEach(
  CROSSED_STREAMS,
  "delivers an answer in spite of bytes that nobody read, and the replica is free",
  async (mode) => {
    await using server = mode.openOne(LargeAnswer);
    server.serveForever();
    await server.ready;
    using client = await dial(server);
    await writeAll(client, "GET\nand more\n");
    const buffer = new Uint8Array(65_536);
    let got = await client.read(buffer) ?? 0;
    await writeAll(client, "\n");
    for (let n; (n = await client.read(buffer)) !== null;) {
      got += n;
      await pause(1);
    }
    assertEquals(got, 2_000_000);
    await until(async () => (await server.stats()).open === 0, "the end");
  },
);

testTogether(
  LASTING,
  "serverClose() lets a new client speak until shortly before shutdownTimeout",
  async (mode) => {
    const server = mode.openOne(LineEcho, { shutdownTimeout: 4_000 });
    server.serveForever();
    await allReady(server);
    using silent = await dial(server);
    const { client, ask } = await reading(mode, server);
    using _client = client;
    await until(async () => (await server.stats()).open === 2, "both begin");
    const closing = server.serverClose();
    await pause(600);
    assertEquals(await ask("hello"), "hello");
    const report = await within("the close", closing);
    // The silent one is told 100 ms before the end, which a busy machine may miss
    assert(report.completed >= 1, `${report.aborted.length} were cut`);
    assertEquals(report.completed + report.aborted.length, 2);
    assertEquals(await readToEnd(silent).catch(() => ""), "");
    assert(await client.receive() === null);
  },
);
