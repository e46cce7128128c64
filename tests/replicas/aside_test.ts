/** Child processes with queues of their own, which their server leaves to them. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  type ForkingTCPServer,
  type OpenConnection,
  TCPServer,
} from "../../mod.ts";
import { core } from "../../server/_internal.ts";
import { Presence } from "../../server/replicas/port_sharing.ts";
import { otherTls, tls } from "../servers/_certificates.ts";
import {
  assertEchoes,
  collectErrors,
  dial,
  exchange,
  freePath,
  kinds,
  writeAll,
} from "../servers/_support.ts";
import { Greeter, LineEcho } from "./handlers_fixture.ts";
import { Lingering } from "./lingering_fixture.ts";
import { LateForking } from "./servers_fixture.ts";
import { allReady, modeOf, test } from "./_support.ts";
import { refused } from "../support/sockets.ts";
import { LINUX_ONLY, listDescendants } from "../support/system.ts";
import { pause, until, within } from "../support/waiting.ts";

const mode = modeOf("ForkingTCPServer by shard");
type Server = ForkingTCPServer;

function open(options: { workers?: number } = {}): Server {
  return mode.open(LineEcho, options) as unknown as Server;
}

/** Waits until the replicas alone listen. */
async function aside(server: Server): Promise<void> {
  await until(() => server.socket === null, "the server leaves the port");
}

function kill(): void {
  const children = listDescendants().filter(({ command }) =>
    command.startsWith(Deno.execPath())
  );
  for (const { pid } of children) Deno.kill(pid, "SIGKILL");
}

/** Asserts that replicas accept all clients. */
async function assertServesAlone(server: Server): Promise<void> {
  for (let i = 0; i < 10; i++) {
    using conn = await dial(server);
    await writeAll(conn, "x");
    const { port } = conn.localAddr as Deno.NetAddr;
    const isOne = ({ clientAddress }: OpenConnection) =>
      (clientAddress as Deno.NetAddr).port === port;
    await until(() => server.connections().some(isOne), "it is known");
    const { replica } = server.connections().find(isOne)!;
    assert(replica !== undefined, "the server has relayed it");
  }
}

function testAside(what: string, run: (server: Server) => Promise<void>) {
  test(`ForkingTCPServer by shard ${what}`, async () => {
    await using server = open();
    const served = server.serveForever();
    await server.ready;
    await aside(server);
    await run(server);
    await server.serverClose();
    await served;
  }, LINUX_ONLY);
}

testAside("leaves its port to the replicas", assertServesAlone);

testAside("that left its port is paused and goes on", async (server) => {
  await within("shutdown()", server.shutdown());
  using client = await kinds.tcp.connect(server);
  const answer = exchange(client, "waited");
  void server.serveForever();
  assertEquals(await within("an answer", answer), "waited");
  await assertServesAlone(server);
});

testAside("that left its port takes single requests there", async (server) => {
  await server.shutdown();
  for (let i = 0; i < 3; i++) {
    let isHandled = false;
    const handled = server.handleRequest().finally(() => isHandled = true);
    while (!isHandled) {
      // Replicas have the clients that they have queued, until they have left
      using client = await kinds.tcp.connect(server);
      const answer = exchange(client, "one").catch(() => "lost");
      await within("one of both", Promise.race([handled, answer]));
    }
  }
  assert(server.socket !== null);
  void server.serveForever();
  await aside(server);
  await assertServesAlone(server);
});

testAside(
  "that left its port serves on after a single request for which it can't listen",
  async (server) => {
    await server.shutdown();
    server.serverBind = () => {
      throw new Deno.errors.Busy("Not now");
    };
    const handled = within("handleRequest()", server.handleRequest());
    await assertRejects(() => handled, Deno.errors.Busy);
    Reflect.deleteProperty(server, "serverBind");
    void server.serveForever();
    await assertServesAlone(server);
  },
);

testAside("that left its port is suspended and resumed", async (server) => {
  for (let i = 0; i < 2; i++) {
    await within("suspend()", server.suspend());
    await refused(() => dial(server));
    await within("resume()", server.resume());
    await assertEchoes(kinds.tcp, server);
    await aside(server);
    await assertServesAlone(server);
  }
});

testAside("that left its port listens when no replica does", async (server) => {
  const errors = collectErrors(server);
  kill();
  await until(() => server.socket !== null, "the server listens");
  await assertEchoes(kinds.tcp, server);
  await allReady(server);
  await aside(server);
  await assertServesAlone(server);
  assertEquals(errors.length, 2);
});

testAside(
  "that left its port and is paused keeps it when its replicas die",
  async (server) => {
    collectErrors(server);
    await server.shutdown();
    kill();
    await until(() => server.socket !== null, "the server listens");
    using client = await kinds.tcp.connect(server);
    const answer = exchange(client, "waited");
    void server.serveForever();
    assertEquals(await within("an answer", answer), "waited");
  },
);

testAside("that left its port replaces its replicas", async (server) => {
  const before = (await server.stats()).replicas!;
  let isOver = false;
  const reloaded = server.reload().finally(() => isOver = true);
  while (!isOver) {
    await assertEchoes(kinds.tcp, server);
    await pause(20); // they leave in a quiet moment, or after some seconds
  }
  await reloaded;
  const after = (await server.stats()).replicas!
    .filter(({ state }) => state !== "draining");
  assert(after[0]!.replica > before[1]!.replica);
  assertEquals(server.socket, null);
});

testAside(
  "that left its port accepts what replicas have queued when it closes",
  async (server) => {
    await server.shutdown();
    const clients = [];
    for (let i = 0; i < 20; i++) clients.push(await kinds.tcp.connect(server));
    const closed = server.serverClose();
    for (const client of clients) {
      assertEquals(await exchange(client, "queued"), "queued");
      client[Symbol.dispose]();
    }
    assertEquals(await closed, { completed: 20, aborted: [] });
    await assertRejects(() => dial(server), Deno.errors.ConnectionRefused);
  },
);

test(
  "ForkingTCPServer by shard that left its port replaces its certificate, with one replica too",
  async () => {
    await using server = mode.openOne(Greeter, tls) as unknown as Server;
    const served = server.serveForever();
    await server.ready;
    await aside(server);
    let isOver = false;
    const replaced = server.replaceCertificate(otherTls)
      .finally(() => isOver = true);
    const before = performance.now();
    while (!isOver) {
      try {
        (await dial(server)).close();
      } catch (error) {
        // The replica's queue closes for a moment, but nobody is refused
        assertInstanceOf(error, Deno.errors.ConnectionReset);
      }
      await pause(1);
    }
    await replaced;
    // Connects to the replica's queue could have been under way
    assert(performance.now() - before > 900);
    const caCerts = [otherTls.cert];
    const connect = () => Deno.connectTls({ ...server.serverAddress, caCerts });
    for (let i = 0; i < 2; i++) {
      using client = await connect();
      assertEquals(await new Response(client.readable).text(), "hello\n");
      await aside(server);
    }
    await server.serverClose();
    await served;
  },
  LINUX_ONLY,
);

test(
  "ForkingTCPServer by shard stays at its port while a replica has not come",
  async () => {
    const path = freePath();
    Deno.env.set("SERVERS_TEST_FIRST", path);
    await using server = mode.open(Lingering) as unknown as Server;
    const served = server.serveForever();
    await server.ready;
    await assertEchoes(kinds.tcp, server);
    await pause(300);
    assert(server.socket !== null);
    await Deno.remove(path);
    await aside(server);
    Deno.env.delete("SERVERS_TEST_FIRST");
    await server.serverClose();
    await served;
  },
  LINUX_ONLY,
);

test(
  "ForkingTCPServer by shard knows a replica that binds late as ready when it listens",
  async () => {
    const context = freePath();
    await using server = new LateForking({ port: 0 }, LineEcho, {
      context,
      dispatch: "shard",
      workers: 1,
    });
    const started = new Promise<string>((resolve) => {
      server.on("replicaStart", () => resolve(Deno.readTextFileSync(context)));
    });
    const served = server.serveForever();
    assertEquals(await within("a replica", started), "xx"); // the server's, too
    await server.serverClose();
    await served;
  },
  LINUX_ONLY,
);

test("a server returns to its port once, however many replicas die", async () => {
  let tries = 0;
  const { promise, reject } = Promise.withResolvers<void>();
  const failure = Promise.withResolvers<Error>();
  const presence = new Presence({
    isAside: true,
    isClosed: false,
    waitsSince: null,
    stepAside: () => Promise.resolve(),
    stepBack: () => (tries++, promise),
  }, {
    othersServe: () => false,
    othersListen: () => false,
    silence: () => 1_000,
    failed: failure.resolve,
  });
  for (let i = 0; i < 3; i++) presence.check();
  assertEquals(tries, 1);
  reject(new Error("Taken"));
  assertEquals((await within("its error", failure.promise)).message, "Taken");
  await pause(0);
  presence.check(); // another died later
  assertEquals(tries, 2);
});

test("a listener is left when that is meant, and opened again", async () => {
  await using server = new TCPServer({ port: 0 }, Greeter);
  const { [core]: { listening }, serverAddress } = server;
  const served = server.serveForever();
  await server.ready;
  await assertGreets(server);
  await listening.stepBack();
  await listening.stepAside(() => false);
  await assertGreets(server);
  await listening.stepAside(() => true);
  await listening.stepAside(() => true);
  assertEquals([listening.isAside, server.socket], [true, null]);
  await refused(() => dial(server));
  await server.resume(); // has no part in it
  assert(listening.isAside);
  await server.shutdown();
  await served;
  const again = server.serveForever();
  await listening.stepBack();
  assertEquals(server.serverAddress, serverAddress);
  await assertGreets(server);
  await listening.stepAside(() => true);
  await server.suspend();
  assert(!listening.isAside);
  await server.resume();
  await assertGreets(server);
  await listening.stepAside(() => true);
  await Promise.all([listening.stepBack(), server.serverClose()]);
  await again;
  assertEquals(server.socket, null);
});

async function assertGreets(server: TCPServer): Promise<void> {
  using client = await kinds.tcp.connect(server);
  assertEquals(await within("a greeting", client.receive()), "hello");
}

/** Serves, stops, begins to take a single request; times what comes then. */
async function timeWhileLeaving(name: "suspend" | "serverClose") {
  await using server = open({ workers: 2 });
  const serving = server.serveForever();
  await allReady(server);
  await server.shutdown();
  await serving;
  const single = server.handleRequest().catch(() => {});
  await pause(50); // the replicas begin to leave the port
  const began = performance.now();
  await within<unknown>(name, server[name]());
  const took = performance.now() - began;
  await server.serverClose();
  await single;
  return took;
}

for (const name of ["suspend", "serverClose"] as const) {
  test(`${mode.name}: ${name}() does not wait until replicas that leave the port have been without clients for a second`, async () => {
    const times: number[] = [];
    // One is enough: a busy machine makes others late
    while (times.every((took) => took > 500)) {
      assert(times.length < 5, String(times));
      times.push(await timeWhileLeaving(name));
    }
  });
}
