/** Faults of the system and of users' code: contained, told once, survived. */

import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  type Acceptor,
  EchoHandler,
  RequestHandler,
  TCPServer,
} from "../../mod.ts";
import { hasPython, python, startDeno } from "./_programs.ts";
import {
  type Addressed,
  ALL,
  assertEchoes,
  type Client,
  collectErrors,
  dial,
  exchange,
  freePath,
  type Kind,
  kinds,
  messages,
  pause,
  readToEnd,
  STREAMS,
  test,
  testEach,
  until,
  within,
  writeAll,
} from "./_support.ts";

const RESETTERS = `
import socket, struct, sys
linger = struct.pack("ii", 1, 0)
for i in range(1000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    if i % 3 == 1: s.send(b"unread\\n")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    s.close()
`;
const LEAVERS = `
import socket, sys
for i in range(1000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    if i % 3: s.send(b"unread\\n" * 1000)
    s.close()
`;

for (const kind of STREAMS) {
  test(
    `${kind.name} doesn't notice 1,000 clients that connect and leave at once`,
    async () => {
      await using server = kind.open(EchoHandler);
      const errors = collectErrors(server);
      const served = server.serveForever();
      const [source, address] = kind.name === "TCPServer"
        ? [RESETTERS, (server.serverAddress as Deno.NetAddr).port]
        : [LEAVERS, (server.serverAddress as Deno.UnixAddr).path];
      let left = false;
      const leaving = python(source, address).then(() => left = true);
      let echoes = 0;
      await Promise.all(Array.from({ length: 10 }, async () => {
        using client = await kind.connect(server);
        while (!left) {
          assertEquals(await exchange(client, "good"), "good");
          echoes++;
        }
      }));
      await leaving;
      assert(echoes >= 10);
      await assertEchoes(kind, server);
      await until(async () => (await server.stats()).open === 0, "all ended");
      const { accepted, disconnects, acceptErrors } = await server.stats();
      assertEquals(acceptErrors, 0);
      assert(accepted + disconnects >= 1_011);
      assertEquals(errors.filter((error) => isUnexpected(error)), []);
      await server.shutdown();
      await served;
    },
    { ignore: !hasPython },
  );
}

function isUnexpected(error: unknown): boolean {
  return !(error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe);
}

test("TCPServer out of descriptors: open requests live on, the others are served later", async () => {
  await using program = startDeno("./_crowded_program.ts", { descriptors: 40 });
  const port = Number(await program.readLine());
  const clients: Client[] = [];
  const server = {
    serverAddress: { transport: "tcp", hostname: "127.0.0.1", port },
  } as const;
  const first = await kinds.tcp.connect(server);
  assertEquals(await exchange(first, "early"), "early");
  for (let i = 0; i < 60; i++) {
    const client = await kinds.tcp.connect(server);
    await client.send(`line ${i}\n`);
    clients.push(client);
  }
  assertEquals(await program.readLine(), "error EMFILE");
  assertEquals(await exchange(first, "during"), "during");
  for (const [i, client] of clients.entries()) {
    const line = within(5_000, `reply ${i}`, client.receive());
    assertEquals(await line, `line ${i}`);
    client[Symbol.dispose]();
  }
  assertEquals(await exchange(first, "after"), "after");
  first[Symbol.dispose]();
  program.child.kill("SIGTERM");
  let line = await program.readLine();
  while (line === "error EMFILE") line = await program.readLine();
  const { accepted, acceptErrors } = JSON.parse(line!);
  assertEquals(accepted, 61);
  assertLess(acceptErrors, 200);
});

/** Accepts, but for the failures that it is told of. */
class FailingAcceptor implements Acceptor<Deno.TcpConn> {
  #inner: Acceptor<Deno.TcpConn>;
  #fail: () => Error | null;

  constructor(inner: Acceptor<Deno.TcpConn>, fail: () => Error | null) {
    this.#inner = inner;
    this.#fail = fail;
  }

  accept(): Promise<[Deno.TcpConn, Deno.Addr]> {
    const error = this.#fail();
    return error === null ? this.#inner.accept() : Promise.reject(error);
  }

  close(): void {
    this.#inner.close();
  }
}

class FailingServer extends TCPServer<() => Error | null> {
  override serverActivate(): void {
    super.serverActivate();
    this.acceptor = new FailingAcceptor(this.acceptor!, this.context);
  }
}

function outOfDescriptors(): Error {
  const error = new Error("Too many open files (os error 24)");
  return Object.assign(error, { code: "EMFILE" });
}

const ACCEPT_ERRORS: Record<string, () => Error> = {
  EMFILE: outOfDescriptors,
  unknown: () => new Error("nobody knows"),
};

for (const [name, make] of Object.entries(ACCEPT_ERRORS)) {
  test(`accept errors (${name}) back off, are told once a spell, and pass`, async () => {
    let left = 5;
    const context = () => --left >= 0 ? make() : null;
    await using server = new FailingServer({ port: 0 }, EchoHandler, {
      context,
    });
    const errors = collectErrors(server);
    const begin = performance.now();
    server.serveForever();
    using client = await kinds.tcp.connect(server);
    assertEquals(await exchange(client, "one"), "one");
    const took = performance.now() - begin;
    assert(took >= 140, `The back-off took ${took} ms`); // 5+10+20+40+80
    assertEquals(errors.length, 1);
    assertEquals((await server.stats()).acceptErrors, 5);

    // The accept that is pending now brings this client, and the spell begins
    left = 5;
    await assertEchoes(kinds.tcp, server);
    assertEquals(await exchange(client, "lives on"), "lives on");
    await assertEchoes(kinds.tcp, server);
    assertEquals(errors.length, 2);
    assertEquals((await server.stats()).acceptErrors, 10);
  });
}

test("accept errors back off from 5 ms, doubling, to 1 s", async () => {
  let left = 10;
  const context = () => --left >= 0 ? outOfDescriptors() : null;
  await using server = new FailingServer({ port: 0 }, EchoHandler, { context });
  collectErrors(server);
  const delays: number[] = [];
  const original = globalThis.setTimeout;
  const stub = (run: () => void, ms: number) => {
    if (ms > 1_000) return original(run, ms); // the guard of this test
    delays.push(ms);
    return original(run, 0);
  };
  try {
    globalThis.setTimeout = stub as typeof setTimeout;
    server.serveForever();
    using conn = await dial(server);
    await writeAll(conn, "served");
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), "served");
  } finally {
    globalThis.setTimeout = original;
  }
  assertEquals(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
});

test("aborted connections on accept (ECONNABORTED) starve nobody", async () => {
  let calm = true;
  let deadline = Infinity;
  const context = () =>
    calm || performance.now() > deadline
      ? null
      : new Deno.errors.ConnectionAborted("Software caused connection abort");
  await using server = new FailingServer({ port: 0 }, EchoHandler, { context });
  const errors = collectErrors(server);
  server.serveForever();
  using client = await kinds.tcp.connect(server);
  assertEquals(await exchange(client, "before"), "before");
  calm = false;
  deadline = performance.now() + 3_000;
  await assertEchoes(kinds.tcp, server); // by the accept that was pending
  for (let i = 0; i < 20; i++) {
    assertEquals(await exchange(client, "meanwhile"), "meanwhile");
  }
  assert(performance.now() < deadline, "The loop was starved");
  assert((await server.stats()).disconnects > 0);
  calm = true;
  await assertEchoes(kinds.tcp, server);
  assertEquals(errors, []);
});

for (const style of ["synchronously", "asynchronously"]) {
  test(`getRequest() that throws ${style} is told once and does no harm`, async () => {
    await using server = new TCPServer({ port: 0 }, EchoHandler);
    const errors = collectErrors(server);
    const getRequest = server.getRequest.bind(server);
    let left = 3;
    server.getRequest = () => {
      if (--left < 0) return getRequest();
      const error = new RangeError("from the hook");
      if (style === "synchronously") throw error;
      return Promise.reject(error);
    };
    server.serveForever();
    await assertEchoes(kinds.tcp, server);
    assertEquals(messages(errors), ["from the hook"]);
    assertEquals((await server.stats()).acceptErrors, 3);
  });
}

/** Where the next request throws. */
let armed: string | null = null;

function trip(point: string): void {
  if (armed === point) throw new RangeError(`thrown in ${point}`);
}

class Tripping extends EchoHandler {
  constructor(...args: ConstructorParameters<typeof EchoHandler>) {
    super(...args);
    trip("constructor");
  }

  override async setup(): Promise<void> {
    await super.setup();
    trip("setup");
  }

  override async handle(): Promise<void> {
    trip("handle");
    await super.handle();
  }

  override async finish(): Promise<void> {
    await super.finish();
    trip("finish");
  }
}

const HOOKS = [
  "verifyRequest",
  "processRequest",
  "finishRequest",
  "shutdownRequest",
  "closeRequest",
] as const;
const POINTS = ["constructor", "setup", "handle", "finish", ...HOOKS];

function openTripping(kind: Kind, synchronous: boolean) {
  const server = kind.open(Tripping);
  for (const hook of HOOKS) {
    const original = server[hook].bind(server) as (
      ...args: unknown[]
    ) => unknown;
    Object.assign(server, {
      [hook]: synchronous
        ? (...args: unknown[]) => {
          trip(hook);
          return original(...args);
        }
        : async (...args: unknown[]) => {
          await null;
          trip(hook);
          return await original(...args);
        },
    });
  }
  return server;
}

for (const point of POINTS) {
  testEach(
    ALL,
    `an error thrown in ${point}: told once, request closed, serving on`,
    async (kind) => {
      for (const synchronous of [true, false]) {
        await using server = openTripping(kind, synchronous);
        const errors = collectErrors(server);
        server.serveForever();
        armed = point;
        try {
          using client = await kind.connect(server);
          await client.send("x\n");
          await client.end().catch(() => {}); // closed before
          await until(() => errors.length > 0, "the error");
          if (kind.isStream) await assertEnds(client);
          await until(
            async () => (await server.stats()).open === 0,
            "the request's end",
          );
        } finally {
          armed = null;
        }
        assertEquals(messages(errors), [`thrown in ${point}`]);
        assertEquals((await server.stats()).errors, 1);
        await assertEchoes(kind, server);
      }
    },
  );
}

/** The end may come as a reset, after an answer or without one. */
async function assertEnds(client: Client): Promise<void> {
  const next = () =>
    within(2_000, "the end", client.receive().catch(() => null));
  while (await next() !== null);
}

class Order extends RequestHandler<string[]> {
  override setup(): void {
    this.server.context.push("setup");
    trip("setup");
  }

  override handle(): void {
    this.server.context.push("handle");
    trip("handle");
    if (armed === "both") throw new RangeError("earlier");
    if (armed === "same") throw SAME;
  }

  override finish(): void {
    this.server.context.push("finish");
    if (armed === "both") throw new RangeError("later");
    if (armed === "same") throw SAME;
  }
}

const SAME = new RangeError("the same twice");

async function runOrder(point: string): Promise<[string[], unknown[]]> {
  const context: string[] = [];
  await using server = new TCPServer({ port: 0 }, Order, { context });
  const errors = collectErrors(server);
  armed = point;
  try {
    const handled = server.handleRequest();
    using _client = await dial(server);
    await handled;
  } finally {
    armed = null;
  }
  return [context, errors];
}

test("setup() that throws means no finish(), handle() that throws still does", async () => {
  assertEquals((await runOrder("setup"))[0], ["setup"]);
  assertEquals((await runOrder("handle"))[0], ["setup", "handle", "finish"]);
});

test("of two errors of handle() and finish() the later is told, the earlier its cause", async () => {
  const [, errors] = await runOrder("both");
  assertEquals(messages(errors), ["later"]);
  assertEquals(messages([(errors[0] as Error).cause]), ["earlier"]);
});

/** Collects what is written to stderr, write by write. */
async function captureStderr(run: () => Promise<void>): Promise<string[]> {
  const writes: string[] = [];
  const { stderr } = Deno;
  const original = stderr.writeSync;
  stderr.writeSync = (bytes) => {
    writes.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    await run();
  } finally {
    stderr.writeSync = original;
  }
  return writes;
}

class Thrower extends RequestHandler<() => unknown> {
  override handle(): void {
    throw this.server.context();
  }
}

function throwing(error: () => unknown): Promise<string[]> {
  return captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: error,
    });
    server.serveForever();
    using conn = await dial(server);
    assertEquals(await readToEnd(conn), "");
    await assertNextIsServed(server);
  });
}

async function assertNextIsServed(server: Addressed): Promise<void> {
  using next = await dial(server);
  assertEquals(await within(1_000, "the next", readToEnd(next)), "");
}

test("handleError() prints an error in one write between rules", async () => {
  const writes = await throwing(() =>
    new RangeError("printed", { cause: new TypeError("the cause") })
  );
  assertEquals(writes.length, 2);
  const rule = "-".repeat(40);
  assertMatch(
    writes[0]!,
    new RegExp(
      `^${rule}\nException occurred during processing of request from 127.0.0.1:\\d+\nRangeError: printed\n[^]*TypeError: the cause\n[^]*${rule}\n$`,
    ),
  );
});

test("handleError() prints nothing for clients that left", async () => {
  const writes = await throwing(() => new Deno.errors.BrokenPipe("left"));
  assertEquals(writes, []);
});

test("an error that causes itself is printed, not followed for ever", async () => {
  const circular = new RangeError("circular");
  circular.cause = new TypeError("round and round", { cause: circular });
  const writes = await throwing(() => circular);
  assertStringIncludes(writes[0]!, "RangeError: circular");
});

test("one error thrown by handle() and finish() is told without itself as cause", async () => {
  const [, errors] = await runOrder("same");
  assertEquals(errors, [SAME]);
  assertEquals(SAME.cause, undefined);
});

for (
  const [name, value] of [
    ["undefined", undefined],
    ["a symbol", Symbol("odd")],
    ["an object without prototype", Object.create(null)],
    ["a frozen error", Object.freeze(new RangeError("frozen"))],
  ] as const
) {
  test(`a handler may throw ${name}`, async () => {
    assertEquals((await throwing(() => value)).length, 2);
  });
}

test("handleError() that throws is printed, and the server serves on", async () => {
  const writes = await captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: () => new RangeError("from the handler"),
    });
    let calls = 0;
    server.handleError = () => {
      calls++;
      throw new TypeError("from the hook");
    };
    server.serveForever();
    using conn = await dial(server);
    assertEquals(await readToEnd(conn), "");
    await assertNextIsServed(server);
    assertEquals(calls, 2);
  });
  assertEquals(writes.length, 2);
  assertStringIncludes(writes[0]!, "TypeError: from the hook");
});

test("reports of 50 clients at once don't run into each other", async () => {
  const writes = await captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: () => new RangeError("at once"),
    });
    server.serveForever();
    await Promise.all(Array.from({ length: 50 }, async () => {
      using conn = await dial(server);
      assertEquals(await readToEnd(conn), "");
    }));
  });
  assertEquals(writes.length, 50);
  for (const text of writes) {
    assertEquals(text.split("-".repeat(40)).length, 3);
  }
});

class AsyncBindFailure extends TCPServer {
  override async serverBind(): Promise<void> {
    await pause(1);
    throw new RangeError("cannot bind");
  }
}

test("an asynchronous serverBind() that fails is told by serveForever()", async () => {
  const server = new AsyncBindFailure({ port: 0 }, EchoHandler);
  const error = await server.serveForever().catch((error: unknown) => error);
  assertEquals(messages([error]), ["cannot bind"]);
  await server.serverClose();
});

test("serverActivate() that throws in the constructor closes the socket", () => {
  const path = freePath();
  class ActivateFailure extends TCPServer {
    override serverActivate(): void {
      throw new RangeError(path);
    }
  }
  let message = "";
  try {
    new ActivateFailure({ port: 0 }, EchoHandler);
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals(message, path); // the sanitizer sees a listener that is left
});
