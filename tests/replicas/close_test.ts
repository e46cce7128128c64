/** Shutting down, serving again and closing, in every mode. */

import { assert, assertEquals } from "@std/assert";
import type { TcpServerOptions } from "../../mod.ts";
import { type Client, collectErrors, exchange } from "../servers/_support.ts";
import {
  Flooding,
  Greeter,
  LineEcho,
  Patient,
  Sleeping,
  Unending,
  Unmade,
  Upload,
} from "./handlers_fixture.ts";
import {
  CROSSED,
  CROSSED_STREAMS,
  LASTING_MODES,
  type Mode,
  type ReplicaServer,
  statsWhen,
  TCP_MODES,
  testEach,
  testTogether,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

async function connectAll(
  mode: Mode,
  server: Parameters<Mode["connect"]>[0],
  count: number,
): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    const client = await mode.connect(server);
    await client.send(`queued ${i}\n`);
    clients.push(client);
  }
  return clients;
}

async function assertAllEchoed(clients: Client[]): Promise<void> {
  for (const [i, client] of clients.entries()) {
    const line = await within(`reply ${i}`, client.receive());
    assertEquals(line?.trimEnd(), `queued ${i}`);
    client[Symbol.dispose]();
  }
}

testEach(
  CROSSED,
  "serverClose() of a server that never served serves what is queued",
  async (mode) => {
    const server = mode.openOne(LineEcho);
    const clients = await connectAll(mode, server, 5);
    const { aborted } = await within("the close", server.serverClose());
    assertEquals(aborted, []);
    await assertAllEchoed(clients);
  },
);

testEach(
  [...new Set([...CROSSED_STREAMS, ...TCP_MODES])],
  "serverClose() does not count a request whose handler could not be made",
  async (mode) => {
    const server = mode.openOne(Unmade);
    const errors = collectErrors(server);
    const clients = await connectAll(mode, server, 2);
    const report = await within("the close", server.serverClose());
    assertEquals(report, { completed: 0, aborted: [] });
    for (const client of clients) {
      assertEquals(await client.receive().catch(() => null), null);
      client[Symbol.dispose]();
    }
    // Those in replicas are told there
    assert(errors.every((error) => String(error).includes("unmade")));
  },
);

testEach(
  LASTING_MODES,
  "serverClose() counts the requests that are open when it begins, and no others",
  async (mode) => {
    const server = mode.openOne(Upload);
    server.serveForever();
    await server.ready;
    const clients: Client[] = [];
    for (let i = 0; i < 3; i++) {
      const client = await mode.connect(server);
      await client.send("put 6\n123");
      clients.push(client);
    }
    const areOpen = (count: number) =>
      statsWhen(server, ({ open }) => open === count, `${count} open ones`);
    const finish = async (client: Client) => {
      await client.send("456");
      assertEquals(await within("the answer", client.receive()), "kept 6");
    };
    await areOpen(3);
    await within("reload()", server.reload());
    const [before, soon, later] = clients;
    await finish(before!); // while its replica leaves
    await areOpen(2);
    const closing = server.serverClose();
    await finish(soon!);
    await pause(100);
    await finish(later!);
    const report = await within("the close", closing);
    assertEquals(report, { completed: 2, aborted: [] });
    for (const client of clients) client[Symbol.dispose]();
  },
);

testEach(
  LASTING_MODES,
  "serverClose() reports no client that disconnect() ends meanwhile",
  async (mode) => {
    const server = mode.openOne(Upload);
    server.serveForever();
    await server.ready;
    const clients: Client[] = [];
    for (let i = 0; i < 2; i++) {
      const client = await mode.connect(server);
      await client.send("put 6\n123");
      clients.push(client);
    }
    await statsWhen(server, ({ open }) => open === 2, "both are open");
    const closing = server.serverClose();
    assert(server.disconnect(server.connections()[0]!.id));
    const answers = clients.map((client) => client.receive().catch(() => null));
    await within("an end", Promise.race(answers));
    for (const client of clients) await client.send("456").catch(() => {});
    const all = await within("the answers", Promise.all(answers));
    assertEquals(all.filter((answer) => answer !== null), ["kept 6"]);
    const report = await within("the close", closing);
    assertEquals(report, { completed: 1, aborted: [] });
    for (const client of clients) client[Symbol.dispose]();
  },
);

/** Ends the only request, once the server knows of it. */
async function disconnectOne(server: ReplicaServer): Promise<void> {
  await until(() => server.connections().length === 1, "it is known");
  assert(server.disconnect(server.connections()[0]!.id));
}

/** What ends a request before its handler does. */
const CUTS: readonly [
  name: string,
  options: TcpServerOptions,
  cut: (server: ReplicaServer) => Promise<void> | void,
][] = [
  ["a time limit", { requestTimeout: 50 }, () => {}],
  ["disconnect()", {}, disconnectOne],
];

for (const [name, options, cut] of CUTS) {
  testEach(
    LASTING_MODES,
    `a request that ${name} cut off is told no more, though its handler goes on when its replica ends`,
    async (mode) => {
      const server = mode.openOne(Unending, {
        shutdownTimeout: 200,
        ...options,
      });
      server.handleError = () => {};
      const errors: unknown[] = [];
      server.on("error", ({ error }) => void errors.push(error));
      const left = Promise.withResolvers<void>();
      server.on("replicaExit", () => left.resolve());
      server.serveForever();
      await server.ready;
      const serve = async (told: number) => {
        using client = await mode.connect(server);
        assertEquals(await within("a word", client.receive()), "begun");
        await cut(server);
        assertEquals(await client.receive().catch(() => null), null);
        // By shard the client may know of it first
        await until(() => errors.length >= told, "the server knows");
      };
      const isTold = options.requestTimeout !== undefined;
      await serve(isTold ? 1 : 0);
      await server.reload();
      await within("the end of the replica", left.promise);
      await serve(isTold ? 2 : 0);
      const report = await within("the close", server.serverClose());
      assertEquals(report, { completed: 0, aborted: [] });
      const own = errors.filter((error) =>
        !String(error).includes("requestTimeout")
      );
      assertEquals(own, []);
    },
  );
}

testEach(
  CROSSED_STREAMS,
  "a time limit closes the connection of a client that reads nothing, though its handler goes on",
  async (mode) => {
    const options = { requestTimeout: 50, shutdownTimeout: 200 };
    await using server = mode.openOne(Flooding, options);
    server.handleError = () => {};
    server.on("error", () => {}); // nothing is printed
    server.serveForever();
    await server.ready;
    using client = await mode.connect(server);
    const isOpen = () => client.send("x").then(() => true, () => false);
    await until(async () => !await isOpen(), "the connection is closed");
  },
);

testEach(
  CROSSED,
  "disconnect() aborts a handler that waits for nothing else",
  async (mode) => {
    await using server = mode.openOne(Sleeping);
    server.serveForever();
    await server.ready;
    using client = await mode.connect(server);
    await client.send("word");
    const word = await within("a word", client.receive());
    assertEquals(word?.trimEnd(), "begun");
    await disconnectOne(server);
    await until(() => server.connections().length === 0, "it has ended");
  },
);

testEach(
  LASTING_MODES,
  "serverClose() reports a request that a time limit cuts off meanwhile, once",
  async (mode) => {
    const server = mode.openOne(Unending, { shutdownTimeout: 2_000 });
    server.handleError = () => {};
    server.on("error", () => {}); // nothing is printed
    server.serveForever();
    await server.ready;
    using client = await mode.connect(server);
    assertEquals(await within("a word", client.receive()), "begun");
    const closing = server.serverClose();
    await server.setLimits({ requestTimeout: 1 });
    const report = await within("the close", closing);
    assertEquals([report.completed, report.aborted.length], [0, 1]);
  },
);

testEach(
  CROSSED,
  "serverClose() serves what has queued since shutdown()",
  async (mode) => {
    const server = mode.openOne(LineEcho);
    const served = server.serveForever();
    await server.ready;
    await server.shutdown();
    await served;
    const clients = await connectAll(mode, server, 4);
    const { aborted } = await within("the close", server.serverClose());
    assertEquals(aborted, []);
    await assertAllEchoed(clients);
  },
);

testEach(
  CROSSED.filter(({ dispatch }) => dispatch !== "isolate"),
  "serverClose() while clients connect loses none that was connected",
  async (mode) => {
    const server = mode.openOne(LineEcho);
    server.serveForever();
    await server.ready;
    const clients = await connectAll(mode, server, 4);
    const { aborted } = await within("the close", server.serverClose());
    assertEquals(aborted, []);
    await assertAllEchoed(clients);
  },
);

testEach(
  CROSSED,
  "serves again after shutdown(), what has queued meanwhile too",
  async (mode) => {
    await using server = mode.openOne(LineEcho);
    for (const _ of [1, 2]) {
      const clients = await connectAll(mode, server, 2);
      const served = server.serveForever();
      await assertAllEchoed(clients);
      await server.shutdown();
      await served;
    }
  },
);

testEach(
  CROSSED,
  "shutdown() at once after serveForever() and before it settle",
  async (mode) => {
    await using server = mode.openOne(LineEcho);
    await within("an early shutdown()", server.shutdown());
    const served = server.serveForever();
    await Promise.all([server.shutdown(), server.shutdown()]);
    await within("serveForever()", served);
  },
);

testEach(
  CROSSED,
  "handleRequest() serves one request, before and after serveForever()",
  async (mode) => {
    // One stays with a client throughout
    const workers = mode.dispatch === "isolate" ? 2 : 1;
    await using server = mode.open(LineEcho, { workers });
    for (const line of ["first", "second"]) {
      using client = await mode.connect(server);
      const handled = server.handleRequest();
      assertEquals(await exchange(client, line), line);
      client[Symbol.dispose]();
      await within("handleRequest()", handled);
    }
    const served = server.serveForever();
    await server.ready;
    using other = await mode.connect(server);
    assertEquals(await exchange(other, "meanwhile"), "meanwhile");
    await server.shutdown();
    await served;
    let client: Client | null = null;
    let answer: Promise<string> | null = null;
    for (const line of ["third", "fourth", "fifth"]) {
      let isHandled = false;
      const handled = server.handleRequest().then(() => isHandled = true);
      // A replica that is about to leave the port may serve some before; who
      // comes when the request is over waits for the next call
      while (!isHandled) {
        client ??= await mode.connect(server);
        answer ??= exchange(client, "single");
        const first = Promise.race([answer, handled]);
        if (await within(`an answer to the ${line}`, first) === true) break;
        assertEquals(await answer, "single");
        client[Symbol.dispose]();
        client = answer = null;
        await within("its end", handled, 500).catch(() => {});
      }
    }
    client?.[Symbol.dispose]();
    await answer?.catch(() => {});
  },
);

testEach(
  CROSSED,
  "handleRequest() without a client times out",
  async (mode) => {
    await using server = mode.openOne(LineEcho, { timeout: 20 });
    let timeouts = 0;
    server.handleTimeout = () => void timeouts++;
    await within("handleRequest()", server.handleRequest());
    assertEquals(timeouts, 1);
  },
);

testEach(
  CROSSED_STREAMS,
  "serverClose() lets an open request finish",
  async (mode) => {
    const server = mode.openOne(Patient);
    server.serveForever();
    using client = await mode.connect(server);
    assertEquals(await client.receive(), "begun");
    let closed = false;
    const closing = server.serverClose().finally(() => closed = true);
    await pause(150);
    assertEquals(closed, false);
    await client.send("go");
    assertEquals(await client.receive(), "done");
    assertEquals(await closing, { completed: 1, aborted: [] });
  },
);

testTogether(
  CROSSED_STREAMS,
  "serverClose() is not held up by idle and never-spoke connections",
  async (mode) => {
    // A new one may speak for 5 s, but not in the last 100 ms of this time, in
    // which a busy machine may not have done with its end
    const server = mode.openOne(LineEcho, { shutdownTimeout: 20_000 });
    server.serveForever();
    using idle = await mode.connect(server);
    assertEquals(await exchange(idle, "hello"), "hello");
    using silent = await mode.connect(server);
    await pause(50);
    const { aborted } = await within("the close", server.serverClose());
    assertEquals(await idle.receive(), null);
    // The silent one is told 100 ms before the end, which a busy machine may miss
    assert(aborted.length <= 1, `${aborted.length} were cut`);
    assertEquals(await silent.receive().catch(() => null), null);
  },
);

testEach(
  CROSSED_STREAMS,
  "serverClose() cuts off at the deadline and names what it cut",
  async (mode) => {
    const server = mode.openOne(Patient, { shutdownTimeout: 100 });
    server.serveForever();
    using client = await mode.connect(server);
    assertEquals(await client.receive(), "begun");
    const begin = performance.now();
    const { aborted } = await server.serverClose();
    const took = performance.now() - begin;
    assertEquals(aborted.length, 1);
    assert(took >= 95, `It took ${took} ms`);
    assertEquals(await client.receive().catch(() => null), null);
  },
);

testEach(
  CROSSED_STREAMS,
  "serverClose() counts requests that end before its deadline",
  async (mode) => {
    const server = mode.openOne(Greeter);
    const served = server.serveForever();
    using client = await mode.connect(server);
    assertEquals(await client.receive(), "hello");
    assertEquals(await client.receive(), null);
    const { aborted } = await server.serverClose();
    assertEquals(aborted, []);
    await served;
  },
);

testEach(
  TCP_MODES.filter(({ dispatch }) => dispatch !== "shard"),
  "serverClose() serves a request that is still being verified",
  async (mode) => {
    const server = mode.openOne(LineEcho);
    const errors = collectErrors(server);
    const verified = Promise.withResolvers<boolean>();
    const verifying = Promise.withResolvers<void>();
    server.verifyRequest = () => {
      verifying.resolve();
      return verified.promise;
    };
    server.serveForever();
    await server.ready;
    const clients = await connectAll(mode, server, 1);
    await verifying.promise;
    const closing = server.serverClose();
    await until(() => server.fileno() < 0, "the listener is closed");
    await pause(50); // whatever the close does next
    verified.resolve(true);
    await assertAllEchoed(clients);
    assertEquals((await closing).aborted, []);
    assertEquals(errors, []);
  },
);

testEach(
  CROSSED.filter(({ isStream }) => !isStream),
  "serverClose() answers a packet that comes while it waits for another",
  async (mode) => {
    const server = mode.openOne(LineEcho);
    const errors = collectErrors(server);
    const verified: (() => void)[] = [];
    server.verifyRequest = () => {
      if (verified.length > 0) return true;
      return new Promise((resolve) => verified.push(() => resolve(true)));
    };
    let arrived = 0;
    const getRequest = server.getRequest.bind(server);
    server.getRequest = async () => {
      const request = await getRequest();
      arrived++;
      return request;
    };
    server.serveForever();
    await server.ready;
    const clients = await connectAll(mode, server, 1);
    await until(() => verified.length > 0, "the packet is verified");
    const closing = server.serverClose();
    await pause(100); // it takes what has queued first
    using late = await mode.connect(server);
    await late.send("late\n");
    await until(() => arrived === 2, "the other packet has come");
    verified[0]!();
    await assertAllEchoed(clients);
    assertEquals(await within("the reply", late.receive()), "late\n");
    assertEquals((await closing).aborted, []);
    assertEquals(errors, []);
  },
);
