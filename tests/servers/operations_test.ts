/** Operations that overlap: each settles, and no client is lost. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  BaseRequestHandler,
  EchoHandler,
  ServerClosedError,
  StreamRequestHandler,
  TCPServer,
  UnixStreamServer,
} from "../../mod.ts";
import {
  ALL,
  assertEchoes,
  type Client,
  collectErrors,
  dial,
  exchange,
  freePath,
  type Kind,
  kinds,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { core } from "../../server/_internal.ts";
import { otherTls, read, tls } from "./_certificates.ts";
import { refused } from "../support/sockets.ts";
import { pause, until, within } from "../support/waiting.ts";

const OPERATIONS = ["shutdown", "suspend", "resume", "serverClose"] as const;
const ORDERS = OPERATIONS.flatMap((a) =>
  OPERATIONS.flatMap((b) => OPERATIONS.map((c) => [a, b, c] as const))
);

async function tryOrder(
  kind: Kind,
  order: readonly typeof OPERATIONS[number][],
): Promise<void> {
  const server = kind.open(EchoHandler);
  const serving = server.serveForever();
  await server.ready;
  const all = [serving, ...order.map((name) => server[name]())];
  const isClosed = order.includes("serverClose");
  const isOver = isClosed || order.includes("shutdown");
  const what = `${kind.name}: ${order}`;
  const settled = within(what, Promise.allSettled(isOver ? all : all.slice(1)));
  for (const result of await settled) {
    if (result.status === "fulfilled") continue;
    const { reason } = result;
    const isTold = isClosed && reason instanceof ServerClosedError;
    if (!isTold && !(reason instanceof Deno.errors.AddrInUse)) throw reason;
  }
  if (!isClosed) {
    await server.resume();
    const again = isOver ? server.serveForever() : serving;
    await within(`${what}: an echo`, assertEchoes(kind, server));
    await within(`${what}: shutdown()`, server.shutdown());
    await again;
  }
  await within(`${what}: serverClose()`, server.serverClose());
}

testEach(ALL, "settles each three operations in one turn", async (kind) => {
  await Promise.all(ORDERS.map((order) => tryOrder(kind, order)));
});

test("TCPServer goes on after suspend(), resume() and two new certificates in one turn", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, tls);
  const served = server.serveForever();
  await server.ready;
  await within(
    "the operations",
    Promise.all([
      server.suspend(),
      server.resume(),
      server.replaceCertificate(otherTls),
      server.replaceCertificate(tls),
    ]),
  );
  const { port } = server.serverAddress;
  using client = await Deno.connectTls({
    hostname: "localhost",
    port,
    caCerts: [read("ca")],
  });
  await writeAll(client, "x");
  assertEquals(await client.read(new Uint8Array(2)), 1);
  await within("shutdown()", server.shutdown());
  await served;
});

for (const what of ["shutdown", "suspend", "serverClose"] as const) {
  testEach(ALL, `${what}() can be awaited in handleTimeout()`, async (kind) => {
    await using server = kind.open(EchoHandler);
    server.timeout = 5;
    let isOver = false;
    server.handleTimeout = async () => {
      await server[what]();
      isOver = true;
    };
    await within("handleRequest()", server.handleRequest());
    assert(isOver);
  });

  test(`TCPServer.${what}() can be awaited in serviceActions()`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    class Acting extends TCPServer {
      override async serviceActions() {
        await this[what]();
        resolve();
      }
    }
    await using server = new Acting({ port: 0 }, EchoHandler);
    const served = server.serveForever();
    using client = await kinds.tcp.connect(server);
    assertEquals(await exchange(client, "hello"), "hello");
    await client.end();
    await within(what, promise);
    await within("shutdown()", server.shutdown());
    await served;
  });
}

test("TCPServer takes no request while serviceActions() has not returned", async () => {
  const gates: (() => void)[] = [];
  class Slow extends TCPServer {
    override serviceActions() {
      return new Promise<void>((resolve) => gates.push(resolve));
    }
  }
  await using server = new Slow({ port: 0 }, EchoHandler);
  server.serveForever();
  using first = await kinds.tcp.connect(server);
  await until(() => gates.length === 1, "the first call");
  using second = await kinds.tcp.connect(server);
  await first.end();
  assertEquals(await first.receive(), null); // its end wakes the server
  await pause(20);
  assertEquals((await server.stats()).accepted, 1);
  gates[0]!();
  assertEquals(await within("the second", exchange(second, "two")), "two");
  gates[1]!();
});

test("TCPServer.shutdown() does not wait for a serverBind() that never ends", async () => {
  class Endless extends TCPServer {
    override serverBind() {
      return new Promise<void>(() => {});
    }
  }
  const server = new Endless({ port: 0 }, EchoHandler, { shutdownTimeout: 20 });
  const served = server.serveForever();
  await within("shutdown()", server.shutdown());
  await within("serveForever()", served);
  await within("serverClose()", server.serverClose());
});

test("TCPServer.serverClose() outlasts a resume() that hangs in serverBind()", async () => {
  const { promise: gate, resolve } = Promise.withResolvers<void>();
  class Late extends TCPServer {
    override async serverBind() {
      if (this.isLate) await gate;
      await super.serverBind();
    }
    isLate = false;
  }
  const options = { shutdownTimeout: 20, bindAndActivate: false };
  const server = new Late({ port: 0 }, EchoHandler, options);
  await server.serverBind();
  await server.serverActivate();
  await server.suspend();
  server.isLate = true;
  const resumed = assertRejects(() => server.resume(), ServerClosedError);
  await within("serverClose()", server.serverClose());
  resolve();
  await within("resume()", resumed);
  await refused(() => dial(server));
});

test("TCPServer.serverClose() leaves no listener that resume() opens while requests are aborted", async () => {
  const bound = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  class Late extends TCPServer {
    isLate = false;
    override async serverBind() {
      if (this.isLate) {
        bound.resolve();
        await gate.promise;
      }
      await super.serverBind();
    }
  }
  const began = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  class Stubborn extends BaseRequestHandler {
    override async handle() {
      this.signal.addEventListener("abort", () => gate.resolve());
      began.resolve();
      await over.promise;
    }
  }
  const server = new Late({ port: 0 }, Stubborn, { shutdownTimeout: 20 });
  const served = server.serveForever();
  using _client = await dial(server);
  await began.promise;
  await server.suspend();
  server.isLate = true;
  const resumed = assertRejects(
    () => server.resume(),
    ServerClosedError,
  );
  await bound.promise;
  const closed = server.serverClose();
  await within("resume()", resumed).finally(over.resolve);
  await within("serverClose()", closed);
  await refused(() => dial(server));
  await served;
});

test("TCPServer.suspend() can be awaited in getRequest()", async () => {
  class Shy extends TCPServer {
    override async getRequest() {
      if (this.isShy) await this.suspend();
      return await super.getRequest();
    }
    isShy = true;
  }
  await using server = new Shy({ port: 0 }, EchoHandler);
  server.handleError = () => {}; // it has no listener then
  server.serveForever();
  await until(() => server.socket === null, "the suspension");
  server.isShy = false;
  await within("resume()", server.resume());
  await assertEchoes(kinds.tcp, server);
});

class Queue {
  readonly gate: Promise<void>;
  open: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gate = promise;
    this.open = resolve;
  }
}

/** Serves a client when the gate is open. */
class Gated extends BaseRequestHandler<Deno.Conn, Queue> {
  override async handle() {
    await this.server.context.gate;
    await this.request.write(new TextEncoder().encode("served\n"));
  }
}

async function connectAll(
  kind: Kind,
  server: Parameters<Kind["connect"]>[0],
  count: number,
): Promise<Client[]> {
  return await Promise.all(
    Array.from({ length: count }, () => kind.connect(server)),
  );
}

async function assertServed(clients: Client[]): Promise<void> {
  const got = await Promise.all(
    clients.map((client) => within("an answer", client.receive())),
  );
  for (const client of clients) client[Symbol.dispose]();
  assertEquals(got, clients.map(() => "served"));
}

testEach(
  STREAMS,
  "suspend() waits for nobody, and serves who waits for maxConnections later",
  async (kind) => {
    const context = new Queue();
    await using server = kind.open(Gated, { context, maxConnections: 1 });
    server.serveForever();
    const clients = await connectAll(kind, server, 8);
    await until(async () => (await server.stats()).open === 1, "the first");
    await within("suspend()", server.suspend());
    assertEquals((await server.stats()).open, 1);
    context.open();
    await assertServed(clients);
    assertEquals((await server.stats()).waited, 7);
  },
);

testEach(
  STREAMS,
  "serverClose() serves who waits for maxConnections, and names who is cut off",
  async (kind) => {
    const context = new Queue();
    const options = { context, maxConnections: 1 };
    const server = kind.open(Gated, options);
    server.serveForever();
    const clients = await connectAll(kind, server, 8);
    const closing = server.serverClose();
    context.open();
    await assertServed(clients);
    assertEquals(await closing, { completed: 8, aborted: [] });
    const late = kind.open(Gated, {
      ...options,
      context: new Queue(),
      shutdownTimeout: 50,
    });
    late.serveForever();
    const others = await connectAll(kind, late, 3);
    const { completed, aborted } = await late.serverClose();
    assertEquals([completed, aborted.length], [0, 3]);
    for (const other of others) other[Symbol.dispose]();
  },
);

test("TCPServer.shutdown() in a handler during serverClose() loses no queued client", async () => {
  class Stopping extends StreamRequestHandler {
    override async handle() {
      await this.rfile.readLine();
      await this.server.shutdown();
      await this.wfile.write("served");
    }
  }
  const server = new TCPServer({ port: 0 }, Stopping, { maxConnections: 1 });
  server.serveForever();
  await server.ready;
  const conns = await Promise.all(
    Array.from({ length: 8 }, () => dial(server)),
  );
  const closing = server.serverClose();
  const answers = conns.map(async (conn) => {
    await writeAll(conn, "x\n");
    const answer = await readToEnd(conn);
    conn.close();
    return answer;
  });
  const got = await within("the answers", Promise.all(answers));
  assertEquals(got, conns.map(() => "served"));
  assertEquals(await closing, { completed: 8, aborted: [] });
});

for (const allowReusePort of [false, true]) {
  test(`TCPServer.replaceCertificate() with allowReusePort ${allowReusePort} loses nobody who waits for maxConnections`, async () => {
    const context = new Queue();
    await using server = new TCPServer({ port: 0 }, Gated, {
      ...tls,
      context,
      allowReusePort,
      maxConnections: 1,
    });
    server.serveForever();
    const { port } = server.serverAddress;
    const caCerts = [read("ca"), read("other_cert")];
    let connected = 0;
    const answers = Array.from({ length: 6 }, async () => {
      using conn = await Deno.connectTls({
        hostname: "localhost",
        port,
        caCerts,
      });
      connected++; // perhaps in the system's queue: a handshake comes later
      return await readToEnd(conn);
    });
    await until(() => connected === 6, "all have connected");
    await until(async () => (await server.stats()).open === 1, "the first");
    await within("it", server.replaceCertificate(otherTls));
    context.open();
    const got = await within("the answers", Promise.all(answers));
    assertEquals(got, answers.map(() => "served\n"));
  });
}

test("UnixStreamServer.handleRequest() waits while its server is suspended", async () => {
  await using server = new UnixStreamServer({ path: freePath() }, EchoHandler);
  const handled = server.handleRequest();
  await server.ready;
  await server.suspend();
  await server.resume();
  using client = await kinds.unix.connect(server);
  assertEquals(await exchange(client, "hello"), "hello");
  await client.end();
  await within("handleRequest()", handled);
});

test("TCPServer serves requests that take no properties", async () => {
  const requests = ["text", 7, null, Object.freeze({ name: "frozen" })];
  const seen: unknown[] = [];
  class Noting extends BaseRequestHandler {
    override handle() {
      seen.push(this.request);
    }
  }
  class Made extends TCPServer {
    #next = 0;

    override getRequest() {
      const request = requests[this.#next++] as unknown as Deno.TcpConn;
      return request === undefined
        ? super.getRequest()
        : Promise.resolve<[Deno.TcpConn, Deno.Addr]>([
          request,
          this.serverAddress,
        ]);
    }
  }
  await using server = new Made({ port: 0 }, Noting);
  server.on("requestEnd", ({ bytesRead }) => assertEquals(bytesRead, 0));
  for (const _ of requests) {
    await within("a request", server.handleRequest());
  }
  assertEquals(seen, requests);
  const { accepted, open, errors } = await server.stats();
  assertEquals([accepted, open, errors], [4, 0, 0]);
});

test("a replica that cuts off 40,000 requests at once stops its server for a moment only", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const { cycle } = server[core];
  const request = () => ({ close() {} }) as Deno.TcpConn;
  const all = Array.from({ length: 40_000 }, request);
  const open = all.map((one) =>
    cycle.open.add(one, server.serverAddress, false)
  );
  const began = performance.now();
  for (const one of all) cycle.wasCut(one);
  assert(performance.now() - began < 4_000);
  assert(open.every(({ aborted }) => aborted));
  for (const one of open) cycle.open.delete(one);
});

test("TCPServer knows requests that are equal, and open at the same time, apart", async () => {
  const reasons: unknown[] = [];
  const shut: unknown[] = [];
  class Waiting extends BaseRequestHandler {
    override async handle() {
      await new Promise((resolve) =>
        this.signal.addEventListener("abort", resolve)
      );
      reasons.push(this.signal.reason);
    }
  }
  class Made extends TCPServer {
    #left = 3;

    override getRequest() {
      return this.#left-- > 0
        ? Promise.resolve<[Deno.TcpConn, Deno.Addr]>([
          null as unknown as Deno.TcpConn,
          this.serverAddress,
        ])
        : super.getRequest();
    }

    override async verifyRequest() {
      await pause(1);
      return true;
    }

    override shutdownRequest(request: Deno.TcpConn) {
      shut.push(request);
      throw new RangeError("from the hook");
    }
  }
  const server = new Made({ port: 0 }, Waiting, { shutdownTimeout: 100 });
  const errors = collectErrors(server);
  server.serveForever();
  await until(async () => (await server.stats()).open === 3, "all are open");
  const { aborted } = await within("the close", server.serverClose());
  assertEquals(aborted.length, 3);
  await until(() => errors.length >= 3, "the ends");
  assertEquals(reasons.length, 3);
  assertEquals([shut, errors.map(String)], [
    [null, null, null],
    Array(3).fill("RangeError: from the hook"),
  ]);
});
