/** What a user's server and handler classes are and see in replicas. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  EchoHandler,
  ForkingTCPServer,
  Lock,
  ModuleImportError,
  RLock,
  ThreadingMixIn,
  ThreadingTCPServer,
  UDPServer,
} from "../../mod.ts";
import {
  type Addressed,
  collectErrors,
  dial,
  exchange,
  kinds,
  messages,
  readToEnd,
} from "../servers/_support.ts";
import {
  Confined,
  Counting,
  Facade,
  Failing,
  LineEcho,
} from "./handlers_fixture.ts";
import {
  DescribingForking,
  DescribingThreading,
  HookedForking,
  HookedThreading,
  MixedForking,
  MixedThreading,
  PickyForking,
  PickyThreading,
  RefusingForking,
  RefusingThreading,
} from "./servers_fixture.ts";
import {
  CROSSED,
  CROSSED_STREAMS,
  dispatchesOf,
  sharedOrAuto,
  TCP_MODES,
  test,
  testEach,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

const HOOKED = [
  [HookedThreading, dispatchesOf(HookedThreading)],
  [HookedForking, dispatchesOf(HookedForking)],
  [MixedThreading, ["shard"]],
  [MixedForking, ["relay"]],
] as const;

for (const [Server, dispatches] of HOOKED) {
  for (const dispatch of dispatches) {
    test(`${Server.name} by ${dispatch} calls overridden hooks, where a request is accepted and where it is handled`, async () => {
      await using server = new Server({ port: 0 }, LineEcho, {
        dispatch,
        workers: 1,
      });
      server.serveForever();
      using client = await kinds.tcp.connect(server);
      assertEquals(await exchange(client, "hi"), "verified finishing hi");
    });
  }
}

for (const Server of [PickyThreading, PickyForking]) {
  test(`${Server.name} turns packets away by verifyRequest()`, async () => {
    await using server = new Server({ port: 0 }, EchoHandler, { workers: 1 });
    server.serveForever();
    using client = await kinds.udp.connect(server);
    await client.send("no");
    assertEquals(await exchange(client, "yes"), "yes");
    assertEquals((await server.stats()).rejected, 1);
  });
}

for (const Server of [RefusingThreading, RefusingForking]) {
  for (const dispatch of dispatchesOf(Server)) {
    test(`${Server.name} by ${dispatch} calls shutdownRequest() once for a request that verifyRequest() turns away`, async () => {
      await using server = new Server({ port: 0 }, LineEcho, {
        dispatch,
        workers: 1,
      });
      server.serveForever();
      const conn = await dial(server as Addressed);
      assertEquals(await readToEnd(conn), "shut\n");
      conn.close();
    });
  }
}

testEach(
  CROSSED,
  "tells a handler's error where the handler runs, and serves on",
  async (mode) => {
    await using server = mode.openOne(Failing);
    const errors = collectErrors(server);
    server.serveForever();
    for (const n of [1, 2]) {
      using client = await mode.connect(server);
      await client.send("x\n");
      if (mode.isStream) {
        assertEquals(await client.receive().catch(() => null), null);
      }
      await until(
        async () => (await server.stats()).errors === n,
        "the count of errors",
      );
    }
    // The replica's own handleError() printed it; the server's was not called
    assertEquals(messages(errors), []);
  },
);

test("a server class that names no module is refused at construction, with the cure", () => {
  class Nameless extends ThreadingTCPServer {}
  const error = assertThrows(
    () => new Nameless({ port: 0 }, LineEcho),
    ModuleImportError,
    'give the server the option "module: import.meta.url"',
  );
  assertEquals(error.module, null);
  assertThrows(
    () => new (ThreadingMixIn(UDPServer))({ port: 0 }, EchoHandler),
    ModuleImportError,
  );
  class Unknown extends LineEcho {}
  assertThrows(
    () => new ForkingTCPServer({ port: 0 }, Unknown),
    ModuleImportError,
    'class "Unknown"',
  );
});

testEach(
  CROSSED_STREAMS,
  "gives handlers a server with address, context, counts and shutdown()",
  async (mode) => {
    await using server = mode.openOne(Facade, { context: { word: "ours" } });
    const served = server.serveForever();
    using client = await mode.connect(server);
    await client.send("look\n");
    const seen = JSON.parse((await client.receive())!);
    assertEquals(seen.serverAddress, { ...server.serverAddress });
    assertEquals([seen.word, seen.open], ["ours", 1]);
    assert(seen.workers >= 1);
    assertEquals(await exchange(client, "shutdown"), "down");
    await within("serveForever()", served);
    const again = server.serveForever();
    await client.send("look\n");
    assertEquals(JSON.parse((await client.receive())!).word, "ours");
    await server.shutdown();
    await again;
  },
);

testEach(
  CROSSED_STREAMS.filter(({ runner }) => runner === "thread"),
  "shares a Lock and memory with its handlers for real",
  async (mode) => {
    const counter = new Int32Array(new SharedArrayBuffer(4));
    await using server = mode.open(Counting, {
      context: { lock: new Lock(), counter },
    });
    server.serveForever();
    await Promise.all(Array.from({ length: 6 }, async () => {
      using client = await mode.connect(server);
      assertEquals(await client.receive(), "counted");
    }));
    assertEquals(counter[0], 600);
  },
);

testEach(
  TCP_MODES.filter(({ runner }) => runner === "process"),
  "refuses a context that processes can't share",
  (mode) => {
    for (const shared of [new RLock(), new SharedArrayBuffer(4)]) {
      assertThrows(
        () => mode.open(LineEcho, { context: { shared } }),
        TypeError,
        'Cannot give "context" to the handlers in replicas',
      );
    }
    return Promise.resolve();
  },
);

testEach(TCP_MODES, "refuses a context that can't be cloned", (mode) => {
  assertThrows(
    () => mode.open(LineEcho, { context: { call: () => {} } }),
    TypeError,
    'Cannot give "context" to the handlers in replicas',
  );
  return Promise.resolve();
});

testEach(
  CROSSED,
  'with permissions "none" serves its requests and may do nothing else',
  async (mode) => {
    await using server = mode.openOne(Confined, {
      permissions: "none",
      dispatch: sharedOrAuto(mode),
    });
    server.serveForever();
    using client = await mode.connect(server);
    assertEquals(
      await exchange(client, "served"),
      "served NotCapable NotCapable NotCapable NotCapable",
    );
    const { dispatch } = await server.stats();
    assertEquals(dispatch, mode.dispatch === "shard" ? "relay" : mode.dispatch);
  },
);

for (const Server of [DescribingThreading, DescribingForking]) {
  Deno.test(`${Server.name} answers stats() of a handler with plain counts`, async () => {
    await using server = new Server({ port: 0 }, Facade, {
      workers: 1,
      dispatch: "relay",
      context: { word: "" },
    });
    server.serveForever();
    using client = await Deno.connect(server.serverAddress);
    await client.write(new TextEncoder().encode("stats\n"));
    await client.closeWrite();
    const { open, workers } = JSON.parse(
      await new Response(client.readable).text(),
    );
    assertEquals([open, workers], [1, 1]);
  });
}
