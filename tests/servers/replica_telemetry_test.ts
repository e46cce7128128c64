/** Events and measures of servers with replicas, as their parent tells them. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  RemoteError,
  type ReplicaExitEvent,
  type RequestEndEvent,
  toPrometheus,
} from "../../mod.ts";
import {
  modeOf,
  MODES,
  statsWhen,
  STREAM_MODES,
  test,
  testEach,
} from "../replicas/_support.ts";
import { Telling } from "./_ends_fixture.ts";
import { dial, exchange, readToEnd, writeAll } from "./_support.ts";
import { until } from "../support/waiting.ts";

testEach(
  MODES,
  "on() tells of requests, wherever they are served",
  async (mode) => {
    await using server = mode.open(Telling);
    const ended: RequestEndEvent[] = [];
    let connections = 0;
    server.on("requestEnd", (event) => void ended.push(event));
    server.on("connection", () => void connections++);
    const serving = server.serveForever();
    await server.ready;
    for (let i = 0; i < 3; i++) {
      using client = await mode.connect(server);
      assertEquals(await exchange(client, "hello"), "hello");
      await client.end();
      await until(() => ended.length === i + 1, "a request has ended");
    }
    for (const event of ended) {
      assertEquals([event.bytesRead, event.bytesWritten], [6, 6]);
      assertEquals(event.failed, false);
      assert(event.duration > 0);
      assertEquals(event.serverAddress, server.serverAddress);
    }
    assertEquals(connections, mode.isStream ? 3 : 0);
    const stats = await statsWhen(
      server,
      ({ duration }) => duration.count === 3,
      "three durations",
    );
    assertEquals([stats.bytesRead.count, stats.bytesWritten.total], [3, 18]);
    const counts = stats.replicas!.map(({ duration }) => duration.count);
    if (mode.dispatch !== "isolate") {
      const text = toPrometheus(stats);
      const lines = text.matchAll(
        /^socketserver_replica_request_duration_seconds_count\{replica="\d+"\} (\d+)$/gm,
      );
      assertEquals([...lines].map(([, count]) => Number(count)), counts);
      assertEquals(counts.reduce((sum, count) => sum + count), 3);
    }
    await server.serverClose();
    await serving;
  },
);

testEach(
  STREAM_MODES,
  "on() tells of errors in replicas",
  async (mode) => {
    await using server = mode.open(Telling, { workers: 1 });
    const errors: unknown[] = [];
    server.on("error", ({ error }) => void errors.push(error));
    const serving = server.serveForever();
    await server.ready;
    using client = await dial(server);
    await writeAll(client, "fail\n");
    assertEquals(await readToEnd(client), "");
    await until(() => errors.length === 1, "the error");
    const [error] = errors;
    assert(error instanceof RemoteError, String(error));
    assertEquals(error.message, "as told");
    // More than a replica may send at once
    using another = await dial(server);
    await writeAll(another, "fail much\n");
    assertEquals(await readToEnd(another), "");
    await until(() => errors.length === 2, "the long error");
    assertEquals((errors[1] as Error).message, "as told");
    assertEquals((await server.stats()).restarts, 0);
    await server.serverClose();
    await serving;
  },
);

test("diagnostics channels have what happens in replicas, told once", async () => {
  const seen: unknown[] = [];
  const listener = (event: unknown) => {
    seen.push((event as RequestEndEvent).bytesRead);
  };
  subscribe("socketserver:requestEnd", listener);
  await using server = modeOf("ThreadingTCPServer by shard").open(Telling);
  const serving = server.serveForever();
  await server.ready;
  using client = await dial(server);
  await writeAll(client, "hello\n");
  await client.closeWrite();
  await readToEnd(client);
  await server.serverClose();
  await serving;
  unsubscribe("socketserver:requestEnd", listener);
  assertEquals(seen, [6]);
});

for (
  const name of ["ThreadingTCPServer by shard", "ForkingTCPServer by relay"]
) {
  test(`${name} on() tells of its replicas`, async () => {
    await using server = modeOf(name).open(Telling, { workers: 1 });
    server.handleError = () => {};
    const events: string[] = [];
    const exits: ReplicaExitEvent[] = [];
    for (const name of ["replicaStart", "replicaReplace"] as const) {
      server.on(name, ({ replica, kind }) => {
        events.push(`${name} ${replica} ${kind}`);
      });
    }
    server.on("replicaExit", (event) => void exits.push(event));
    const serving = server.serveForever();
    await server.ready;
    using client = await dial(server);
    await writeAll(client, "exit\n");
    await readToEnd(client).catch(() => "");
    await until(() => events.length === 3, "another has started");
    const kind = name.startsWith("Thr") ? "thread" : "process";
    assertEquals(events, [
      `replicaStart 1 ${kind}`,
      `replicaReplace 1 ${kind}`,
      `replicaStart 2 ${kind}`,
    ]);
    assertEquals(exits.map(({ replica, expected }) => [replica, expected]), [
      [1, false],
    ]);
    assertMatch(exits[0]!.status, /exited|ended|killed/);
    const [replica] = (await server.stats()).replicas!;
    assertEquals([replica?.replica, replica?.open], [2, 0]);
    await server.serverClose();
    await serving;
    assertEquals(exits.map(({ replica, expected }) => [replica, expected]), [
      [1, false],
      [2, true],
    ]);
  });

  test(`${name} on() tells of a replica that stalls`, async () => {
    await using server = modeOf(name).open(Telling, {
      workers: 1,
      stallTimeout: 200,
    });
    server.handleError = () => {};
    const { promise, resolve } = Promise.withResolvers<number>();
    server.on("replicaStall", ({ replica }) => resolve(replica));
    const { promise: replaced, resolve: started } = Promise.withResolvers();
    server.on("replicaStart", ({ replica }) => replica === 2 && started(null));
    const serving = server.serveForever();
    await server.ready;
    using client = await dial(server);
    await writeAll(client, "block\n");
    assertEquals(await promise, 1);
    await replaced;
    await server.serverClose();
    await serving;
  });

  test(`${name} forgets what nobody watches any more`, async () => {
    await using server = modeOf(name).open(Telling, { workers: 1 });
    let count = 0;
    const listener = () => void count++;
    server.on("requestEnd", listener);
    server.off("requestEnd", listener);
    const serving = server.serveForever();
    await server.ready;
    using client = await dial(server);
    await writeAll(client, "hello\n");
    await client.closeWrite();
    await readToEnd(client);
    const stats = await statsWhen(
      server,
      ({ duration }) => duration.count === 1,
      "it is measured",
    );
    assertEquals([count, stats.bytesRead.count], [0, 0]);
    await server.serverClose();
    await serving;
  });
}
