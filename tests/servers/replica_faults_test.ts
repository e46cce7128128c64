/** The faults of handlers, clients and sockets, in every mode with replicas. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  EchoHandler,
  ForkingUnixDatagramServer,
  ForkingUnixStreamServer,
  ThreadingUnixDatagramServer,
  ThreadingUnixStreamServer,
} from "../../mod.ts";
import {
  dispatchesOf,
  type Mode,
  MODES,
  type ReplicaServer,
  statsWhen,
  STREAM_MODES,
  test,
  testEach,
} from "../replicas/_support.ts";
import {
  FailingForkingTCP,
  FailingForkingUnix,
  FailingThreadingTCP,
  FailingThreadingUnix,
  Faulty,
  FaultyPacket,
  LARGE,
} from "./_faults_fixture.ts";
import { startDeno } from "./_programs.ts";
import {
  type Addressed,
  assertEchoes,
  dial,
  exchange,
  freePath,
  kinds,
  readExactly,
  readToEnd,
  udpSocket,
  unixSocket,
  writeAll,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

const PACKET_MODES = MODES.filter(({ isStream }) => !isStream);

async function ask(server: ReplicaServer, word: string): Promise<Deno.Conn> {
  const conn = await dial(server);
  await writeAll(conn, `${word}\n`);
  return conn;
}

testEach(
  STREAM_MODES,
  "tells each error of setup(), handle() and finish() once, closes, and serves on",
  async (mode) => {
    await using server = mode.open(Faulty, { workers: 1 });
    server.serveForever();
    for (const word of ["setup", "handle", "finish"]) {
      using conn = await ask(server, word);
      assertEquals(await readToEnd(conn), "");
    }
    await statsWhen(server, ({ errors }) => errors === 3, "the errors");
    using conn = await ask(server, "echo");
    await writeAll(conn, "still here");
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), "still here");
    const { accepted, errors } = await server.stats();
    assertEquals([accepted, errors], [4, 3]);
  },
);

testEach(
  STREAM_MODES,
  "completes a large write to a slow reader, contains a reset in mid-write, half-closes both ways",
  async (mode) => {
    await using server = mode.open(Faulty);
    server.serveForever();
    const slow = await ask(server, "large");
    const reset = await ask(server, "endless");
    await readExactly(reset, 100_000);
    reset.close(); // with unread data: the system resets
    await statsWhen(
      server,
      ({ disconnects }) => disconnects === 1,
      "the reset",
    );
    using half = await ask(server, "half");
    assertEquals(await readToEnd(half), "before\n");
    await writeAll(half, "after");
    await half.closeWrite();
    assertEquals(await half.read(new Uint8Array(1)), null);
    const bytes = await within("the bytes", readExactly(slow, LARGE));
    assert(bytes.every((byte) => byte === 7));
    assertEquals(await slow.read(new Uint8Array(1)), null);
    slow.close();
    await statsWhen(server, ({ open }) => open === 0, "the end");
    assertEquals((await server.stats()).errors, 0);
  },
);

function socketOf(mode: Mode): Deno.DatagramConn {
  return mode.transport === "udp" ? udpSocket() : unixSocket();
}

async function receive(socket: Deno.DatagramConn): Promise<Uint8Array> {
  const packet = socket.receive(new Uint8Array(212_961));
  return (await within("a packet", packet))[0];
}

testEach(
  PACKET_MODES,
  "takes packets of any length, tells truncation, refuses a reply that is too long, and sends nothing unasked",
  async (mode) => {
    await using server = mode.open(
      FaultyPacket,
      { workers: 1, maxPacketSize: 60_000 } as Record<string, unknown>,
    );
    server.serveForever();
    const socket = socketOf(mode);
    const send = (bytes: Uint8Array) =>
      socket.send(bytes, server.serverAddress);
    const text = async () => new TextDecoder().decode(await receive(socket));
    await send(new Uint8Array(0));
    assertEquals(await text(), "0 false");
    await send(new Uint8Array(60_000));
    assertEquals(await text(), "60000 false");
    await send(new Uint8Array(65_507));
    assertEquals(await text(), "60000 true");
    await send(new Uint8Array([2]));
    await statsWhen(server, ({ errors }) => errors === 1, "the error");
    await send(new Uint8Array([0])); // is not answered
    const gone = socketOf(mode);
    await gone.send(new Uint8Array(2), server.serverAddress);
    gone.close();
    await send(new Uint8Array([1]));
    assertEquals((await receive(socket)).length, 65_507);
    await statsWhen(server, ({ open }) => open === 0, "the end");
    assertEquals((await server.stats()).errors, 1);
    socket.close();
  },
);

for (
  const Server of [
    FailingThreadingTCP,
    FailingForkingTCP,
    FailingThreadingUnix,
    FailingForkingUnix,
  ]
) {
  const isTcp = Server.name.endsWith("TCP");
  for (const dispatch of isTcp ? dispatchesOf(Server) : ["relay"]) {
    test(`${Server.name} by ${dispatch} backs off when it can't accept, and serves on`, async () => {
      const address = isTcp ? { port: 0 } : { path: freePath() };
      await using server = new Server(
        address as never,
        EchoHandler as never,
        { workers: 2, dispatch } as never,
      );
      server.serveForever();
      const kind = isTcp ? kinds.tcp : kinds.unix;
      using first = await kind.connect(server);
      await first.send("one\n");
      assertEquals(await within("one", first.receive()), "one");
      await assertEchoes(kind, server, "two");
      await first.send("three\n");
      assertEquals(await first.receive(), "three");
      const { acceptErrors } = await server.stats();
      // By "shard" each listener fails, once it is to accept
      assert(acceptErrors >= 3 && acceptErrors <= 9, `${acceptErrors}`);
    });
  }
}

for (const name of ["ThreadingTCPServer", "ForkingTCPServer"]) {
  for (const dispatch of dispatchesOf({ name })) {
    if (dispatch === "isolate") continue;
    test(`${name} by ${dispatch} survives that its descriptors run out`, async () => {
      const stderr = freePath();
      await using program = startDeno("./_crowded_replicas_program.ts", {
        args: [name, dispatch],
        descriptors: 80,
        stderr,
      });
      const port = Number(await program.readLine());
      const serverAddress = { transport: "tcp", hostname: "127.0.0.1", port };
      const server = { serverAddress } as Addressed;
      const connect = () => kinds.tcp.connect(server);
      using first = await connect();
      assertEquals(await exchange(first, "early"), "early");
      const clients = await Promise.all(Array.from({ length: 250 }, connect));
      const replies = clients.map((client, i) => exchange(client, `line ${i}`));
      await until(
        async () =>
          (await Deno.readTextFile(stderr)).includes("Too many open files"),
        "the error",
      );
      assertEquals(await exchange(first, "during"), "during");
      for (const [i, client] of clients.entries()) {
        const reply = within(`reply ${i}`, replies[i]!);
        assertEquals(await reply, `line ${i}`);
        client[Symbol.dispose]();
      }
      assertEquals(await exchange(first, "after"), "after");
      program.child.kill("SIGTERM");
      assertEquals(await program.readLine(), "251 0");
    });
  }
}

for (
  const Server of [
    ThreadingUnixStreamServer,
    ForkingUnixStreamServer,
    ThreadingUnixDatagramServer,
    ForkingUnixDatagramServer,
  ]
) {
  const isStream = Server.name.endsWith("StreamServer");
  const kind = isStream ? kinds.unix : kinds.unixDatagram;
  test(`${Server.name} replaces a stale path, respects all others, and removes its own`, async () => {
    const path = freePath();
    const open = () => new Server({ path }, EchoHandler, { workers: 1 });
    await Deno.writeTextFile(path, "precious");
    assertThrows(open, Deno.errors.AddrInUse, path);
    assertEquals(await Deno.readTextFile(path), "precious");
    await Deno.remove(path);
    // Deno leaves the path of a packet socket behind
    unixSocket(path).close();
    await using server = open();
    server.serveForever();
    await assertEchoes(kind, server);
    assertThrows(open, Deno.errors.AddrInUse, path);
    await assertEchoes(kind, server);
    await server.serverClose();
    await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
  });
}
