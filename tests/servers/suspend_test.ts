/** suspend() and resume(). */

import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { EchoHandler, ServerClosedError, TCPServer } from "../../mod.ts";
import {
  ALL,
  assertEchoes,
  type Client,
  collectErrors,
  DATAGRAMS,
  dial,
  exchange,
  kinds,
  readExactly,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { onceFree, refused } from "../support/sockets.ts";
import { pause, until, within } from "../support/waiting.ts";

testEach(
  STREAMS,
  "suspended refuses new clients, serves open ones, and resumes on its address",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const { serverAddress } = server;
    const served = server.serveForever();
    using open = await kind.connect(server);
    assertEquals(await exchange(open, "before"), "before");
    await server.suspend();
    await refused(() => dial(server));
    assertEquals(await exchange(open, "meanwhile"), "meanwhile");
    await server.resume();
    assertEquals(server.serverAddress, serverAddress);
    await assertEchoes(kind, server);
    assertEquals(await exchange(open, "after"), "after");
    await server.shutdown();
    await served;
  },
);

testEach(
  STREAMS,
  "suspend() serves who has connected already",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const clients: Client[] = [];
    for (let i = 0; i < 50; i++) clients.push(await kind.connect(server));
    server.serveForever();
    const suspended = server.suspend();
    for (const [i, client] of clients.entries()) {
      assertEquals(await exchange(client, `${i}`), `${i}`);
      client[Symbol.dispose]();
    }
    await suspended;
    assertEquals((await server.stats()).accepted, 50);
  },
);

testEach(
  DATAGRAMS,
  "suspended drops packets and counts them; resumed answers",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    server.serveForever();
    await assertEchoes(kind, server);
    await server.suspend();
    using client = await kind.connect(server);
    await client.send("lost");
    await until(async () => (await server.stats()).refused === 1, "the drop");
    await server.resume();
    assertEquals(await exchange(client, "answered"), "answered");
  },
);

testEach(
  ALL,
  "suspend() and resume() can be called twice, and before serving",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    await server.resume();
    await server.suspend();
    await server.suspend();
    await server.resume();
    await server.resume();
    server.serveForever();
    await assertEchoes(kind, server);
    await Promise.all([server.suspend(), server.suspend()]);
    await Promise.all([server.resume(), server.resume()]);
    await assertEchoes(kind, server);
  },
);

testEach(ALL, "shutdown() ends a suspended serveForever()", async (kind) => {
  await using server = kind.open(EchoHandler);
  const served = server.serveForever();
  await server.suspend();
  await within("shutdown()", server.shutdown());
  await within("serveForever()", served);
  await server.resume();
  server.serveForever();
  await assertEchoes(kind, server);
});

testEach(
  STREAMS,
  "suspended can't begin to serve, and says so",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    await server.suspend();
    await assertRejects(() => server.serveForever(), TypeError, "resume()");
    await assertRejects(() => server.handleRequest(), TypeError, "resume()");
  },
);

testEach(
  ALL,
  "serverClose() closes a suspended server for good",
  async (kind) => {
    const server = kind.open(EchoHandler);
    const served = server.serveForever();
    await server.suspend();
    await within("serverClose()", server.serverClose());
    await served;
    await assertRejects(() => server.resume(), ServerClosedError);
    await assertRejects(() => server.suspend(), ServerClosedError);
  },
);

testEach(
  STREAMS,
  "serverClose() while suspend() is under way settles both",
  async (kind) => {
    const server = kind.open(EchoHandler);
    const served = server.serveForever();
    const suspended = server.suspend();
    await within("serverClose()", server.serverClose());
    await suspended;
    await served;
  },
);

test("TCPServer.resume() rejects while another holds the port, and can be tried again", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const served = server.serveForever();
  await server.suspend();
  const thief = await onceFree(() => Deno.listen(server.serverAddress));
  await assertRejects(() => server.resume(), Deno.errors.AddrInUse);
  thief.close();
  await pause(0);
  await server.resume();
  using conn = await dial(server);
  await writeAll(conn, "served");
  await conn.closeWrite();
  assertEquals(await readToEnd(conn), "served");
  await server.shutdown();
  await served;
});

for (const isAsync of [false, true]) {
  const name = isAsync ? "an async serverActivate()" : "serverActivate()";
  test(`TCPServer.resume() can be tried again after ${name} has thrown`, async () => {
    let fails = false;
    class Failing extends TCPServer {
      override serverActivate() {
        super.serverActivate();
        if (!fails) return;
        const error = new Error("not today");
        if (isAsync) return Promise.reject(error);
        throw error;
      }
    }
    await using server = new Failing({ port: 0 }, EchoHandler);
    const served = server.serveForever();
    await server.suspend();
    fails = true;
    const resumed = server.resume();
    await assertRejects(() => resumed, Error, "not today");
    await refused(() => dial(server));
    fails = false;
    await server.resume();
    using conn = await dial(server);
    await writeAll(conn, "served");
    await conn.closeWrite();
    assertEquals(await within("an echo", readToEnd(conn)), "served");
    await server.shutdown();
    await served;
  });
}

test("TCPServer.ready waits while resume() can be tried again", async () => {
  let fails = false;
  class Failing extends TCPServer {
    override async serverActivate() {
      await super.serverActivate();
      if (fails) throw new Error("not today");
    }
  }
  await using server = new Failing({ port: 0 }, EchoHandler);
  await server.suspend();
  fails = true;
  await assertRejects(() => server.resume(), Error, "not today");
  await assertRejects(() => server.serveForever(), Error, "not today");
  fails = false;
  await server.resume();
  const served = server.serveForever();
  await within("ready", server.ready);
  await server.shutdown();
  await served;
});

test("TCPServer suspended again and again under load serves each connection that it took", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, {
    requestQueueSize: 20,
  });
  server.serveForever();
  let over = false;
  let echoes = 0;
  const visits = Array.from({ length: 4 }, async () => {
    while (!over) {
      try {
        using conn = await dial(server);
        await writeAll(conn, "x");
        await readExactly(conn, 1);
        echoes++;
      } catch (error) {
        // Refused, or reset in the queue of the listener that was closed
        if (!(error instanceof Deno.errors.ConnectionRefused)) {
          assertInstanceOf(error, Deno.errors.ConnectionReset);
        }
        await pause(1);
      }
    }
  });
  for (let i = 0; i < 20; i++) {
    await server.suspend();
    await server.resume();
    await pause(2);
  }
  over = true;
  await Promise.all(visits);
  assertEquals((await server.stats()).accepted, echoes);
});

testEach(
  ALL,
  "handleRequest() waits through a suspension, and serves after it",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const handled = server.handleRequest();
    await server.ready;
    await server.suspend();
    await server.resume();
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "resumed"), "resumed");
    client[Symbol.dispose]();
    await within("handleRequest()", handled);
  },
);

testEach(
  ALL,
  "handleRequest() of a suspended server calls handleTimeout() in time, and ends at shutdown()",
  async (kind) => {
    await using server = kind.open(EchoHandler, { timeout: 30 });
    let timeouts = 0;
    server.handleTimeout = () => void timeouts++;
    const handled = server.handleRequest();
    await server.suspend();
    await within("handleRequest()", handled);
    assertEquals(timeouts, 1);
    await server.resume();
    server.timeout = null;
    const ended = server.handleRequest();
    await server.suspend();
    await within("shutdown()", server.shutdown());
    await within("handleRequest()", ended);
    assertEquals(timeouts, 1);
  },
);

testEach(
  DATAGRAMS,
  "handleRequest() does not end with a packet that a suspended server drops",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const errors = collectErrors(server);
    const handled = server.handleRequest();
    await server.suspend();
    using client = await kind.connect(server);
    await client.send("lost");
    await until(async () => (await server.stats()).refused === 1, "the drop");
    await server.resume();
    assertEquals(await exchange(client, "answered"), "answered");
    await within("handleRequest()", handled);
    assertEquals(errors, []);
  },
);

test("TCPServer.resume() opens its address as soon as a starting child has left it", async () => {
  let copies = 0;
  class Copied extends TCPServer {
    override serverBind() {
      if (copies-- > 0) throw new Deno.errors.AddrInUse("a child has it");
      return super.serverBind();
    }
  }
  await using server = new Copied({ port: 0 }, EchoHandler);
  server.serveForever();
  await server.suspend();
  copies = 3;
  await server.resume();
  assertEquals(copies, -1);
  await assertEchoes(kinds.tcp, server);
});
