/** Faults of the system and of clients: survived, and told once. */

import {
  assert,
  assertEquals,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import { type Acceptor, EchoHandler, TCPServer } from "../../mod.ts";
import { python, startDeno } from "./_programs.ts";
import {
  assertEchoes,
  type Client,
  collectErrors,
  dial,
  exchange,
  freePath,
  kinds,
  messages,
  readToEnd,
  STREAMS,
  test,
  writeAll,
} from "./_support.ts";
import { needs } from "../support/programs.ts";
import { until, within } from "../support/waiting.ts";

const RESETTERS = `
import socket, struct, sys
linger = struct.pack("ii", 1, 0)
for i in range(250):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    if i % 3 == 1: s.send(b"unread\\n")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    s.close()
`;
const LEAVERS = `
import socket, sys
for i in range(250):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    if i % 3: s.send(b"unread\\n" * 1000)
    s.close()
`;

for (const kind of STREAMS) {
  test(
    `${kind.name} doesn't notice 250 clients that connect and leave at once`,
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
      assert(accepted + disconnects >= 261);
      assertEquals(errors.filter((error) => isUnexpected(error)), []);
      await server.shutdown();
      await served;
    },
    needs("python3"),
  );
}

function isUnexpected(error: unknown): boolean {
  return !(error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe);
}

for (const permissions of [["-A"], ["--allow-net"]]) {
  test(`TCPServer out of descriptors, with ${permissions}: the default handleError() prints and the server goes on`, async () => {
    const stderr = freePath();
    await using program = startDeno("./_crowded_program.ts", {
      descriptors: 40,
      permissions,
      stderr,
    });
    const port = Number(await program.readLine());
    const server = {
      serverAddress: { transport: "tcp", hostname: "127.0.0.1", port },
    } as const;
    const printed = async (text: string) =>
      (await Deno.readTextFile(stderr)).includes(text);
    const [first, failing] = [
      await kinds.tcp.connect(server),
      await kinds.tcp.connect(server),
    ];
    assertEquals(await exchange(first, "early"), "early");
    const clients: Client[] = [];
    for (let i = 0; i < 60; i++) {
      const client = await kinds.tcp.connect(server);
      await client.send(`line ${i}\n`);
      clients.push(client);
    }
    await until(() => printed("Too many open files"), "the accept error");
    await failing.send("fail\n");
    await until(() => printed("RangeError: from the handler"), "the report");
    assert(await printed("no file descriptor is free: no stack"));
    assertEquals(await exchange(first, "during"), "during");
    for (const [i, client] of clients.entries()) {
      const line = within(`reply ${i}`, client.receive());
      assertEquals(await line, `line ${i}`);
      client[Symbol.dispose]();
    }
    assertEquals(await exchange(first, "after"), "after");
    first[Symbol.dispose]();
    failing[Symbol.dispose]();
    program.child.kill("SIGTERM");
    const { accepted, acceptErrors, errors } = JSON.parse(
      (await program.readLine())!,
    );
    assertEquals([accepted, errors], [62, 1]);
    assertLess(acceptErrors, 200);
  });
}

test("TCPServer whose handlers hold every descriptor prints their errors", async () => {
  const stderr = freePath();
  await using program = startDeno("./_hoarding_program.ts", {
    descriptors: 40,
    stderr,
  });
  const port = Number(await program.readLine());
  using client = await Deno.connect({ port });
  await writeAll(client, "x");
  assertEquals(await readToEnd(client), "");
  program.child.kill("SIGTERM");
  assertEquals(await program.readLine(), "errors 1");
  assertStringIncludes(
    await Deno.readTextFile(stderr),
    "RangeError: none left (no file descriptor is free: no stack)",
  );
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
