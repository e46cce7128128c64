/** Deadlines: idle, slow and endless clients are ended, and nobody else. */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  BaseRequestHandler,
  DatagramRequestHandler,
  EchoHandler,
  RequestTimeoutError,
  StreamRequestHandler,
  type StreamServerOptions,
  TCPServer,
} from "../../mod.ts";
import {
  ALL,
  type AnyHandlerClass,
  collectErrors,
  DATAGRAMS,
  dial,
  exchange,
  type Kind,
  kinds,
  readExactly,
  readToEnd,
  sideBySide,
  STREAMS,
  testEach,
  writeAll,
} from "./_support.ts";
import { StallClient } from "../support/stall.ts";
import { pause, until, within } from "../support/waiting.ts";

/** Opens a server of any kind with options of one of connections. */
function open(
  kind: Kind,
  handler: AnyHandlerClass,
  options: StreamServerOptions,
) {
  const server = kind.open(handler, options as object);
  const errors = collectErrors(server);
  server.serveForever();
  return { server, errors };
}

function assertTimedOut(errors: unknown[], part: string): void {
  assertEquals(errors.length, 1);
  const [error] = errors;
  assertInstanceOf(error, RequestTimeoutError);
  assert(error.message.includes(part), error.message);
}

/**
 * Runs what must step on within `ms`. If it fails because a busy machine let
 * more time pass between two steps, its client was late in earnest: it is run
 * again.
 */
async function inTime(
  ms: number,
  run: (step: () => void) => Promise<void>,
): Promise<void> {
  for (;;) {
    let last = performance.now();
    let longest = 0;
    try {
      return await run(() => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      });
    } catch (error) {
      if (longest < ms) throw error;
    }
  }
}

const meanwhile: [name: string, run: () => Promise<void>][] = [];

/** Runs a test beside others, for it mostly waits. */
function testMeanwhile(
  group: readonly Kind[],
  what: string,
  run: (kind: Kind) => Promise<void>,
): void {
  for (const kind of group) {
    meanwhile.push([`${kind.name} ${what}`, () => run(kind)]);
  }
}

const seen: unknown[] = [];

/** Reads lines, and notes how that ended. */
class Lines extends StreamRequestHandler {
  override async handle(): Promise<void> {
    try {
      for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
    } catch (error) {
      seen.push(error, this.signal.reason);
      throw error;
    }
  }
}

/** Works on the connection itself. */
class Raw extends BaseRequestHandler<Deno.Conn> {
  override async handle(): Promise<void> {
    const buffer = new Uint8Array(100);
    for (let n; (n = await this.request.read(buffer)) !== null;) {
      await this.request.write(buffer.subarray(0, n));
    }
  }
}

/** Works through the streams of the connection. */
class Piped extends BaseRequestHandler<Deno.Conn> {
  override handle(): Promise<void> {
    return this.request.readable.pipeTo(this.request.writable);
  }
}

for (const handler of [Lines, Raw, Piped]) {
  testMeanwhile(
    STREAMS,
    `with idleTimeout ends a client that is silent (${handler.name})`,
    async (kind) => {
      const { server, errors } = open(kind, handler as AnyHandlerClass, {
        idleTimeout: 600,
      });
      await using _server = server;
      using client = await dial(server);
      await writeAll(client, "hello\n");
      await readExactly(client, 6);
      assertEquals(await within("the end", readToEnd(client)), "");
      await until(async () => (await server.stats()).open === 0, "the end");
      assertTimedOut(errors, '"idleTimeout"');
      assertEquals((await server.stats()).timeouts, 1);
    },
  );
}

testEach(
  STREAMS,
  "gives the RequestTimeoutError to rfile and signal",
  async (kind) => {
    seen.length = 0;
    const { server, errors } = open(kind, Lines, { idleTimeout: 50 });
    await using _server = server;
    using client = await dial(server);
    assertEquals(await readToEnd(client), "");
    await until(() => seen.length > 0, "the handler notices");
    assertEquals(seen, [errors[0], errors[0]]);
  },
);

testMeanwhile(
  STREAMS,
  "with idleTimeout lets a client that speaks from time to time be",
  async (kind) => {
    await inTime(1_000, async (step) => {
      const { server, errors } = open(kind, EchoHandler, {
        idleTimeout: 1_500,
      });
      await using _server = server;
      using client = await kind.connect(server);
      for (let i = 0; i < 9; i++) {
        const answer = await exchange(client, `${i}`).finally(step);
        assertEquals(answer, `${i}`);
        await pause(200);
      }
      assertEquals(errors, []);
    });
  },
);

class Slow extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.rfile.readLine();
    await pause(1_000);
    await this.wfile.write("done\n");
  }
}

testMeanwhile(
  STREAMS,
  "with idleTimeout lets a handler that is busy be",
  async (kind) => {
    const { server, errors } = open(kind, Slow, { idleTimeout: 500 });
    await using _server = server;
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "begin"), "done");
    assertEquals(errors, []);
  },
);

class Flooder extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const chunk = new Uint8Array(1024 * 1024);
    for (;;) await this.wfile.write(chunk);
  }
}

testEach(
  STREAMS,
  "with idleTimeout ends a client that reads nothing",
  async (kind) => {
    const { server, errors } = open(kind, Flooder, { idleTimeout: 100 });
    await using _server = server;
    using _client = await dial(server);
    await until(async () => (await server.stats()).timeouts === 1, "the end");
    await until(async () => (await server.stats()).open === 0, "it is closed");
    assertTimedOut(errors, '"idleTimeout"');
  },
);

testEach(
  STREAMS,
  "with requestTimeout ends a client that sends a byte from time to time",
  async (kind) => {
    const { server, errors } = open(kind, Lines, {
      requestTimeout: 300,
    });
    await using _server = server;
    using client = await dial(server);
    const end = readToEnd(client).catch(() => "");
    let ended = false;
    end.then(() => ended = true);
    for (let i = 0; i < 200 && !ended; i++) {
      await writeAll(client, "x").catch(() => {});
      await pause(20);
    }
    assert(ended, "It was held for ever");
    assertTimedOut(errors, '"requestTimeout"');
  },
);

class Sleeper extends BaseRequestHandler {
  override async handle(): Promise<void> {
    await new Promise((resolve) => this.signal.onabort = resolve);
  }
}

testEach(
  ALL,
  "with requestTimeout aborts a handler that hangs",
  async (kind) => {
    const { server, errors } = open(kind, Sleeper, { requestTimeout: 50 });
    await using _server = server;
    using client = await kind.connect(server);
    await client.send("x");
    await until(async () => (await server.stats()).timeouts === 1, "the end");
    await until(async () => (await server.stats()).open === 0, "it is closed");
    assertTimedOut(errors, '"requestTimeout"');
  },
);

class Prompt extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("prompt");
  }
}

testEach(DATAGRAMS, "with requestTimeout serves as before", async (kind) => {
  const { server, errors } = open(kind, Prompt, { requestTimeout: 5_000 });
  await using _server = server;
  using client = await kind.connect(server);
  for (let i = 0; i < 10; i++) {
    await client.send("x");
    assertEquals(await client.receive(), "prompt");
  }
  assertEquals(errors, []);
});

testMeanwhile(
  [kinds.tcp],
  "with minRate ends a client that is too slow, and no other",
  async (kind) => {
    const { server, errors } = open(kind, Lines, { minRate: 100 });
    await using _server = server;
    using slow = await dial(server);
    using quick = await dial(server);
    let ended = false;
    const end = readToEnd(slow).then(() => ended = true, () => ended = true);
    const line = `${"x".repeat(200)}\n`;
    for (let i = 0; i < 400 && !ended; i++) {
      await writeAll(slow, "x").catch(() => {});
      await writeAll(quick, line);
      await readExactly(quick, line.length);
      await pause(50);
    }
    await end;
    assertTimedOut(errors, '"minRate"');
  },
);

testMeanwhile(
  STREAMS,
  "setLimits() puts deadlines on open requests, and takes them away",
  async (kind) => {
    const { server, errors } = open(kind, Lines, {});
    await using _server = server;
    using first = await kind.connect(server);
    assertEquals(await exchange(first, "a"), "a");
    await server.setLimits({ idleTimeout: 500 });
    const echo = await exchange(first, "b").catch(() => "");
    // Unless a busy machine made it late in earnest
    if (errors.length === 0) assertEquals(echo, "b");
    assertEquals(await first.receive().catch(() => null), null);
    await until(() => errors.length === 1, "the error");
    await server.setLimits({ idleTimeout: Infinity });
    using second = await kind.connect(server);
    assertEquals(await exchange(second, "c"), "c");
    await pause(600);
    assertEquals(await exchange(second, "d"), "d");
    assertEquals(errors.length, 1);
  },
);

testEach(
  [kinds.tcp],
  "setLimits({ requestTimeout }) counts from a request's begin",
  async (kind) => {
    const { server, errors } = open(kind, Lines, {});
    await using _server = server;
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "a"), "a");
    await pause(1_600);
    await server.setLimits({ requestTimeout: 1_500 });
    // Timers of one thread go off in order, however busy it is
    await pause(1_400);
    assertTimedOut(errors, '"requestTimeout"');
    assertEquals(await client.receive().catch(() => null), null);
  },
);

testEach(STREAMS, "with deadlines leaves no timer behind", async (kind) => {
  const { server } = open(kind, EchoHandler, {
    idleTimeout: 60_000,
    requestTimeout: 60_000,
    minRate: 1,
  });
  for (let i = 0; i < 3; i++) {
    using client = await kind.connect(server);
    assertEquals(await exchange(client, "a"), "a");
  }
  await server.serverClose();
});

Deno.test("Deadlines of connections, side by side", (t) =>
  sideBySide(t, meanwhile));

Deno.test("TCPServer counts no time as idle after it has ended a client's input", async () => {
  class Thorough extends StreamRequestHandler {
    override async handle() {
      await this.wfile.write(`${await this.rfile.readLine()}\n`);
      await this.rfile.readLine();
      await server.setLimits({ idleTimeout: 100 });
      await pause(500);
      await this.wfile.write("goodbye\n");
    }
  }
  const options = { idleTimeout: 40_000 };
  const server = new TCPServer({ port: 0 }, Thorough, options);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "a\n");
  await readExactly(client, 2);
  const closed = server.serverClose();
  assertEquals(await readToEnd(client), "goodbye\n");
  await client.closeWrite();
  assertEquals(await closed, { completed: 1, aborted: [] });
});

Deno.test("TCPServer keeps a client whose bytes arrived while the event loop stood still for longer than idleTimeout", async () => {
  // Whenever the stall begins
  for (let after = 15; after <= 35; after += 4) {
    await inTime(50, async (step) => {
      const waits = Promise.withResolvers<void>();
      const line = Promise.withResolvers<string | null>();
      line.promise.catch(() => {}); // beside busy cores it fails before it is awaited
      class Reading extends StreamRequestHandler {
        override async handle() {
          const reading = this.rfile.readLine();
          step();
          waits.resolve();
          await reading.then(line.resolve, line.reject);
        }
      }
      using client = new StallClient();
      await using server = new TCPServer({ port: 0 }, Reading, {
        idleTimeout: 60,
      });
      collectErrors(server);
      server.serveForever();
      await client.connect(server.serverAddress.port);
      await waits.promise;
      await pause(after); // it has looked at the read
      step();
      client.stall(100);
      assertEquals(await line.promise, "late");
    });
  }
});
