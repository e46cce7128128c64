/** Connections in memory, and whether they behave as those of the system do. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  ChargenHandler,
  DatagramRequestHandler,
  EchoHandler,
  RequestTimeoutError,
  StreamRequestHandler,
} from "../../mod.ts";
import { connect, sendPacket } from "../../server/testing.ts";
import {
  dial,
  kinds,
  readExactly,
  readToEnd,
  test,
  writeAll,
} from "../servers/_support.ts";

const { BadResource, BrokenPipe, ConnectionReset, Interrupted } = Deno.errors;
const encoder = new TextEncoder();

test("connect() runs a handler and needs no permission", async () => {
  await using client = connect(EchoHandler);
  await client.wfile.write("hello\n");
  assertEquals(await client.rfile.readLine(), "hello");
  assertInstanceOf(client.handler, EchoHandler);
  await client.closeWrite();
  assertEquals(await client.rfile.readLine(), null);
  await client.ended;
});

test("connect() gives a Deno.Conn that tests of sockets take as well", async () => {
  await using client = connect(EchoHandler);
  const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
  const reading = readExactly(client, bytes.length);
  await writeAll(client, bytes);
  assertEquals(await reading, bytes);
  await client.closeWrite();
  assertEquals(await readToEnd(client), "");
});

test("connect() gives streams", async () => {
  const client = connect(EchoHandler);
  const writer = client.writable.getWriter();
  await writer.write(encoder.encode("through streams"));
  await writer.close();
  assertEquals(await new Response(client.readable).text(), "through streams");
  await client.ended;
});

class Context extends StreamRequestHandler<{ word: string }> {
  override async handle(): Promise<void> {
    const { serverAddress, context } = this.server;
    await this.wfile.write(
      JSON.stringify([context.word, serverAddress, this.clientAddress]),
    );
    assertStrictEquals(this.clientAddress, this.connection.remoteAddr);
    assertEquals((await this.server.stats()).open, 0);
    await this.server.shutdown();
  }
}

test("connect() hands the context and the addresses on", async () => {
  const serverAddress = { transport: "unix", path: "/a" } as const;
  const clientAddress = { transport: "unix", path: "/b" } as const;
  const context = { word: "given" };
  await using client = connect(Context, {
    context,
    serverAddress,
    clientAddress,
  });
  assertEquals(
    JSON.parse(await readToEnd(client)),
    ["given", serverAddress, clientAddress],
  );
  await client.ended;
});

class Reads extends StreamRequestHandler<number[]> {
  override async handle(): Promise<void> {
    const into = new Uint8Array(100);
    for (let n; (n = await this.rfile.read(into)) !== null;) {
      this.server.context.push(n);
    }
  }
}

test("connect() splits what the handler reads", async () => {
  for (
    const [options, expected] of [
      [{}, [5]],
      [{ chunkSize: 1 }, [1, 1, 1, 1, 1]],
      [{ chunkSize: 2 }, [2, 2, 1]],
      [{ splitAt: 3 }, [3, 2]],
      [{ splitAt: 0 }, [5]],
      [{ splitAt: 9 }, [5]],
    ] as const
  ) {
    const context: number[] = [];
    await using client = connect(Reads, { context, ...options });
    await client.wfile.write("12345");
    await client.closeWrite();
    await client.ended;
    assertEquals(context, [...expected]);
  }
});

test("connect() resets the connection after so many bytes read", async () => {
  for (const resetAfterReading of [0, 1, 4, 5]) {
    const context: number[] = [];
    await using client = connect(Reads, { context, resetAfterReading });
    await client.wfile.write("12345").catch(() => {});
    await assertRejects(() => client.ended, ConnectionReset);
    const total = context.reduce((sum, n) => sum + n, 0);
    assertEquals(total, resetAfterReading);
    await assertRejects(() => client.read(new Uint8Array(1)), ConnectionReset);
  }
});

test("connect() resets the connection after so many bytes written", async () => {
  await using client = connect(ChargenHandler, { resetAfterWriting: 10 });
  assertEquals((await readExactly(client, 10)).length, 10);
  await assertRejects(() => client.read(new Uint8Array(1)), ConnectionReset);
  await assertRejects(() => client.ended, ConnectionReset);
});

test("connect() lets a handler wait for a client that stalls", async () => {
  class Stalled extends StreamRequestHandler {
    override timeout = 1_000;
    override async handle(): Promise<void> {
      for (;;) await this.wfile.write(new Uint8Array(50_000));
    }
  }
  await using client = connect(Stalled, { windowSize: 10 });
  assertEquals(await client.read(new Uint8Array(100)), 10);
  await client.clock.advance(999);
  assertEquals(await client.read(new Uint8Array(3)), 3); // counts anew
  await client.clock.advance(999);
  await client.clock.advance(1);
  await assertRejects(() => client.ended, RequestTimeoutError);
});

class Idle extends StreamRequestHandler<string[]> {
  override timeout = 60_000;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) this.server.context.push(line);
  }
}

test("connect(): time-outs are counted by the connection's clock, from the last byte", async () => {
  const context: string[] = [];
  await using client = connect(Idle, { context });
  for (const character of "slow\n") {
    await client.clock.advance(59_999);
    await client.wfile.write(character);
  }
  await client.clock.advance(59_999);
  assertEquals(context, ["slow"]);
  await client.clock.advance(1);
  await assertRejects(() => client.ended, RequestTimeoutError);
  assertEquals(client.clock.now(), 7 * 59_999 - 59_999 + 1);
});

test("connect(): drain() ends a handler that waits for a request", async () => {
  await using client = connect(EchoHandler);
  await client.wfile.write("x");
  await client.rfile.readExact(1);
  client.drain();
  await client.clock.advance(50);
  await client.ended;
});

test("connect(): abort() aborts the signal and closes the connection", async () => {
  await using client = connect(EchoHandler);
  const reason = new Error("over");
  client.abort(reason);
  await assertRejects(() => client.ended, Error, "over");
  assertStrictEquals(client.handler.signal.reason, reason);
  assertEquals(await client.read(new Uint8Array(1)), null);
});

class Thrower extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write("before");
    throw new RangeError("thrown");
  }
}

test("connect(): ended rejects with the handler's error, after what was written", async () => {
  await using client = connect(Thrower);
  assertEquals(await readToEnd(client), "before");
  await assertRejects(() => client.ended, RangeError, "thrown");
});

test("connect() refuses what is no handler and options out of range", () => {
  assertThrows(() => connect(String as never), TypeError);
  for (
    const options of [
      { chunkSize: 0 },
      { windowSize: 0 },
      { splitAt: -1 },
      { resetAfterReading: 1.5 },
      { resetAfterWriting: NaN },
    ]
  ) {
    assertThrows(() => connect(EchoHandler, options), RangeError);
  }
});

test("connect() and sendPacket() refuse options that they don't know", async () => {
  assertThrows(
    // @ts-expect-error: a misspelt option
    () => connect(EchoHandler, { chunksize: 1 }),
    TypeError,
    '"chunksize"',
  );
  await assertRejects(
    // @ts-expect-error: an option of connections
    () => sendPacket(EchoHandler, "x", { splitAt: 1 }),
    TypeError,
    '"splitAt"',
  );
  // @ts-expect-error: the handler needs a context
  const needsContext = () => connect(Context);
  await assertRejects(() => needsContext().ended, TypeError);
});

/** What the ends of a connection do, one step after the other. */
async function protocol(
  open: (handler: typeof Scripted) => Promise<Deno.Conn>,
): Promise<unknown[]> {
  const seen: unknown[] = [];
  scripted = Promise.withResolvers();
  const client = await open(Scripted);
  const handlers = (await scripted.promise).request;
  const note = async (step: () => unknown) => {
    try {
      seen.push(await step() ?? null);
    } catch (error) {
      seen.push((error as Error).constructor.name);
    }
  };
  const into = new Uint8Array(10);
  await note(() => client.read(new Uint8Array(0)));
  await note(() => client.write(encoder.encode("abc")));
  await note(() => handlers.read(into));
  const pending = handlers.read(into).catch((e) => e.constructor.name);
  const second = handlers.read(into).catch((e) => e.constructor.name);
  await note(() => client.closeWrite());
  await note(() => client.closeWrite());
  await note(() => Promise.all([pending, second]));
  await note(() => handlers.read(into));
  await note(() => client.write(into));
  await note(() => handlers.write(encoder.encode("back")));
  await note(() => client.read(into));
  const interrupted = client.read(into).catch((e) => e.constructor.name);
  client.close();
  await note(() => interrupted);
  await note(() => client.read(into));
  await note(() => client.write(into));
  await note(() => client.close());
  await note(() => client[Symbol.dispose]());
  (await scripted.promise).end.resolve();
  return seen;
}

let scripted: PromiseWithResolvers<Scripted> = Promise.withResolvers();

class Scripted extends StreamRequestHandler {
  readonly end = Promise.withResolvers<void>();
  override async handle(): Promise<void> {
    scripted.resolve(this);
    await this.end.promise;
  }
}

test("a connection in memory does what one of the system does", async () => {
  await using server = kinds.tcp.open(Scripted);
  server.serveForever();
  const real = await protocol(() => dial(server));
  const inMemory = await protocol((handler) =>
    Promise.resolve(connect(handler))
  );
  assertEquals(inMemory, real);
  for (const { name } of [BadResource, BrokenPipe, Interrupted]) {
    assert(inMemory.includes(name), name);
  }
});

class Reply extends DatagramRequestHandler<string> {
  override async handle(): Promise<void> {
    await this.wfile.write(`${this.server.context} `);
    await this.wfile.write(this.packet);
    await this.socket.send(encoder.encode("aside"), this.server.serverAddress);
  }
}

test("sendPacket() gives what the handler sends, and where to", async () => {
  const clientAddress = { transport: "udp", hostname: "::1", port: 5 } as const;
  const replies = await sendPacket(Reply, "packet", {
    context: "the",
    clientAddress,
  });
  assertEquals(replies.map(([bytes]) => new TextDecoder().decode(bytes)), [
    "aside",
    "the packet",
  ]);
  assertEquals(replies[1]![1], clientAddress);
});

test("sendPacket() rejects with the handler's error", async () => {
  class Failing extends DatagramRequestHandler {
    override handle(): void {
      throw new RangeError(`${this.packet.length} bytes`);
    }
  }
  await assertRejects(
    () => sendPacket(Failing, new Uint8Array(3)),
    RangeError,
    "3 bytes",
  );
});
