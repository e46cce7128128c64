/** Beginning and ending to serve. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  EchoHandler,
  type OpenConnection,
  RequestHandler,
  ServerClosedError,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import { startDeno } from "./_programs.ts";
import {
  ALL,
  assertEchoes,
  collectErrors,
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
import { pause, until, within } from "../support/waiting.ts";

testEach(
  ALL,
  "shutdown() before serving settles and leaves nothing behind",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    await within("shutdown()", server.shutdown());
    const served = server.serveForever();
    await assertEchoes(kind, server);
    await server.shutdown();
    await served;
  },
);

testEach(
  ALL,
  "shutdown() wakes an idle loop at once, without polling",
  async (kind) => {
    const { setTimeout, setInterval } = globalThis;
    await using server = kind.open(EchoHandler);
    // Whatever waited for a timer would wait for ever
    globalThis.setTimeout = globalThis.setInterval = (() => 0) as never;
    try {
      const served = server.serveForever();
      await assertEchoes(kind, server);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await server.shutdown();
      await served;
    } finally {
      Object.assign(globalThis, { setTimeout, setInterval });
    }
  },
);

testEach(
  ALL,
  "shutdown() twice, concurrently and after the end: all settle",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const served = server.serveForever();
    await assertEchoes(kind, server);
    const calls = [server.shutdown(), server.shutdown(), server.shutdown()];
    await within("three shutdowns", Promise.all(calls));
    await served;
    await within("a late shutdown", server.shutdown());
    await server.serverClose();
    await within("shutdown() of a closed server", server.shutdown());
  },
);

class Stopper extends RequestHandler {
  override async handle(): Promise<void> {
    await this.rfile.readLine();
    await this.server.shutdown();
    await this.wfile.write("stopped\n");
  }
}

testEach(
  ALL,
  "shutdown() settles when awaited inside a handler",
  async (kind) => {
    await using server = kind.open(Stopper);
    const served = server.serveForever();
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "stop"), "stopped");
    await within("serveForever()", served);
  },
);

for (const hook of ["verifyRequest", "closeRequest", "processRequest"]) {
  test(`shutdown() settles when awaited in ${hook}()`, async () => {
    await using server = new TCPServer({ port: 0 }, EchoHandler);
    const { promise, resolve } = Promise.withResolvers<void>();
    const original = server[hook as "verifyRequest"].bind(server);
    Object.assign(server, {
      async [hook](request: Deno.TcpConn, address: Deno.Addr) {
        await server.shutdown();
        resolve();
        return await original(request, address);
      },
    });
    const served = server.serveForever();
    using client = await dial(server);
    await client.closeWrite();
    assertEquals(await readToEnd(client), "");
    await within("the hook", promise);
    await within("serveForever()", served);
  });
}

test("shutdown() during an asynchronous bind ends the serving that waits for it", async () => {
  const gate = Promise.withResolvers<void>();
  class SlowServer extends TCPServer {
    override async serverBind(): Promise<void> {
      await gate.promise;
      await super.serverBind();
    }
  }
  await using server = new SlowServer({ port: 0 }, EchoHandler);
  const served = server.serveForever();
  const stopped = server.shutdown();
  gate.resolve();
  await within("shutdown()", stopped);
  await served;
  const again = server.serveForever();
  await assertEchoes(kinds.tcp, server);
  await server.shutdown();
  await again;
});

testEach(
  ALL,
  "serves again after shutdown(), first the client that waited",
  async (kind) => {
    await using server = kind.open(EchoHandler);
    const first = server.serveForever();
    await assertEchoes(kind, server);
    await server.shutdown();
    await first;
    using waiting = await kind.connect(server);
    using second = await kind.connect(server);
    await waiting.send("waited\n");
    await second.send("also\n");
    await pause(20);
    assertEquals((await server.stats()).accepted, 1);
    const again = server.serveForever();
    assertEquals((await waiting.receive())?.trimEnd(), "waited");
    assertEquals((await second.receive())?.trimEnd(), "also");
    await server.shutdown();
    await again;
  },
);

testEach(STREAMS, "shutdown() leaves open requests alone", async (kind) => {
  await using server = kind.open(EchoHandler);
  const served = server.serveForever();
  using client = await kind.connect(server);
  assertEquals(await exchange(client, "before"), "before");
  await server.shutdown();
  await served;
  assertEquals(await exchange(client, "after"), "after");
});

testEach(ALL, "refuses to serve twice at a time", async (kind) => {
  await using server = kind.open(EchoHandler);
  const served = server.serveForever();
  await assertRejects(() => server.serveForever(), TypeError, "already");
  await assertRejects(() => server.handleRequest(), TypeError, "already");
  await assertEchoes(kind, server);
  await server.shutdown();
  await served;
});

testEach(ALL, "serveForever({ signal }) ends with it", async (kind) => {
  await using server = kind.open(EchoHandler);
  const controller = new AbortController();
  const served = server.serveForever({ signal: controller.signal });
  await assertEchoes(kind, server);
  controller.abort();
  await within("serveForever()", served);
  await within(
    "serveForever() with an aborted signal",
    server.serveForever({ signal: controller.signal }),
  );
  const again = server.serveForever();
  await assertEchoes(kind, server);
  await server.shutdown();
  await again;
});

testEach(ALL, "closes when its option signal is aborted", async (kind) => {
  const controller = new AbortController();
  const server = kind.open(EchoHandler, { signal: controller.signal });
  const served = server.serveForever();
  await assertEchoes(kind, server);
  controller.abort();
  await within("serveForever()", served);
  await server.serverClose();
  assertEquals(server.fileno(), -1);
  await assertRejects(() => server.serveForever(), ServerClosedError);
});

test("serveForever({ signals }) refuses an unknown name and leaves no listener", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const signals = ["SIGUSR1", "SIGNONE"] as Deno.Signal[];
  await assertRejects(() => server.serveForever({ signals }), TypeError);
  const served = server.serveForever();
  await assertEchoes(kinds.tcp, server);
  await server.shutdown();
  await served;
});

test("serveForever({ signals }) drains on SIGTERM, and gives the signal back", async () => {
  await using program = startDeno("./_signal_program.ts");
  const [word, port] = (await program.readLine())!.split(" ");
  assertEquals(word, "serving");
  using client = await Deno.connect({ port: Number(port) });
  await writeAll(client, "slow\ng");
  assertEquals(await program.readLine(), "handling");
  program.child.kill("SIGTERM");
  assertEquals(await program.readLine(), "served");
  await writeAll(client, "o\n");
  assertEquals(await readToEnd(client), "slow go\n");
  assertEquals(await program.readLine(), '{"completed":1,"aborted":[]}');
  program.child.kill("SIGTERM");
  const { signal } = await program.child.status;
  assertEquals(signal, "SIGTERM");
});

test("serveForever({ signals }) takes signals of one moment for one", async () => {
  await using program = startDeno("./_signal_program.ts", { args: ["echo"] });
  await program.readLine();
  program.child.kill("SIGTERM");
  const lines = [];
  for (let i = 0; i < 3; i++) lines.push(await program.readLine());
  assertEquals(lines.toSorted(), [
    "served",
    "survived",
    '{"completed":0,"aborted":[]}',
  ]);
});

test("ready settles when requests are served, rejects when they never will be", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  let settled = false;
  server.ready.then(() => settled = true);
  await pause(10);
  assertEquals(settled, false);
  const served = server.serveForever();
  await within("ready", server.ready);
  await assertEchoes(kinds.tcp, server);
  await server.serverClose();
  await served;
  await server.ready;

  const unused = new TCPServer({ port: 0 }, EchoHandler);
  await unused.serverClose();
  await assertRejects(() => unused.ready, ServerClosedError);
});

testEach(ALL, "handleRequest() serves one request to its end", async (kind) => {
  await using server = kind.open(EchoHandler);
  let actions = 0;
  server.serviceActions = () => void actions++;
  using first = await kind.connect(server);
  await first.send("first\n");
  using second = await kind.connect(server);
  await second.send("second\n");
  const handled = server.handleRequest();
  assertEquals((await first.receive())?.trimEnd(), "first");
  first[Symbol.dispose]();
  await within("handleRequest()", handled);
  const { accepted, open } = await server.stats();
  assertEquals([accepted, open, actions], [1, 0, 0]);
  const next = server.handleRequest();
  assertEquals((await second.receive())?.trimEnd(), "second");
  second[Symbol.dispose]();
  await within("the second handleRequest()", next);
});

test("handleRequest() waits for its request although another call is refused", async () => {
  const gate = Promise.withResolvers<void>();
  class Calling extends RequestHandler {
    override async handle() {
      await null;
      const { server } = this as unknown as { server: TCPServer };
      const again = server.handleRequest();
      await assertRejects(() => again, TypeError, "already serving");
      await gate.promise;
    }
  }
  await using server = new TCPServer({ port: 0 }, Calling);
  using _client = await dial(server);
  let isOver = false;
  const handled = server.handleRequest().then(() => isOver = true);
  await until(async () => (await server.stats()).open === 1, "it is open");
  await pause(20);
  const wasOver = isOver;
  gate.resolve();
  await within("handleRequest()", handled);
  assert(!wasOver);
});

testEach(
  ALL,
  "handleRequest() calls handleTimeout() when none came in time",
  async (kind) => {
    await using server = kind.open(EchoHandler, { timeout: 30 });
    let timeouts = 0;
    server.handleTimeout = () => void timeouts++;
    const begin = performance.now();
    await server.handleRequest();
    assert(performance.now() - begin >= 25);
    assertEquals(timeouts, 1);
    server.timeout = null;
    using client = await kind.connect(server);
    const handled = server.handleRequest();
    assertEquals(await exchange(client, "in time"), "in time");
    client[Symbol.dispose]();
    await handled;
    assertEquals(timeouts, 1);
  },
);

test("handleRequest() that timed out does not wait for older requests", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, { timeout: 20 });
  const served = server.serveForever();
  using client = await kinds.tcp.connect(server);
  assertEquals(await exchange(client, "open"), "open");
  await server.shutdown();
  await served;
  await within("handleRequest()", server.handleRequest());
  assertEquals(await exchange(client, "still open"), "still open");
});

test("handleRequest() ends without a time-out at shutdown()", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, {
    timeout: 5_000,
  });
  let timeouts = 0;
  server.handleTimeout = () => void timeouts++;
  const handled = server.handleRequest();
  await server.shutdown();
  await within("handleRequest()", handled);
  assertEquals(timeouts, 0);
});

test("handleTimeout() that throws rejects handleRequest(), which can be called again", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler, { timeout: 5 });
  server.handleTimeout = () => {
    throw new RangeError("from the hook");
  };
  await assertRejects(() => server.handleRequest(), RangeError);
  await assertRejects(() => server.handleRequest(), RangeError);
});

test("serviceActions() is called after each request of serveForever(), and may throw", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const errors = collectErrors(server);
  server.serviceActions = () => {
    throw new RangeError("from the hook");
  };
  server.serveForever();
  await assertEchoes(kinds.tcp, server);
  await assertEchoes(kinds.tcp, server);
  await until(() => errors.length === 2, "two errors");
  assertEquals((await server.stats()).accepted, 2);
});

function heedSignal(name: Deno.Signal): Disposable {
  const listener = () => {};
  Deno.addSignalListener(name, listener);
  return {
    [Symbol.dispose]: () => Deno.removeSignalListener(name, listener),
  };
}

test(
  "serveForever({ drainDelay }) takes clients for a while after a signal, and tells so",
  async () => {
    // One signal too many would end the process that other files share
    using _listener = heedSignal("SIGUSR1");
    await using server = new TCPServer({ port: 0 }, EchoHandler);
    const signals: Deno.Signal[] = ["SIGUSR1"];
    const serving = server.serveForever({ signals, drainDelay: 60_000 });
    let isOver = false;
    serving.then(() => isOver = true);
    await server.ready;
    assertEquals(server.isStopping, false);
    Deno.kill(Deno.pid, "SIGUSR1");
    await until(() => server.isStopping, "the signal came");
    using client = await dial(server);
    await writeAll(client, "still");
    assertEquals(
      new TextDecoder().decode(await readExactly(client, 5)),
      "still",
    );
    assertEquals(isOver, false);
    // A second one ends the delay, but not its echo
    await until(() => {
      if (!isOver) Deno.kill(Deno.pid, "SIGUSR1");
      return isOver;
    }, "the second signal ends it");
    assertEquals(server.isStopping, false);
    const signal = AbortSignal.abort();
    await server.serveForever({ signal, drainDelay: 1 }); // the delay passes
  },
  { ignore: Deno.build.os === "windows" },
);

test("TCPServer lists its connections, and disconnect() aborts the handler of one", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  class Waiting extends StreamRequestHandler {
    override async handle() {
      this.signal.onabort = () => resolve(this.signal.reason);
      for await (const _ of this.rfile);
    }
  }
  await using server = new TCPServer({ port: 0 }, Waiting);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "four");
  const at = client.localAddr;
  await until(
    () => server.connections()[0]?.bytesRead === 4,
    "the bytes are counted",
  );
  const [{ id, clientAddress }] = server.connections() as [OpenConnection];
  assertEquals(clientAddress, at);
  assertEquals([server.disconnect("7"), server.disconnect(id)], [false, true]);
  assertInstanceOf(await promise, Deno.errors.ConnectionAborted);
  assertEquals(server.disconnect(id), false);
  await until(() => server.connections().length === 0, "it is gone");
  assertEquals((await server.stats()).errors, 0);
});
