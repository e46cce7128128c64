/** Bytes that a handler did not read cost its client no answer. */

import { assert, assertEquals } from "@std/assert";
import {
  BaseRequestHandler,
  StreamRequestHandler,
  TCPServer,
  type TcpServerOptions,
} from "../../mod.ts";
import {
  type AnyHandlerClass,
  collectErrors,
  dial,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { Lingering } from "../../server/core/lingering.ts";
import { read, tls } from "./_certificates.ts";
import { pause, until, within } from "../support/waiting.ts";

const SIZE = 4_000_000;

/** Answers its first line with much, and reads no more. */
class Answer extends StreamRequestHandler {
  override async handle() {
    await this.rfile.readLine();
    await this.wfile.write("x".repeat(SIZE));
  }
}

/** Reads slowly, and sends something that nobody reads on the way. */
async function readSlowly(conn: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(65_536);
  let got = 0;
  for (let n; (n = await conn.read(buffer)) !== null;) {
    got += n;
    if (got === n) await writeAll(conn, "\n");
    if (got % 8 === 0) await pause(1);
  }
  return got;
}

testEach(
  STREAMS,
  "sends a whole answer in spite of bytes that nobody read",
  async (kind) => {
    await using server = kind.open(Answer);
    const errors = collectErrors(server);
    server.serveForever();
    using client = await dial(server);
    await writeAll(client, "GET\nand more\n");
    assertEquals(await within("the answer", readSlowly(client)), SIZE);
    assertEquals(errors, []);
  },
);

test("TCPServer with TLS sends a whole answer, and says that it ends", async () => {
  await using server = new TCPServer({ port: 0 }, Answer, tls);
  server.serveForever();
  const { hostname, port } = server.serverAddress;
  const caCerts = [read("ca")];
  using client = await Deno.connectTls({ hostname, port, caCerts });
  await writeAll(client, "GET\nand more\n");
  assertEquals(await within("the answer", readSlowly(client)), SIZE);
});

class Throws extends StreamRequestHandler {
  override async handle() {
    await this.rfile.readLine();
    await this.wfile.write("x".repeat(SIZE));
    throw new Error("after the answer");
  }
}

test("A handler that fails has its answer delivered as well", async () => {
  await using server = new TCPServer({ port: 0 }, Throws);
  const errors = collectErrors(server);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "GET\nand more\n");
  assertEquals(await within("the answer", readSlowly(client)), SIZE);
  assertEquals(errors.length, 1);
});

class Greeter extends StreamRequestHandler {
  override async handle() {
    await this.wfile.write("hello\n");
  }
}

function open(options: TcpServerOptions = {}): TCPServer {
  return new TCPServer({ port: 0 }, Greeter, options);
}

/** Reads a greeting to its end, and keeps the connection open. */
async function greeted(server: TCPServer): Promise<Deno.Conn> {
  const client = await dial(server);
  assertEquals(await readToEnd(client), "hello\n");
  return client;
}

test("A request ends before its connection has lingered", async () => {
  await using server = open();
  const ended = new Promise((resolve) => server.on("requestEnd", resolve));
  server.serveForever();
  using _client = await greeted(server);
  await within("requestEnd", ended, 1_500);
  assertEquals((await server.stats()).open, 0);
});

test("A connection that lingers is closed after 2 s", async () => {
  await using server = open();
  server.serveForever();
  using client = await greeted(server);
  const began = performance.now();
  // The end has come; that nobody is there any more shows when something is sent
  await until(
    () => client.write(new Uint8Array(1)).then(() => false, () => true),
    "its end",
  );
  assert(performance.now() - began > 1_000);
});

test("A connection that lingers is closed after 16 MiB", async () => {
  await sometimes(async () => {
    await using server = open();
    server.serveForever();
    using client = await greeted(server);
    let sent = 0;
    const chunk = new Uint8Array(65_536);
    const began = performance.now();
    try {
      for (;;) sent += await client.write(chunk);
    } catch {
      assert(sent >= 1_000_000, `${sent} bytes`);
    }
    return performance.now() - began;
  }, 1_900);
});

test("serverClose() waits 500 ms for connections that linger", async () => {
  await sometimes(async () => {
    const server = open();
    server.serveForever();
    using _client = await greeted(server);
    const began = performance.now();
    const { completed, aborted } = await server.serverClose();
    const took = performance.now() - began;
    assertEquals([completed, aborted], [0, []]);
    assert(took > 400, `It took ${took} ms`);
    return took;
  }, 1_900);
});

test("serverClose() waits no longer than for a client's end", async () => {
  await sometimes(async () => {
    const server = open();
    server.serveForever();
    const client = await greeted(server);
    const began = performance.now();
    const closing = server.serverClose();
    client.close();
    await closing;
    return performance.now() - began;
  });
});

test("Connections that linger are closed when descriptors run out", async () => {
  const shortage = Promise.withResolvers<never>();
  let accepts = 0;
  class Short extends TCPServer {
    override getRequest() {
      return ++accepts === 2 ? shortage.promise : super.getRequest();
    }
  }
  await sometimes(async () => {
    await using server = new Short({ port: 0 }, Greeter);
    collectErrors(server);
    server.serveForever();
    const client = await greeted(server);
    const began = performance.now();
    const error = new Error("Too many open files");
    shortage.reject(Object.assign(error, { code: "EMFILE" }));
    await until(async () => (await server.stats()).acceptErrors > 0, "it");
    await server.serverClose(); // waits for those that linger
    client.close();
    return performance.now() - began;
  });
});

test("Of connections that linger the oldest is closed first", async () => {
  const closed: number[] = [];
  const lingering = new Lingering();
  const MOST = 1_024;
  for (let i = 0; i < MOST + 2; i++) {
    const conn = {
      read: () => new Promise(() => {}),
      closeWrite: () => Promise.resolve(),
      close: () => void closed.push(i),
    };
    lingering.add(conn as unknown as Deno.Conn, null, () => {});
  }
  assertEquals(closed, [0, 1]);
  lingering.closeAll();
  assertEquals(closed.length, MOST + 2);
  await lingering.ended();
});

test("Connections that linger count for maxConnectionsPerClient alone", async () => {
  await using server = open({
    maxConnections: 1,
    maxConnectionsPerClient: 2,
    overLimit: "refuse",
  });
  server.serveForever();
  const first = await greeted(server);
  using _second = await greeted(server);
  using third = await dial(server);
  assertEquals(await readToEnd(third).catch(() => ""), "");
  first.close();
  await until(async () => {
    using next = await dial(server);
    return await readToEnd(next).catch(() => "") === "hello\n";
  }, "there is room again");
});

class Stuck extends BaseRequestHandler<Deno.Conn> {
  override async handle() {
    await new Promise((resolve) =>
      this.signal.addEventListener("abort", resolve)
    );
  }
}

test("What is refused, late or aborted does not linger", async () => {
  const ways: [AnyHandlerClass, TcpServerOptions][] = [
    [Greeter, { deny: ["127.0.0.0/8"] }],
    [Stuck, { requestTimeout: 20 }],
    [Stuck, { shutdownTimeout: 20 }],
  ];
  for (const [handler, options] of ways) {
    await sometimes(async () => {
      const server = new TCPServer({ port: 0 }, handler as never, options);
      collectErrors(server);
      server.serveForever();
      using _client = await dial(server);
      const ended = async () => (await server.stats()).open === 0;
      await until(async () => (await server.stats()).accepted === 1, "it came");
      if (options.shutdownTimeout === undefined) await until(ended, "its end");
      const began = performance.now();
      await server.serverClose();
      return performance.now() - began;
    });
  }
});

test("What the client has ended does not linger", async () => {
  class ToEnd extends StreamRequestHandler {
    override async handle() {
      await this.rfile.readAll();
      await this.wfile.write("all\n");
    }
  }
  await sometimes(async () => {
    const server = new TCPServer({ port: 0 }, ToEnd);
    server.serveForever();
    using client = await dial(server);
    await client.closeWrite();
    assertEquals(await readToEnd(client), "all\n");
    const began = performance.now();
    await server.serverClose();
    return performance.now() - began;
  });
});

/** Asserts that something takes less than lingering, if not on a busy machine. */
async function sometimes(
  run: () => Promise<number>,
  limit = 450,
): Promise<void> {
  const all: number[] = [];
  do all.push(await run()); while (all.at(-1)! > limit && all.length < 5);
  assert(all.at(-1)! < limit, `It took ${all} ms`);
}
