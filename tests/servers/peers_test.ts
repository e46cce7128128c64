/** Peers that half-close, stall, or leave in the middle. */

import { assert, assertEquals } from "@std/assert";
import {
  DatagramRequestHandler,
  EchoHandler,
  StreamRequestHandler,
  TCPServer,
} from "../../mod.ts";
import {
  assertEchoes,
  captureStderr,
  collectErrors,
  DATAGRAMS,
  dial,
  readExactly,
  readToEnd,
  STREAMS,
  test,
  testEach,
  writeAll,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const MEBIBYTE = 1024 * 1024;

class Summary extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const { length } = await this.rfile.readAll();
    await this.wfile.write(`${length} bytes\n`);
    await this.wfile.write("and goodbye\n");
  }
}

testEach(STREAMS, "answers a client that has half-closed", async (kind) => {
  await using server = kind.open(Summary);
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "12345");
  await client.closeWrite();
  assertEquals(await readToEnd(client), "5 bytes\nand goodbye\n");
});

class HalfCloser extends StreamRequestHandler<string[]> {
  override async handle(): Promise<void> {
    await this.wfile.write("my part\n");
    await this.connection.closeWrite();
    for await (const line of this.rfile) this.server.context.push(line);
  }
}

testEach(STREAMS, "reads on when the handler has half-closed", async (kind) => {
  const context: string[] = [];
  await using server = kind.open(HalfCloser, { context });
  const errors = collectErrors(server);
  server.serveForever();
  const client = await dial(server);
  assertEquals(await readToEnd(client), "my part\n");
  await writeAll(client, "still\nheard\n");
  client.close();
  await until(async () => (await server.stats()).open === 0, "the end");
  assertEquals(context, ["still", "heard"]);
  assertEquals(errors, []);
});

class Flooder extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const chunk = new Uint8Array(MEBIBYTE);
    for (;;) await this.wfile.write(chunk);
  }
}

testEach(
  STREAMS,
  "serves others beside clients that never read or never write",
  async (kind) => {
    await using server = kind.open(EchoHandler, { shutdownTimeout: 400 });
    collectErrors(server);
    server.serveForever();
    using deaf = await dial(server);
    const flood = writeAll(deaf, new Uint8Array(32 * MEBIBYTE)).catch(() => {});
    using _mute = await dial(server);
    for (let i = 0; i < 20; i++) await assertEchoes(kind, server);
    await until(async () => (await server.stats()).open === 2, "two left");
    const { aborted } = await server.serverClose();
    assertEquals(aborted.length, 1);
    await flood;
  },
);

class Large extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const bytes = new Uint8Array(4 * MEBIBYTE);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7;
    assertEquals(await this.wfile.write(bytes), bytes.length);
  }
}

testEach(STREAMS, "a large write to a slow reader completes", async (kind) => {
  await using server = kind.open(Large);
  server.serveForever();
  using client = await dial(server);
  for (let at = 0; at < 4 * MEBIBYTE;) {
    const bytes = await readExactly(client, MEBIBYTE / 4);
    for (const byte of bytes) {
      if (byte !== (at++ * 7) % 256) throw new Error(`Wrong byte at ${at - 1}`);
    }
    await pause(5);
  }
  assertEquals(await readToEnd(client), "");
});

testEach(
  STREAMS,
  "a client that resets in mid-write is contained",
  async (kind) => {
    await using server = kind.open(Flooder);
    const errors = collectErrors(server);
    server.serveForever();
    const client = await dial(server);
    await readExactly(client, 1_000);
    client.close(); // with bytes unread: a reset
    await until(async () => (await server.stats()).open === 0, "the end");
    const { disconnects, errors: faults } = await server.stats();
    assertEquals([disconnects, faults, errors.length], [1, 0, 1]);
    assert(
      errors[0] instanceof Deno.errors.ConnectionReset ||
        errors[0] instanceof Deno.errors.BrokenPipe,
    );
  },
);

class Ignorer extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.rfile.readLine();
  }
}

testEach(
  STREAMS,
  "closes when a handler returns without an answer",
  async (kind) => {
    await using server = kind.open(Ignorer);
    server.serveForever();
    using client = await dial(server);
    await writeAll(client, "x\n");
    assertEquals(await within("the end", readToEnd(client)), "");
  },
);

class Messages extends StreamRequestHandler {
  override async handle(): Promise<void> {
    await this.rfile.readExact(10);
  }
}

testEach(
  STREAMS,
  "counts a client that leaves in the middle of a message as a disconnect",
  async (kind) => {
    await using server = kind.open(Messages);
    server.serveForever();
    using printed = captureStderr();
    const client = await dial(server);
    await writeAll(client, "half");
    await client.closeWrite();
    assertEquals(await readToEnd(client), "");
    client.close();
    const { disconnects, errors } = await server.stats();
    assertEquals([disconnects, errors, printed.text], [1, 0, ""]);
  },
);

class ShortPacket extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.rfile.readExact(10);
  }
}

testEach(
  DATAGRAMS,
  "counts a packet that is too short for its handler as an error",
  async (kind) => {
    await using server = kind.open(ShortPacket);
    collectErrors(server);
    server.serveForever();
    using client = await kind.connect(server);
    await client.send("half");
    await until(async () => (await server.stats()).errors === 1, "the error");
    assertEquals((await server.stats()).disconnects, 0);
  },
);

for (const code of ["ETIMEDOUT", "EHOSTUNREACH"]) {
  test(`TCPServer counts a connection that ends with ${code} as a disconnect`, async () => {
    await using server = new TCPServer({ port: 0 }, EchoHandler);
    const accept = server.getRequest.bind(server);
    server.getRequest = async () => {
      const [conn, address] = await accept();
      const error = Object.assign(new Error(code), { code });
      conn.read = () => Promise.reject(error);
      return [conn, address];
    };
    server.serveForever();
    using printed = captureStderr();
    using client = await dial(server);
    assertEquals(await readToEnd(client), "");
    const { disconnects, errors } = await server.stats();
    assertEquals([disconnects, errors, printed.text], [1, 0, ""]);
  });
}
