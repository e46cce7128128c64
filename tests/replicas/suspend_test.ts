/** Servers with replicas that are suspended, and whose limits change. */

import { assertEquals, assertRejects } from "@std/assert";
import type { BaseServer } from "../../mod.ts";
import { assertEchoes, dial, exchange, kinds } from "../servers/_support.ts";
import { LineEcho, Patient } from "./handlers_fixture.ts";
import {
  LASTING_MODES,
  type ReplicaServer,
  STREAM_MODES,
  testEach,
} from "./_support.ts";
import { refused } from "../support/sockets.ts";
import { until, within } from "../support/waiting.ts";

const RELAYED = STREAM_MODES.filter(({ dispatch }) => dispatch === "relay");
const SHARDED = LASTING_MODES.filter(({ dispatch }) => dispatch === "shard");

function base(server: ReplicaServer): BaseServer {
  return server as unknown as BaseServer;
}

testEach(
  [...new Set([...LASTING_MODES, ...RELAYED])],
  "refuses clients while it is suspended, serves those that it has, and all again after resume()",
  async (mode) => {
    await using server = mode.open(Patient);
    let isOver = false;
    const served = server.serveForever().finally(() => isOver = true);
    await server.ready;
    using before = await mode.connect(server);
    assertEquals(await before.receive(), "begun");
    await within("suspend()", base(server).suspend());
    await refused(() => dial(base(server)));
    await before.send("go");
    assertEquals(await before.receive(), "done");
    for (const _ of [1, 2]) {
      await within("resume()", base(server).resume());
      using after = await mode.connect(server);
      assertEquals(await within("a greeting", after.receive()), "begun");
      await after.send("go");
      assertEquals(await after.receive(), "done");
      await base(server).suspend();
      await refused(() => dial(base(server)));
    }
    assertEquals(isOver, false);
    await within("shutdown()", server.shutdown());
    await served;
  },
);

testEach(
  SHARDED,
  "suspended while it begins to serve refuses clients until resume()",
  async (mode) => {
    for (let steps = 0; steps < 4; steps++) {
      await using server = mode.open(LineEcho);
      const first = steps % 2 === 0;
      const suspended = first ? null : base(server).suspend();
      const served = server.serveForever();
      for (let i = 1; i < steps; i += 2) await Promise.resolve();
      await (suspended ?? base(server).suspend());
      await server.ready;
      await refused(() => dial(base(server)));
      await within("resume()", base(server).resume());
      using client = await mode.connect(server);
      assertEquals(await exchange(client, "resumed"), "resumed");
      await server.shutdown();
      await served;
    }
  },
);

testEach(
  LASTING_MODES,
  "does not serve after a shutdown() while it was suspended, but when it is told to",
  async (mode) => {
    await using server = mode.open(LineEcho);
    const served = server.serveForever();
    await server.ready;
    await base(server).suspend();
    await server.shutdown();
    await served;
    await base(server).resume();
    using client = await mode.connect(server);
    const answer = exchange(client, "hello");
    server.serveForever();
    assertEquals(await within("an answer", answer), "hello");
    await assertEchoes(kinds.tcp, base(server));
  },
);

testEach(
  LASTING_MODES,
  "settles each two operations in one turn, and serves after them",
  async (mode) => {
    await using server = mode.openOne(LineEcho);
    const operations = [
      () => server.shutdown(),
      () => base(server).suspend(),
      () => base(server).resume(),
    ];
    for (const first of operations) {
      for (const second of operations) {
        const served = server.serveForever();
        await server.ready;
        await within("both", Promise.all([first(), second()]));
        await base(server).resume();
        const isOver = first === operations[0] || second === operations[0];
        if (isOver) await within("serveForever()", served);
        const again = isOver ? server.serveForever() : served;
        using client = await mode.connect(server);
        assertEquals(await within("it", exchange(client, "hello")), "hello");
        await within("shutdown()", server.shutdown());
        await again;
      }
    }
  },
);

testEach(
  SHARDED,
  "setLimits() refuses a limit that is exact in one place alone, and gives others to replicas",
  async (mode) => {
    await using server = mode.open(Patient);
    server.serveForever();
    await server.ready;
    await assertRejects(
      () => base(server).setLimits({ maxConnections: 3 }),
      TypeError,
      '"maxConnections"',
    );
    await base(server).setLimits({ requestTimeout: 50 });
    const assertEnds = async () => {
      using client = await mode.connect(server);
      const end = async () => {
        // A busy machine may cut the client off before its greeting
        while (await client.receive().catch(() => null) !== null);
      };
      await within("the end", end());
    };
    await assertEnds();
    await server.reload();
    await assertEnds();
  },
);

testEach(
  STREAM_MODES,
  "lists its connections, and disconnect() ends one of them and no other",
  async (mode) => {
    await using server = mode.open(Patient);
    server.serveForever();
    await server.ready;
    const whole = base(server);
    using first = await mode.connect(server);
    assertEquals(await first.receive(), "begun");
    // A replica's word may come later than what its client gets
    await until(() => whole.connections().length === 1, "the first");
    const [known] = whole.connections();
    using second = await mode.connect(server);
    assertEquals(await second.receive(), "begun");
    await until(() => whole.connections().length === 2, "the second");
    const listed = whole.connections();
    for (const { since, replica } of listed) {
      assertEquals(Math.abs(Date.now() - since.getTime()) < 60_000, true);
      // A parent of processes gets some of what its port gets
      if (mode.dispatch !== "shard") assertEquals(replica, undefined);
    }
    const other = listed.find(({ id }) => id !== known!.id)!;
    assertEquals(whole.disconnect(known!.id), true);
    assertEquals(await first.receive().catch(() => null), null);
    await until(() => whole.connections().length === 1, "it is gone");
    assertEquals(whole.connections()[0]!.id, other.id);
    assertEquals(whole.disconnect("no such"), false);
    await second.send("go");
    assertEquals(await second.receive(), "done");
  },
);
