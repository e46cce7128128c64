/** What is special about packets, and UDP. */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  ChargenHandler,
  type DatagramRequest,
  DatagramRequestHandler,
  DaytimeHandler,
  EchoHandler,
  RequestHandler,
  SumHandler,
  ThreadingUDPServer,
  UDPServer,
} from "../../mod.ts";
import type { PacketSocket } from "../../server/sockets/packet_socket.ts";
import {
  assertEchoes,
  captureStderr,
  collectErrors,
  DATAGRAMS,
  exchange,
  kinds,
  messages,
  test,
  testEach,
  udpSocket,
  unixSocket,
} from "./_support.ts";
import { LINUX_ONLY } from "../support/system.ts";
import { pause, until, within } from "../support/waiting.ts";

/** Receives into a buffer that holds any packet. */
async function receive(socket: Deno.DatagramConn): Promise<Uint8Array> {
  return (await socket.receive(new Uint8Array(212_961)))[0];
}

test("UDPServer echoes packets of 0, 1 and 65,507 bytes", async () => {
  await using server = new UDPServer({ port: 0 }, EchoHandler);
  server.serveForever();
  const client = udpSocket();
  for (const length of [0, 1, 65_507]) {
    const packet = new Uint8Array(length).fill(7);
    await client.send(packet, server.serverAddress);
    assertEquals(await receive(client), packet);
  }
  client.close();
  assertEquals((await server.stats()).accepted, 3);
});

test("UDPServer echoes packets of 65,527 bytes over IPv6, which is all that it can carry", async () => {
  await using server = new UDPServer({ hostname: "::1", port: 0 }, EchoHandler);
  server.serveForever();
  const client = Deno.listenDatagram({
    transport: "udp",
    hostname: "::1",
    port: 0,
  });
  for (const length of [65_508, 65_527]) {
    const packet = new Uint8Array(length).fill(7);
    await client.send(packet, server.serverAddress);
    assertEquals((await within("the echo", receive(client))).length, length);
  }
  client.close();
});

class TooLong extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write(new Uint8Array(Number(await this.rfile.readLine())));
  }
}

test("UDPServer: a reply of 65,508 bytes is a RangeError for the handler", async () => {
  await using server = new UDPServer({ port: 0 }, TooLong);
  const errors = collectErrors(server);
  server.serveForever();
  const client = udpSocket();
  const send = (text: string) =>
    client.send(new TextEncoder().encode(text), server.serverAddress);
  await send("65508");
  await until(() => errors.length === 1, "the error");
  assertInstanceOf(errors[0], RangeError);
  assert(messages(errors)[0]!.includes("65508"));
  await send("65507");
  assertEquals((await receive(client)).length, 65_507);
  client.close();
});

class Truth extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write(`${this.packet.length} ${this.truncated}`);
  }
}

testEach(DATAGRAMS, "tells truncation by maxPacketSize", async (kind) => {
  await using server = kind.open(Truth, { maxPacketSize: 100 });
  server.serveForever();
  using client = await kind.connect(server);
  for (
    const [length, told] of [
      [99, "99 false"],
      [100, "100 false"],
      [101, "100 true"],
      [5_000, "100 true"],
    ] as const
  ) {
    await client.send("x".repeat(length));
    assertEquals(await client.receive(), told);
  }
});

testEach(DATAGRAMS, "an empty packet is a request", async (kind) => {
  await using server = kind.open(Truth);
  server.serveForever();
  using client = await kind.connect(server);
  await client.send("");
  assertEquals(await client.receive(), "0 false");
});

class Selective extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    if (word === "empty") await this.wfile.write("");
    if (word === "answer") await this.wfile.write("answered");
    if (word === "twice") {
      await this.wfile.write("one ");
      await this.wfile.write("packet");
    }
    if (word === "touch") await this.wfile.flush();
  }
}

testEach(
  DATAGRAMS,
  "sends nothing when nothing was written, one packet otherwise",
  async (kind) => {
    await using server = kind.open(Selective);
    server.serveForever();
    using client = await kind.connect(server);
    for (const word of ["silent", "touch", "silent", "twice"]) {
      await client.send(word);
    }
    assertEquals(await client.receive(), "one packet");
    await client.send("silent");
    await client.send("empty");
    assertEquals(await client.receive(), "");
    await client.send("answer");
    assertEquals(await client.receive(), "answered");
  },
);

testEach(DATAGRAMS, "a peer that is gone does no harm", async (kind) => {
  await using server = kind.open(EchoHandler);
  using stderr = captureStderr();
  server.serveForever();
  for (let i = 0; i < 30; i++) {
    const client = await kind.connect(server);
    await client.send("the last words");
    client[Symbol.dispose]();
  }
  await assertEchoes(kind, server);
  await until(async () => (await server.stats()).open === 0, "the end");
  assertEquals([(await server.stats()).errors, stderr.text], [0, ""]);
});

class Late extends RequestHandler {
  override async handle(): Promise<void> {
    const line = await this.rfile.readLine();
    await pause(Math.random() * 15);
    await this.wfile.write(line ?? "");
  }
}

testEach(DATAGRAMS, "late replies reach the right sender", async (kind) => {
  await using server = kind.open(Late);
  server.serveForever();
  await Promise.all(Array.from({ length: 20 }, async (_, id) => {
    using client = await kind.connect(server);
    for (let i = 0; i < 20; i++) {
      assertEquals(await exchange(client, `${id} ${i}`), `${id} ${i}`);
    }
  }));
});

class Keeper extends DatagramRequestHandler<Uint8Array[]> {
  override handle(): void {
    this.server.context.push(this.packet);
  }
}

testEach(
  DATAGRAMS,
  "a handler may keep or transfer its packet",
  async (kind) => {
    const context: Uint8Array[] = [];
    await using server = kind.open(Keeper, { context });
    server.serveForever();
    using client = await kind.connect(server);
    const sent = Array.from({ length: 50 }, (_, i) => "x".repeat(i * 200) + i);
    for (const [i, text] of sent.entries()) {
      await client.send(text);
      await until(() => context.length > i, "the packet");
    }
    for (const { buffer, length } of context) {
      assertEquals(buffer.byteLength, length);
    }
    const [first, ...others] = context;
    structuredClone(first, { transfer: [first!.buffer as ArrayBuffer] });
    assertEquals(first!.length, 0);
    const kept = others.map((packet) => new TextDecoder().decode(packet));
    assertEquals(kept, sent.slice(1));
  },
);

class Own extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    this.packet.fill(33);
    assertEquals(this.socket.addr, this.server.serverAddress);
    await this.socket.send(this.packet, this.clientAddress);
    await this.socket.send(this.packet, this.clientAddress);
  }
}

testEach(
  DATAGRAMS,
  "a handler may send from the server's socket",
  async (kind) => {
    await using server = kind.open(Own);
    server.serveForever();
    using client = await kind.connect(server);
    await client.send("abc");
    assertEquals([await client.receive(), await client.receive()], [
      "!!!",
      "!!!",
    ]);
  },
);

testEach(
  DATAGRAMS,
  "waits at maxConnections, and loses nothing that the system queues",
  async (kind) => {
    await using server = kind.open(Late, { maxConnections: 1 });
    server.serveForever();
    using client = await kind.connect(server);
    for (let i = 0; i < 8; i++) await client.send(`${i}`);
    for (let i = 0; i < 8; i++) assertEquals(await client.receive(), `${i}`);
  },
);

class Waiting extends DatagramRequestHandler<(() => void)[]> {
  override async handle(): Promise<void> {
    await new Promise<void>((resolve) => this.server.context.push(resolve));
    await this.socket.send(this.packet, this.clientAddress);
  }
}

testEach(
  DATAGRAMS,
  "a handler that waits finds its own packet, not the next one",
  async (kind) => {
    const context: (() => void)[] = [];
    await using server = kind.open(Waiting, { context });
    server.serveForever();
    using client = await kind.connect(server);
    const sent = ["first", "x".repeat(2_000), "third"];
    for (const [i, text] of sent.entries()) {
      await client.send(text);
      await until(() => context.length > i, "the packet");
    }
    for (const [i, go] of context.entries()) {
      go();
      assertEquals(await client.receive(), sent[i]);
    }
  },
);

test("UDPServer: a client's address prints, and is like Deno's for every packet", async () => {
  const seen: Deno.Addr[] = [];
  class Changing extends DatagramRequestHandler {
    override async handle(): Promise<void> {
      const { clientAddress } = this;
      seen.push({ ...clientAddress });
      assertEquals(Object.keys(clientAddress), [
        "hostname",
        "port",
        "transport",
      ]);
      await this.wfile.write(`${clientAddress}`);
      // For another handler it is the client's again
      Object.assign(clientAddress, { hostname: "192.0.2.1" });
    }
    override finish(): void | Promise<void> {
      return this.socket.send(
        new TextEncoder().encode("done"),
        client.addr,
      ).then(() => {});
    }
  }
  await using server = new UDPServer({ port: 0 }, Changing);
  server.serveForever();
  const client = udpSocket();
  for (let i = 0; i < 3; i++) {
    await client.send(new Uint8Array(1), server.serverAddress);
    await receive(client);
  }
  assertEquals(seen, [client.addr, client.addr, client.addr]);
  client.close();
});

test("UDPServer: a handler that changes its client's address changes nobody else's", async () => {
  const ports: number[] = [];
  let isWaiting = false;
  let go = (): void => {};
  class Redirecting extends DatagramRequestHandler {
    override async handle(): Promise<void> {
      const { clientAddress } = this;
      if (this.packet[0] === 1) {
        await new Promise<void>((resolve) => {
          go = resolve;
          isWaiting = true;
        });
      }
      ports.push((clientAddress as Deno.NetAddr).port);
      Object.assign(clientAddress, { port: 9 });
    }
  }
  await using server = new UDPServer({ port: 0 }, Redirecting);
  const told: Deno.Addr[] = [];
  server.on("requestEnd", (event) => told.push(event.clientAddress));
  server.serveForever();
  const client = udpSocket();
  const { port } = client.addr as Deno.NetAddr;
  await client.send(Uint8Array.of(1), server.serverAddress);
  await until(() => isWaiting, "the first packet");
  await client.send(Uint8Array.of(2), server.serverAddress);
  await until(() => ports.length === 1, "the second packet");
  go();
  await until(() => told.length === 2, "the first one's end");
  assertEquals(ports, [port, port]);
  assertEquals(told, [client.addr, client.addr]);
  client.close();
});

class Spelling extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    const text = new TextDecoder().decode(this.packet);
    for (const character of text) await this.wfile.write(character);
  }
}

test("UDPServer: replies that are sent at the same time don't mix", async () => {
  await using server = new UDPServer({ port: 0 }, Spelling);
  const all = Promise.withResolvers<void>();
  const replies: Uint8Array[] = [];
  server.serveForever();
  Object.assign(server.socket!, {
    async send(packet: Uint8Array): Promise<number> {
      replies.push(packet);
      if (replies.length === 3) all.resolve();
      await all.promise; // none is sent before all are
      return packet.length;
    },
  });
  const client = udpSocket();
  const texts = ["first", "second €", "x".repeat(40_000)];
  for (const text of texts) {
    await client.send(new TextEncoder().encode(text), server.serverAddress);
  }
  await all.promise;
  const sent = replies.map((packet) => new TextDecoder().decode(packet));
  assertEquals(sent.toSorted(), texts);
  client.close();
});

test("UDPServer: 65,507 bytes at a maxPacketSize of as many are whole", async () => {
  await using server = new UDPServer({ port: 0 }, Truth, {
    maxPacketSize: 65_507,
  });
  server.serveForever();
  const client = udpSocket();
  await client.send(new Uint8Array(65_507), server.serverAddress);
  assertEquals(new TextDecoder().decode(await receive(client)), "65507 false");
  client.close();
});

test("UnixDatagramServer echoes a packet of 200,000 bytes", async () => {
  await using server = kinds.unixDatagram.open(EchoHandler);
  server.serveForever();
  const client = unixSocket();
  const packet = new Uint8Array(200_000).fill(9);
  await client.send(packet, server.serverAddress);
  assertEquals((await receive(client)).length, 200_000);
  client.close();
});

/** Sees its packets as from port 0, as anybody can send them. */
class FromPortZero extends UDPServer {
  override async getRequest(): Promise<[DatagramRequest, Deno.Addr]> {
    const [request, from] = await super.getRequest();
    return [request, { ...from, port: 0 } as Deno.Addr];
  }
}

test("UDPServer drops replies to port 0, and counts them", async () => {
  await using server = new FromPortZero({ port: 0 }, TooLong);
  const errors = collectErrors(server);
  server.serveForever();
  const client = udpSocket();
  await client.send(new TextEncoder().encode("5"), server.serverAddress);
  await until(async () => (await server.stats()).dropped === 1, "the reply");
  client.close();
  assertEquals(errors, []);
});

const SERVICES = [EchoHandler, ChargenHandler, DaytimeHandler, SumHandler];

for (
  const [Server, Service] of [
    ...SERVICES.map((Service) => [UDPServer, Service] as const),
    [ThreadingUDPServer, EchoHandler] as const,
  ]
) {
  test(`${Server.name}: ${Service.name} does not answer a server, which would answer it for ever`, async () => {
    await using server = new Server({ port: 0 }, Service);
    await using other = new UDPServer({ port: 0 }, Service);
    server.serveForever();
    other.serveForever();
    await server.ready;
    const packet = new TextEncoder().encode("1 2");
    await other.socket!.send(packet, server.serverAddress);
    const client = udpSocket();
    await client.send(packet, server.serverAddress);
    const served = async () => (await server.stats()).accepted === 1;
    await until(served, "the client's packet");
    client.close();
    assertEquals((await server.stats()).dropped, 1);
    assertEquals((await other.stats()).accepted, 0);
  });
}

test("UDPServer knows the ports of servers: low ones, its own and those of its program", async () => {
  await using server = new UDPServer({ port: 0 }, EchoHandler);
  await using other = new UDPServer({ port: 0 }, EchoHandler);
  const socket = server.socket as unknown as PacketSocket;
  const from = (hostname: string, port: number): Deno.Addr => ({
    transport: "udp",
    hostname,
    port,
  });
  const { port } = server.serverAddress;
  const { port: otherPort } = other.serverAddress;
  for (const known of [0, 7, 1_023, port]) {
    assert(socket.isServer(from("192.0.2.1", known)), `${known}`);
  }
  assert(socket.isServer(from("127.0.0.1", otherPort)));
  assert(!socket.isServer(from("192.0.2.1", otherPort)));
  assert(!socket.isServer(from("127.0.0.1", 1_024)));
  await other.serverClose();
  assert(!socket.isServer(from("127.0.0.1", otherPort)));
});

test("UDPServer gives other handlers the packets of servers, as DNS and NTP need", async () => {
  await using server = new UDPServer({ port: 0 }, TooLong);
  await using other = new UDPServer({ port: 0 }, EchoHandler);
  server.serveForever();
  await other.socket!.send(new Uint8Array([49]), server.serverAddress);
  const accepted = async () => (await server.stats()).accepted === 1;
  await until(accepted, "the packet");
});

test("UDPServer.socket joins a multicast group, and leaves it", async () => {
  const address = { hostname: "0.0.0.0", port: 0 };
  await using server = new UDPServer(address, EchoHandler);
  const joined = () => {
    const groups = Deno.readTextFileSync("/proc/net/igmp");
    return groups.includes("070305EF"); // 239.5.3.7
  };
  const group = await server.socket!.joinMulticastV4("239.5.3.7", "127.0.0.1");
  assertEquals(joined(), true);
  await group.leave();
  assertEquals(joined(), false);
}, LINUX_ONLY);
