/** What is special about Unix datagrams: see server/sockets/unix_packet_socket.ts. */

import { assert, assertEquals, assertLess } from "@std/assert";
import {
  DatagramRequestHandler,
  EchoHandler,
  RequestHandler,
  UnixDatagramServer,
} from "../../mod.ts";
import { Detour } from "../../server/sockets/detour.ts";
import { python, startDeno } from "./_programs.ts";
import {
  assertEchoes,
  collectErrors,
  freePath,
  kinds,
  test,
  unixSocket,
} from "./_support.ts";
import { needs } from "../support/programs.ts";
import { pause, until, within } from "../support/waiting.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Late extends RequestHandler {
  static wait = 0;

  override async handle(): Promise<void> {
    const text = await this.rfile.readLine() ?? "";
    if (Late.wait > 0) await pause(Late.wait);
    await this.wfile.write(text);
  }
}

/** Runs a case of a client that never reads, and gives what it came to. */
async function runUnread(name: string) {
  const dir = freePath();
  await Deno.mkdir(dir);
  await using program = startDeno("./_unread_program.ts", {
    args: [name, dir],
  });
  const result = await within("the case", program.readLine());
  await within("the end of the program", program.readLine());
  return JSON.parse(result ?? "null");
}

/** Sends bursts and takes the replies of each; checks that they are in order. */
async function burst(
  server: UnixDatagramServer,
  id: number,
  rounds: number,
  size: number,
): Promise<void> {
  const socket = unixSocket();
  for (let round = 0; round < rounds; round++) {
    const texts = Array.from({ length: size }, (_, i) => `${id}:${round}:${i}`);
    for (const text of texts) {
      await socket.send(encoder.encode(text), server.serverAddress);
    }
    for (const text of texts) {
      const [packet] = await socket.receive(new Uint8Array(100));
      assertEquals(decoder.decode(packet), text);
    }
  }
  socket.close();
}

for (const [wait, rounds] of [[0, 40], [4, 20]] as const) {
  test(`UnixDatagramServer: 20 clients, ${20 * rounds * 8} messages, replies after ${wait} ms, all in order`, async () => {
    Late.wait = wait;
    await using server = new UnixDatagramServer({ path: freePath() }, Late);
    const errors = collectErrors(server);
    server.serveForever();
    await Promise.all(
      Array.from({ length: 20 }, (_, id) => burst(server, id, rounds, 8)),
    );
    assertEquals(errors, []);
    assertEquals((await server.stats()).accepted, 20 * rounds * 8);
  });
}

class Gated extends RequestHandler<Promise<void>> {
  override async handle(): Promise<void> {
    await this.server.context;
    await this.wfile.write(await this.rfile.readLine() ?? "");
  }
}

test("UnixDatagramServer: bursts of 100 outstanding, more than the system queues", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new UnixDatagramServer({ path: freePath() }, Gated, {
    context: promise,
  });
  const errors = collectErrors(server);
  server.serveForever();
  const socket = unixSocket();
  for (let i = 0; i < 100; i++) {
    await socket.send(encoder.encode(`${i}`), server.serverAddress);
  }
  resolve();
  for (let i = 0; i < 100; i++) {
    const [packet] = await socket.receive(new Uint8Array(100));
    assertEquals(decoder.decode(packet), `${i}`);
  }
  socket.close();
  assertEquals(errors, []);
});

test("UnixDatagramServer: 30 replies to a client that never reads wait side by side", async () => {
  const { errors, first, all, answered } = await runUnread("waitSideBySide");
  assert(errors.length > 10);
  // One after the other, the last would come long after the first
  assertLess(all - first, first);
  assertEquals(new Set(errors), new Set(["TimedOut"]));
  assertEquals(answered, true);
});

test("UnixDatagramServer: a lone late reply needs no further packet", async () => {
  Late.wait = 30;
  await using server = new UnixDatagramServer({ path: freePath() }, Late);
  server.serveForever();
  for (let i = 0; i < 5; i++) await assertEchoes(kinds.unixDatagram, server);
});

test(
  "UnixDatagramServer drops and counts replies to a client without a path",
  async () => {
    await using server = new UnixDatagramServer(
      { path: freePath() },
      EchoHandler,
    );
    const errors = collectErrors(server);
    server.serveForever();
    const source = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for i in range(3): s.sendto(b"who am I", sys.argv[1])`;
    await python(source, server.serverAddress.path);
    await until(async () => (await server.stats()).dropped === 3, "the drops");
    await assertEchoes(kinds.unixDatagram, server);
    assertEquals(errors, []);
    assertEquals((await server.stats()).accepted, 4);
  },
  needs("python3"),
);

test("UnixDatagramServer: a client that never reads does not hold others up for good", async () => {
  const { errors, late, queued } = await runUnread("holdUpNobody");
  assert(errors.length > 0);
  assertEquals(new Set(errors), new Set(["TimedOut"]));
  assertEquals(queued, true);
  assertEquals(late, [true, true]);
});

test("UnixDatagramServer keeps its file's mode when unread replies fill its memory", async () => {
  const { errors, mode } = await runUnread("fillTheMemory");
  assertEquals(mode.toString(8), "640");
  assert(errors.includes("TimedOut"));
});

test("UnixDatagramServer with packets of 8 bytes tells its own from a client's", async () => {
  const sizes: number[] = [];
  class Slow extends DatagramRequestHandler {
    override async handle() {
      sizes.push(this.packet.length, Number(this.truncated));
      await pause(5); // by then the server waits for the next packet
      await this.wfile.write("ok");
    }
  }
  await using server = new UnixDatagramServer({ path: freePath() }, Slow, {
    maxPacketSize: 8,
  });
  server.serveForever();
  const client = unixSocket();
  for (const size of [4, 8, 9, 30]) {
    await client.send(new Uint8Array(size), server.serverAddress);
    const reply = client.receive(new Uint8Array(9));
    await within("a reply", reply);
  }
  client.close();
  assertEquals(sizes, [4, 0, 8, 0, 8, 1, 8, 1]);
});

test("UnixDatagramServer closes in spite of a client that never reads", async () => {
  assertEquals(await runUnread("close"), "closed");
});

test("Detour takes no link that somebody else has put in its place", async () => {
  const folder = await Deno.makeTempDir();
  const [path, client] = [`${folder}/server`, `${folder}/client`];
  const detour = new Detour(path);
  const [way] = detour.to(client).split("/../");
  assert(way !== client && (await Deno.lstat(way!)).isDirectory);
  detour.cut();
  await Deno.mkdir(`${folder}/elsewhere`);
  await Deno.mkdir(`${folder}/elsewhere/deep`);
  await Deno.symlink(`${folder}/elsewhere/deep`, way!);
  assertEquals(new Detour(path).to(client), client);
  await Deno.remove(folder, { recursive: true });
});
