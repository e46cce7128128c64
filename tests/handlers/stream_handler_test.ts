/** Settings and time-outs of handlers on real connections. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  BaseRequestHandler,
  RequestTimeoutError,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import { connect } from "../../server/testing.ts";
import {
  collectErrors,
  dial,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "../servers/_support.ts";
import { StallClient } from "../support/stall.ts";
import { pause, until, within } from "../support/waiting.ts";

class Impatient extends StreamRequestHandler<unknown[]> {
  override timeout = 60;

  override async handle(): Promise<void> {
    try {
      for await (const line of this.rfile) this.server.context.push(line);
    } catch (error) {
      this.server.context.push(error);
      this.server.context.push(
        await this.rfile.read().catch((later) => later === error),
      );
      await this.wfile.write("too slow\n");
      throw error;
    }
  }
}

testEach(
  STREAMS,
  "timeout: an idle client gets an answer and the end, later reads fail",
  async (kind) => {
    const context: unknown[] = [];
    await using server = kind.open(Impatient, { context });
    const errors = collectErrors(server);
    server.serveForever();
    using conn = await dial(server);
    await writeAll(conn, "in time\n");
    assertEquals(await within("the end", readToEnd(conn)), "too slow\n");
    assertEquals(context[0], "in time");
    assertInstanceOf(context[1], RequestTimeoutError);
    assertEquals(context[2], true);
    assertEquals(errors, [context[1]]);
    const { timeouts, errors: faults } = await server.stats();
    assertEquals([timeouts, faults], [1, 0]);
  },
);

test("timeout counts from the last byte", async () => {
  const context: unknown[] = [];
  await using client = connect(Impatient, { context });
  for (const character of "slow, but\n") {
    await client.wfile.write(character);
    await client.clock.advance(59);
  }
  await client.closeWrite();
  assertEquals(await readToEnd(client), "");
  await client.ended;
  assertEquals(context, ["slow, but"]);
});

class ImpatientWriter extends StreamRequestHandler {
  override timeout = 60;

  override async handle(): Promise<void> {
    for (;;) await this.wfile.write(new Uint8Array(1024 * 1024));
  }
}

testEach(
  STREAMS,
  "timeout ends a write to a client that never reads",
  async (kind) => {
    await using server = kind.open(ImpatientWriter);
    const errors = collectErrors(server);
    server.serveForever();
    using _deaf = await dial(server);
    await until(() => errors.length > 0, "the time-out");
    assertInstanceOf(errors[0], RequestTimeoutError);
    assertEquals((await server.stats()).timeouts, 1);
    await until(async () => (await server.stats()).open === 0, "the end");
    assertEquals(errors.length, 1);
  },
);

class Unbuffered extends StreamRequestHandler {
  override wbufsize = 1_000;
  override rbufsize = 0;
  override disableNagleAlgorithm = true;
  override maxLineLength = 10;

  override async handle(): Promise<void> {
    assertEquals(this.connection, this.request);
    const line = await this.rfile.readLine();
    await this.wfile.write(`${line} is held`);
    const rest = new Uint8Array(100);
    // Nothing was read ahead: the connection itself has what follows
    const n = await this.connection.read(rest);
    await this.wfile.write(`, then ${n} bytes`);
  }
}

test("rbufsize 0 reads nothing ahead", async () => {
  await using client = connect(Unbuffered);
  await client.wfile.write("line\nand six");
  assertEquals(await readToEnd(client), "line is held, then 7 bytes");
});

test("rfile and wfile work however a client's bytes are split", async () => {
  const text = "one\r\ntwo €\n\nlast";
  for (let splitAt = 0; splitAt <= 20; splitAt++) {
    for (const chunkSize of [1, 2, Infinity]) {
      const context: unknown[] = [];
      await using client = connect(Impatient, { context, splitAt, chunkSize });
      await client.wfile.write(text);
      await client.closeWrite();
      await client.ended;
      assertEquals(context, ["one", "two €", "", "last"]);
    }
  }
});

test("a reset at any byte ends the handler with the reset, and nothing else", async () => {
  for (let resetAfterReading = 0; resetAfterReading <= 8; resetAfterReading++) {
    const context: unknown[] = [];
    await using client = connect(Impatient, { context, resetAfterReading });
    await client.wfile.write("ab\ncd\nef").catch(() => {}); // at 0 it comes too late
    await assertRejects(() => client.ended, Deno.errors.ConnectionReset);
    const lines = ["ab", "cd"].slice(0, Math.floor(resetAfterReading / 3));
    assertEquals(context.slice(0, lines.length), lines);
  }
});

const calls: string[] = [];

class Ordered extends BaseRequestHandler<Deno.Conn> {
  override async setup(): Promise<void> {
    await pause(2);
    calls.push("setup");
  }
  override async handle(): Promise<void> {
    await pause(2);
    calls.push("handle");
  }
  override finish(): void {
    calls.push("finish");
  }
}

class OrderedServer extends TCPServer {
  override verifyRequest(): boolean {
    calls.push("verifyRequest");
    return true;
  }
  override async processRequest(
    ...args: Parameters<TCPServer["processRequest"]>
  ): Promise<void> {
    calls.push("processRequest");
    await super.processRequest(...args);
  }
  override finishRequest(
    ...args: Parameters<TCPServer["finishRequest"]>
  ): Promise<void> {
    calls.push("finishRequest");
    return super.finishRequest(...args);
  }
  override shutdownRequest(request: Deno.TcpConn): void | Promise<void> {
    calls.push("shutdownRequest");
    return super.shutdownRequest(request);
  }
  override closeRequest(request: Deno.TcpConn): void | Promise<void> {
    calls.push("closeRequest");
    return super.closeRequest(request);
  }
}

test("hooks and handler methods are called in Python's order", async () => {
  await using server = new OrderedServer({ port: 0 }, Ordered);
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "");
  assertEquals(calls, [
    "verifyRequest",
    "processRequest",
    "finishRequest",
    "setup",
    "handle",
    "finish",
    "shutdownRequest",
    "closeRequest",
  ]);
});

class SignalUser extends BaseRequestHandler<Deno.Conn, AbortSignal[]> {
  override handle(): void {
    assert(this.signal === this.signal);
    this.server.context.push(this.signal);
  }
}

test("signal is not aborted by the end of a request", async () => {
  const context: AbortSignal[] = [];
  await using server = new TCPServer({ port: 0 }, SignalUser, { context });
  server.serveForever();
  using conn = await dial(server);
  assertEquals(await readToEnd(conn), "");
  assertEquals(context.map(({ aborted }) => aborted), [false]);
});

Deno.test("StreamRequestHandler reads what arrived while the event loop stood still for longer than its timeout", async () => {
  const connected = Promise.withResolvers<void>();
  const waits = Promise.withResolvers<void>();
  const line = Promise.withResolvers<string | null>();
  class Reading extends StreamRequestHandler {
    override timeout = 30;
    override async handle() {
      await connected.promise; // its time counts from the read on
      const reading = this.rfile.readLine();
      waits.resolve();
      await reading.then(line.resolve, line.reject);
    }
  }
  using client = new StallClient();
  await using server = new TCPServer({ port: 0 }, Reading);
  server.serveForever();
  await client.connect(server.serverAddress.port);
  connected.resolve();
  await waits.promise;
  client.stall(60);
  assertEquals(await line.promise, "late");
});
