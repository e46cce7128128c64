/** The behaviour that CPython's test_socketserver checks, for the plain servers. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  EchoHandler,
  RequestHandler,
  ServerClosedError,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import {
  ALL,
  assertBound,
  collectErrors,
  dial,
  exchange,
  kinds,
  messages,
  readExactly,
  readToEnd,
  test,
  testEach,
} from "./_support.ts";
import { within } from "../support/waiting.ts";

class Failing extends RequestHandler {
  override handle(): void {
    throw new RangeError("from the handler");
  }
}

testEach(
  ALL,
  "serves three clients in turn, then shuts down and closes",
  async (kind) => {
    const server = kind.open(EchoHandler);
    const { socket, serverAddress } = server;
    if (kind.name !== "UnixDatagramServer" && kind.name !== "UDPServer") {
      assertEquals((socket as Deno.Listener).addr, serverAddress);
    }
    const served = server.serveForever();
    for (const line of ["one", "two", "three"]) {
      using client = await kind.connect(server);
      assertEquals(await exchange(client, line), line);
    }
    await server.shutdown();
    await served;
    assertBound(server);
    await server.serverClose();
    assertEquals(server.fileno(), -1);
    await assertRejects(() => server.serveForever(), ServerClosedError);
  },
);

test("Twenty servers started and shut down at once all end", async () => {
  const servers = Array.from(
    { length: 20 },
    () => new TCPServer({ port: 0 }, EchoHandler),
  );
  const served = servers.map((server) => server.serveForever());
  await Promise.all(servers.map((server) => server.shutdown()));
  await Promise.all(served);
  await Promise.all(servers.map((server) => server.serverClose()));
});

testEach(ALL, "closes with no request served", async (kind) => {
  const server = kind.open(EchoHandler);
  const served = server.serveForever();
  const report = await within("the close", server.serverClose());
  await served;
  assertEquals(report, { completed: 0, aborted: [] });
});

test("1024 constructors that fail leak no descriptor", () => {
  using taken = Deno.listen({ port: 0 });
  for (let i = 0; i < 1024; i++) {
    const port = i % 2 === 0 ? -1 : taken.addr.port;
    try {
      new TCPServer({ port }, EchoHandler);
      throw new Error("It did not fail");
    } catch (error) {
      assert(
        error instanceof RangeError || error instanceof Deno.errors.AddrInUse,
      );
    }
  }
  // The sanitizer sees a listener that is left
});

testEach(ALL, "closes at the end of its block", async (kind) => {
  const server = kind.open(EchoHandler);
  {
    await using _disposed = server;
    assertBound(server);
  }
  assertEquals(server.fileno(), -1);
});

testEach(
  ALL,
  "gives a handler's error to handleError() and serves on",
  async (kind) => {
    await using server = kind.open(Failing);
    const { promise, resolve } = Promise.withResolvers<void>();
    const errors = collectErrors(server);
    server.closeRequest = (request) => {
      if (errors.length === 2) resolve();
      if ("close" in request) request.close();
    };
    server.serveForever();
    for (const _ of [1, 2]) {
      using client = await kind.connect(server);
      await client.send("x\n");
      if (kind.isStream) await client.receive().catch(() => {});
    }
    await promise;
    assertEquals(messages(errors), ["from the handler", "from the handler"]);
    assert(errors[0] instanceof RangeError);
    assertEquals((await server.stats()).errors, 2);
  },
);

class WriteFirst extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("early");
    assertEquals(await this.rfile.readLine(), "seen");
  }
}

test("wfile: a write arrives without a flush", async () => {
  await using server = new TCPServer({ port: 0 }, WriteFirst);
  server.serveForever();
  using client = await dial(server);
  assertEquals(await readExactly(client, 5), new TextEncoder().encode("early"));
  await client.write(new TextEncoder().encode("seen\n"));
  assertEquals(await readToEnd(client), "");
});

const LARGE = 16 * 1024 * 1024 + 1;

class LargeWriter extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const bytes = new Uint8Array(LARGE).fill(97);
    bytes[LARGE - 1] = 98;
    const count = await this.wfile.write(bytes);
    await this.wfile.write(` ${count}`);
  }
}

for (const kind of [kinds.tcp, kinds.unix]) {
  test(`${kind.name} wfile: 16 MiB and a byte are written whole, the count is returned`, async () => {
    await using server = kind.open(LargeWriter);
    server.serveForever();
    using client = await dial(server);
    const bytes = await readExactly(client, LARGE);
    assert(bytes.subarray(0, -1).every((byte) => byte === 97));
    assertEquals(bytes.at(-1), 98);
    assertEquals(await readToEnd(client), ` ${LARGE}`);
  });
}

testEach(
  ALL,
  "verifyRequest() false: shutdownRequest() exactly once",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    let shutdowns = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const shutdownRequest = server.shutdownRequest.bind(server);
    Object.assign(server, {
      verifyRequest: () => shutdowns > 0,
      shutdownRequest(request: Deno.Conn) {
        shutdowns++;
        resolve();
        return shutdownRequest(request);
      },
    });
    server.serveForever();
    using refused = await kind.connect(server);
    await refused.send("refused\n").catch(() => {}); // it may be closed
    await promise;
    if (kind.isStream) {
      assertEquals(await refused.receive().catch(() => null), null);
    }
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "served"), "served");
    const { accepted, rejected } = await server.stats();
    assertEquals([accepted, rejected], [2, 1]);
  },
);
