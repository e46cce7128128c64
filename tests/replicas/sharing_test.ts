/** The port of a server and its replicas: one, its own, and whoever's turn. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { TCPServer, Thread } from "../../mod.ts";
import {
  assertEchoes,
  type Client,
  exchange,
  kinds,
} from "../servers/_support.ts";
import {
  EchoHandler,
  servers,
  ThreadTeller,
  tryToServe,
} from "./servers_fixture.ts";
import { OneSocket } from "../../server/replicas/port_sharing.ts";
import { LineEcho, Patient, WhoAmI } from "./handlers_fixture.ts";
import {
  allReady,
  CROSSED_STREAMS,
  LASTING_MODES,
  type Mode,
  modeOf,
  sharedOrAuto,
  TCP_MODES,
  test,
  testEach,
} from "./_support.ts";
import { onceFree } from "../support/sockets.ts";
import { listDescendants } from "../support/system.ts";
import { pause, until, within } from "../support/waiting.ts";

testEach(
  TCP_MODES,
  "on port 0 serves at the port it tells, from the constructor on",
  async (mode) => {
    await using server = mode.open(LineEcho, { workers: 3 });
    const { port } = server.serverAddress as Deno.NetAddr;
    assert(port > 0);
    using early = await mode.connect(server);
    server.serveForever();
    assertEquals(await exchange(early, "early"), "early");
    await allReady(server);
    for (let i = 0; i < 10; i++) await assertEchoes(kinds.tcp, server);
    assertEquals((server.serverAddress as Deno.NetAddr).port, port);
  },
);

testEach(
  TCP_MODES,
  "is refused the port of any other server of this program, and refuses it",
  async (mode) => {
    await using server = mode.openOne(LineEcho);
    const { port } = server.serverAddress as Deno.NetAddr;
    const refuse = () => {
      for (const other of TCP_MODES) {
        assertThrows(() => other.openAt(port), Deno.errors.AddrInUse);
      }
      assertThrows(
        () => new TCPServer({ port }, EchoHandler),
        Deno.errors.AddrInUse,
      );
    };
    refuse();
    server.serveForever();
    await allReady(server);
    refuse();
    await assertEchoes(kinds.tcp, server);
    await using plain = new TCPServer({ port: 0 }, EchoHandler);
    assertThrows(
      () => mode.openAt(plain.serverAddress.port),
      Deno.errors.AddrInUse,
    );
  },
);

for (const hostname of ["localhost", "::1", "::", "0.0.0.0"]) {
  // With relay the parent listens alone: one family of addresses shows it
  const modes = LASTING_MODES.filter(({ dispatch }) =>
    dispatch === "shard" || hostname === "::1"
  );
  testEach(modes, `serves on "${hostname}"`, async (mode) => {
    await using server = mode.openAt(0, hostname);
    server.serveForever();
    await allReady(server);
    assertEquals((await server.stats()).dispatch, mode.dispatch);
    for (let i = 0; i < 4; i++) await assertEchoes(kinds.tcp, server);
  });
}

testEach(TCP_MODES, "its port is free again after a close", async (mode) => {
  const server = mode.openOne(LineEcho);
  const { port } = server.serverAddress as Deno.NetAddr;
  server.serveForever();
  await assertEchoes(kinds.tcp, server);
  await server.serverClose();
  await using next = await onceFree(() => mode.openAt(port));
  next.serveForever();
  await assertEchoes(kinds.tcp, next);
});

testEach(
  TCP_MODES,
  "takes the port of a server whose listener was closed, and not by its close",
  async (mode) => {
    const first = mode.openOne(LineEcho);
    const { port } = first.serverAddress as Deno.NetAddr;
    (first.socket as unknown as Deno.Listener).close();
    await using second = await onceFree(() => mode.openAt(port));
    second.serveForever();
    await assertEchoes(kinds.tcp, second);
    await first.serverClose();
    await assertEchoes(kinds.tcp, second);
  },
);

async function connectAll(
  mode: Mode,
  server: Parameters<Mode["connect"]>[0],
  count: number,
): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) clients.push(await mode.connect(server));
  return clients;
}

testEach(
  CROSSED_STREAMS.filter(({ dispatch }) => dispatch === "relay"),
  "gives a client to the replica with the fewest open requests",
  async (mode) => {
    await using server = mode.open(WhoAmI, { workers: 3 });
    server.serveForever();
    await allReady(server);
    const clients = await connectAll(mode, server, 9);
    const counts = new Map<string, number>();
    for (const client of clients) {
      const who = (await client.receive())!;
      counts.set(who, (counts.get(who) ?? 0) + 1);
    }
    assertEquals([...counts.values()], [3, 3, 3]);
    for (const client of clients) client[Symbol.dispose]();
  },
);

testEach(
  CROSSED_STREAMS.filter(({ dispatch }) => dispatch === "isolate"),
  "has a runner of its own for each request, at most so many at once; the others wait",
  async (mode) => {
    await using server = mode.open(WhoAmI, { workers: 3 });
    server.serveForever();
    const clients = await connectAll(mode, server, 5);
    const first = clients.slice(0, 3);
    const names = await Promise.all(first.map((client) => client.receive()));
    assertEquals(new Set(names).size, 3);
    let served = false;
    const waiting = clients[3]!.receive().finally(() => served = true);
    await pause(150);
    assertEquals(served, false);
    if (mode.runner === "process") {
      assert(listDescendants().length <= 4, "too many children");
    }
    await within("shutdown()", server.shutdown());
    server.serveForever();
    first[0]![Symbol.dispose]();
    const next = (await within("the fourth", waiting))!;
    assert(!names.includes(next), "a runner was used again");
    for (const client of clients) client[Symbol.dispose]();
  },
);

testEach(
  LASTING_MODES,
  "has at most maxConnections requests open in all replicas together",
  async (mode) => {
    await using server = mode.open(Patient, {
      workers: 2,
      maxConnections: 3,
      dispatch: sharedOrAuto(mode),
    });
    server.serveForever();
    const clients = await connectAll(mode, server, 6);
    let begun = 0;
    const greetings = clients.map((client) =>
      client.receive().then((line) => line === "begun" && begun++)
    );
    await until(() => begun >= 2, "requests to begin");
    await pause(100);
    assert(begun <= 3, `${begun} are open`);
    for (const [i, client] of clients.entries()) {
      await client.send("go");
      if (i > 2) await greetings[i];
    }
    await Promise.all(greetings);
    for (const client of clients) client[Symbol.dispose]();
  },
);

test("ForkingTCPServer by shard: a child that is replaced accepts until no client has come for a second", async () => {
  await using server = modeOf("ForkingTCPServer by shard").openOne(LineEcho);
  server.serveForever();
  await server.ready;
  const begin = performance.now();
  let isOver = false;
  const reloaded = server.reload().finally(() => isOver = true);
  // Enough that some get to its queue, whatever the others do with their share
  await Promise.all(Array.from({ length: 6 }, async () => {
    while (!isOver && performance.now() - begin < 1_500) {
      await assertEchoes(kinds.tcp, server);
      await pause(10);
    }
  }));
  assert(!isOver, "it left while clients came");
  await within("reload()", reloaded);
  assert(performance.now() - begin > 2_000);
});

test("a threading server in another thread is refused the port of one in this", async () => {
  await using server = modeOf("ThreadingTCPServer by shard").openOne(LineEcho);
  const { port } = server.serverAddress as Deno.NetAddr;
  await using thread = new Thread({
    target: tryToServe,
    args: [port],
    module: servers,
  });
  thread.start();
  assertEquals(await within("the refusal", thread.result), "AddrInUse");
});

test("ThreadingTCPServer by relay tells handlers their own thread", async () => {
  const mode = modeOf("ThreadingTCPServer by relay");
  await using server = mode.openOne(ThreadTeller);
  server.serveForever();
  using client = await mode.connect(server);
  const [name, ident] = (await client.receive())!.split(" ");
  assertEquals(name, "ThreadingTCPServer-1");
  assert(Number(ident) > 1, ident);
});

test("a server that has left its port gives up no other server's claim to it", () => {
  const open = new Set<Deno.TcpListener>();
  const listen = (addr: Deno.NetAddr, options: object) => {
    const isShared = "loadBalanced" in options &&
      [...open].every((other) => sharing.has(other));
    if (open.size > 0 && !isShared) throw new Deno.errors.AddrInUse("In use");
    const close = () => void open.delete(made);
    const made = { addr, close } as Deno.TcpListener;
    if ("loadBalanced" in options) sharing.add(made);
    open.add(made);
    return made;
  };
  const sharing = new WeakSet<Deno.TcpListener>();
  // The system knows nothing of a port that is made up
  const address = { transport: "tcp", hostname: "192.0.2.1", port: 9 } as const;
  const [first, second, third] = [
    new OneSocket(),
    new OneSocket(),
    new OneSocket(),
  ];
  first.bind(address, listen).close();
  first.leave();
  second.bind(address, listen);
  first.leave(); // it is closed while it is suspended
  assertThrows(() => third.bind(address, listen), Deno.errors.AddrInUse);
  second.leave();
});
