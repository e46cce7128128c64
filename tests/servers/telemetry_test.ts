import { assert, assertEquals, assertThrows } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  BaseRequestHandler,
  type BaseServer,
  type DatagramRequest,
  EchoHandler,
  RequestHandler,
  type ServerEvents,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import { ascii } from "./_proxy_headers.ts";
import {
  ALL,
  collectErrors,
  dial,
  exchange,
  readExactly,
  readToEnd,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

type Name = keyof ServerEvents;

/** The names of some events of a server, as they come. */
function listen(
  server: Pick<BaseServer, "on">,
  ...names: Name[]
): { name: Name; event: Record<string, unknown> }[] {
  const events: { name: Name; event: Record<string, unknown> }[] = [];
  for (const name of names) {
    server.on(name, (event) => void events.push({ name, event: { ...event } }));
  }
  return events;
}

/** Waits for the next event of a kind. */
function next<K extends Name>(
  server: Pick<BaseServer, "on" | "off">,
  name: K,
): Promise<ServerEvents[K]> {
  const { promise, resolve } = Promise.withResolvers<ServerEvents[K]>();
  server.on(name, function listener(event) {
    server.off(name, listener);
    resolve(event);
  });
  return within(name, promise);
}

testEach(
  ALL,
  "on() tells of requests, with their duration and bytes",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const connections = listen(server, "connection");
    const ended = next(server, "requestEnd");
    server.serveForever();
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "hello"), "hello");
    await client.end();
    const event = await ended;
    assertEquals(event.serverAddress, server.serverAddress);
    assertEquals(event.bytesRead, 6);
    assertEquals(event.bytesWritten, 6);
    assertEquals(event.failed, false);
    assert(event.duration > 0);
    assertEquals(connections.length, kind.isStream ? 1 : 0);
    const stats = await server.stats();
    for (
      const { count, total, min, max, p50 } of [
        stats.bytesRead,
        stats.bytesWritten,
      ]
    ) {
      assertEquals([count, total, min, max, p50], [1, 6, 6, 6, 6]);
    }
    assertEquals(stats.duration.count, 1);
    assertEquals(stats.duration.total, event.duration);
  },
);

test("on() counts the bytes of reads and writes in any form", async () => {
  class Streams extends BaseRequestHandler<Deno.Conn> {
    override async handle(): Promise<void> {
      const { readable, writable } = this.request;
      assertEquals(readable, this.request.readable);
      const writer = writable.getWriter();
      await writer.write(await new Response(readable).bytes());
      await writer.close();
    }
  }
  await using server = new TCPServer({ port: 0 }, Streams);
  const errors = collectErrors(server);
  const ended = next(server, "requestEnd");
  server.serveForever();
  using client = await dial(server);
  const bytes = new Uint8Array(300_000).fill(7);
  const sending = writeAll(client, bytes).then(() => client.closeWrite());
  assertEquals(await readExactly(client, bytes.length), bytes);
  assertEquals(await readToEnd(client), "");
  await sending;
  const { bytesRead, bytesWritten } = await ended;
  assertEquals([bytesRead, bytesWritten], [300_000, 300_000]);
  assertEquals(errors, []);
});

test("on() counts bytes behind a PROXY header, and not the header's", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, {
    proxyProtocol: "require",
  });
  const ended = next(server, "requestEnd");
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, ascii("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nhello"));
  await readExactly(client, 5);
  await writeAll(client, ascii("again"));
  await client.closeWrite();
  await readToEnd(client);
  const { bytesRead, bytesWritten, clientAddress } = await ended;
  assertEquals([bytesRead, bytesWritten], [10, 10]);
  assertEquals(clientAddress, {
    transport: "tcp",
    hostname: "1.2.3.4",
    port: 1,
  });
});

async function visit(server: TCPServer): Promise<void> {
  using client = await dial(server);
  await readToEnd(client);
}

test("on() tells of errors and refusals", async () => {
  class Failing extends StreamRequestHandler {
    override handle(): void {
      throw new RangeError("no");
    }
  }
  await using server = new TCPServer({ port: 0 }, Failing);
  collectErrors(server);
  const events = listen(server, "refusal", "error", "requestEnd");
  let verdict = true;
  server.verifyRequest = () => verdict;
  server.serveForever();
  await visit(server);
  verdict = false;
  await visit(server);
  await until(() => events.length === 3, "three events");
  const [error, end, refusal] = events;
  assertEquals(events.map(({ name }) => name), [
    "error",
    "requestEnd",
    "refusal",
  ]);
  assert(error?.event.error instanceof RangeError);
  assertEquals(end?.event.failed, true);
  assertEquals(refusal?.event.reason, "verifyRequest");
  assertEquals((await server.stats()).duration.count, 1);
});

test("on() tells of bad PROXY headers", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, {
    proxyProtocol: "require",
  });
  const refused = next(server, "refusal");
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, ascii("hello\n"));
  assertEquals((await refused).reason, "proxyProtocol");
});

test("on() tells of a drain", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler, {
    shutdownTimeout: 300,
  });
  const events = listen(server, "drainStart", "drainEnd");
  const connected = next(server, "connection");
  server.serveForever();
  using _client = await dial(server);
  await connected;
  const report = await server.serverClose();
  const { serverAddress } = server;
  assertEquals(events, [
    { name: "drainStart", event: { serverAddress, open: 1 } },
    { name: "drainEnd", event: { serverAddress, report } },
  ]);
});

test("off() ends the calls; a listener that throws harms nobody", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const seen: string[] = [];
  const first = () => void seen.push("first");
  server.on("connection", first);
  server.on("connection", () => {
    seen.push("thrown");
    throw null;
  });
  server.on("connection", () => void seen.push("last"));
  server.off("connection", first);
  server.off("refusal", first);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "hi");
  await readExactly(client, 2);
  assertEquals(seen, ["thrown", "last"]);
});

Deno.test("on() refuses an event that there is not", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  assertThrows(
    () => server.on("connect" as Name, () => {}),
    TypeError,
    'Cannot listen to "connect": expected one of connection, ',
  );
});

test("each event is published to its diagnostics channel", async () => {
  const seen: unknown[] = [];
  const listener = (event: unknown, name: string | symbol) => {
    seen.push(name, (event as ServerEvents["requestEnd"]).bytesRead);
  };
  const names = ["connection", "requestEnd", "drainStart"];
  for (const name of names) subscribe(`socketserver:${name}`, listener);
  const server = new TCPServer({ port: 0 }, EchoHandler);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "hi");
  await client.closeWrite();
  await readToEnd(client);
  await server.serverClose();
  for (const name of names) unsubscribe(`socketserver:${name}`, listener);
  assertEquals(seen, [
    ...["socketserver:connection", undefined],
    ...["socketserver:requestEnd", 2],
    ...["socketserver:drainStart", undefined],
  ]);
});

test("a connection that nobody watches keeps Deno's own read() and write()", async () => {
  const { promise, resolve } = Promise.withResolvers<boolean[]>();
  class Look extends RequestHandler {
    override handle(): void {
      resolve(
        ["read", "write", "socket"].map((name) =>
          Object.hasOwn(this.request, name)
        ),
      );
    }
  }
  await using server = new TCPServer({ port: 0 }, Look);
  server.on("error", () => {});
  server.serveForever();
  using _client = await dial(server);
  assertEquals(await promise, [false, false, false]);
});

test("a packet's socket sends for handlers as before while it is watched", async () => {
  class Twice extends BaseRequestHandler<DatagramRequest> {
    override async handle(): Promise<void> {
      const { packet, socket } = this.request;
      await socket.send(packet, this.clientAddress);
      await socket.send(packet, this.clientAddress);
    }
  }
  const udp = ALL.find(({ name }) => name === "UDPServer")!;
  await using server = udp.open(Twice);
  const ended = next(server, "requestEnd");
  server.serveForever();
  using client = await udp.connect(server);
  await client.send("abc");
  assertEquals([await client.receive(), await client.receive()], [
    "abc",
    "abc",
  ]);
  assertEquals((await ended).bytesWritten, 6);
});
