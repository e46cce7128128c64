/** Reads that are pending when their handler ends, and writes that nobody awaits. */

import { assert, assertEquals } from "@std/assert";
import {
  BaseRequestHandler,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import { connect } from "../../server/testing.ts";
import { collectErrors, dial, test, writeAll } from "../servers/_support.ts";
import { until, within } from "../support/waiting.ts";

/** How each way to read ends: with what, or never. */
const WAYS: [
  how: string,
  read: (handler: Reader) => Promise<unknown>,
  end: unknown,
][] = [
  ["read()", ({ rfile }) => rfile.read(), null],
  ["read(into)", ({ rfile }) => rfile.read(new Uint8Array(9)), null],
  ["readLine()", ({ rfile }) => rfile.readLine(), null],
  ["readLineBytes()", ({ rfile }) => rfile.readLineBytes(), null],
  ["iteration", async ({ rfile }) => {
    for await (const line of rfile) return line;
    return "over";
  }, "over"],
  ["request.read()", ({ request }) => request.read(new Uint8Array(9)), null],
  ["readable", async ({ request }) => {
    const { done } = await request.readable.getReader().read();
    return done;
  }, true],
  ["readExact()", ({ rfile }) => rfile.readExact(9), undefined],
  ["readExact(), large", ({ rfile }) => rfile.readExact(90_000), undefined],
  ["readText()", ({ rfile }) => rfile.readText(9), undefined],
  ["readUntil()", ({ rfile }) => rfile.readUntil("|"), undefined],
  ["readAll()", ({ rfile }) => rfile.readAll(), undefined],
];

class Reader extends StreamRequestHandler<{ settled: unknown[]; way: number }> {
  override async handle() {
    const { settled, way } = this.server.context;
    WAYS[way]![1](this).then(
      (value) => settled.push(value),
      (error) => settled.push(error),
    );
    await this.wfile.write("begun\n");
    await this.wfile.flush();
    throw new Error("in the other half");
  }
}

for (const [way, [how, , end]] of WAYS.entries()) {
  test(
    `${how} that is pending when its handler fails ${
      end === undefined ? "stays so" : "finds the end"
    }`,
    async () => {
      const context = { settled: [] as unknown[], way };
      const server = new TCPServer({ port: 0 }, Reader, { context });
      const errors = collectErrors(server);
      server.serveForever();
      using client = await dial(server);
      await until(() => errors.length === 1, "its end");
      client.close();
      await server.serverClose();
      assertEquals(context.settled, end === undefined ? [] : [end]);
    },
  );
}

test("Reads beside another that are pending when their handler ends find the end", async () => {
  const settled: unknown[] = [];
  class Several extends StreamRequestHandler {
    override async handle() {
      const { request, rfile } = this;
      const reads = [
        request.read(new Uint8Array(9)),
        request.read(new Uint8Array(9)),
        rfile.readLine(),
      ];
      for (const read of reads) {
        read.catch((error) => error).then((value) => settled.push(value));
      }
      await request.write(new Uint8Array(1));
    }
  }
  class Abrupt extends TCPServer {
    override shutdownRequest(request: Deno.TcpConn) {
      request.close();
    }
  }
  const server = new Abrupt({ port: 0 }, Several);
  server.serveForever();
  using client = await dial(server);
  await client.read(new Uint8Array(1));
  await server.serverClose();
  assertEquals(settled, [null, null, null]);
});

test("A read that begins after its handler has ended finds the end", async () => {
  const late: unknown[] = [];
  class Late extends BaseRequestHandler<Deno.Conn> {
    override handle() {
      const buffer = new Uint8Array(9);
      (async () => {
        await null; // until there is a client
        await client.ended;
        late.push(await this.request.read(buffer));
      })();
    }
  }
  const client = connect(Late);
  await using _client = client;
  await until(() => late.length === 1, "the read");
  assertEquals(late, [null]);
});

test("A handler that awaits no write does not read on while 1 MiB waits", async () => {
  const SIZE = 400_000;
  let answered = 0;
  class Careless extends StreamRequestHandler {
    override async handle() {
      for (;;) {
        const line = this.rfile.tryReadLine() ?? await this.rfile.readLine();
        if (line === null) return;
        this.wfile.write(new Uint8Array(SIZE));
        answered++;
      }
    }
  }
  await using client = connect(Careless);
  const LINES = 100;
  await client.wfile.write("x\n".repeat(LINES));
  await client.clock.advance(0);
  await client.clock.advance(0);
  assert(answered >= 2 && answered <= 8, `${answered} answers`);
  await client.closeWrite();
  const got = await within("all answers", client.rfile.readAll());
  assertEquals(got.length, LINES * SIZE);
});

test("A client that takes nothing keeps no more than some MiB here", async () => {
  class Careless extends StreamRequestHandler {
    override async handle() {
      for await (const _ of this.rfile) {
        this.wfile.write(new Uint8Array(1_000_000));
        held = Math.max(held, this.wfile.bufferedBytes);
      }
    }
  }
  let held = 0;
  await using server = new TCPServer({ port: 0 }, Careless, {
    shutdownTimeout: 100,
  });
  collectErrors(server);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "x\n".repeat(200));
  await until(() => held > 0, "an answer");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert(held < 5_000_000, `${held} bytes`);
});
