/** IPv6 works wherever IPv4 does. */

import { assert, assertEquals } from "@std/assert";
import {
  EchoHandler,
  formatAddress,
  TCPServer,
  ThreadingTCPServer,
  UDPServer,
} from "../../mod.ts";
import {
  assertBound,
  assertEchoes,
  kinds,
  readToEnd,
  test,
  udpSocket,
  writeAll,
} from "./_support.ts";

const hasIpv6 = findIpv6();

function findIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    // deno-lint-ignore no-console
    console.log("IPv6 is not available: its tests are skipped");
    return false;
  }
}

const options = { ignore: !hasIpv6 };

test('TCPServer listens on "::1"', async () => {
  await using server = new TCPServer({ hostname: "::1", port: 0 }, EchoHandler);
  server.serveForever();
  const { hostname, port } = server.serverAddress;
  assertEquals(hostname, "::1");
  assertEquals(formatAddress(server.serverAddress), `[::1]:${port}`);
  assertBound(server);
  await assertEchoes(kinds.tcp, server);
}, options);

test('TCPServer listens on "::", for IPv4 as well', async () => {
  await using server = new TCPServer({ hostname: "::", port: 0 }, EchoHandler);
  server.serveForever();
  const { port } = server.serverAddress;
  assertBound(server);
  for (const hostname of ["127.0.0.1", "::1"]) {
    using conn = await Deno.connect({ hostname, port });
    await writeAll(conn, hostname);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), hostname);
  }
}, options);

for (
  const [listen, client, to] of [
    ["::1", "::1", "::1"],
    ["::", "::1", "::1"],
    ["::", "127.0.0.1", "127.0.0.1"],
  ] as const
) {
  test(`UDPServer on "${listen}" answers "${client}"`, async () => {
    await using server = new UDPServer(
      { hostname: listen, port: 0 },
      EchoHandler,
    );
    server.serveForever();
    assertBound(server);
    const socket = udpSocket(client);
    const { port } = server.serverAddress;
    await socket.send(new TextEncoder().encode("six"), {
      transport: "udp",
      hostname: to,
      port,
    });
    const [reply] = await socket.receive();
    assertEquals(new TextDecoder().decode(reply), "six");
    socket.close();
  }, options);
}

test('TCPServer listens on "localhost" and "0.0.0.0"', async () => {
  for (const hostname of ["localhost", "0.0.0.0"]) {
    await using server = new TCPServer({ hostname, port: 0 }, EchoHandler);
    server.serveForever();
    assert(server.serverAddress.port > 0);
    assertBound(server);
    await assertEchoes(kinds.tcp, server);
  }
});

const linkLocal = Deno.networkInterfaces().find(({ address }) =>
  address.startsWith("fe80:")
);

for (const Server of [TCPServer, ThreadingTCPServer]) {
  test(`${Server.name} keeps the zone of a link-local address`, async () => {
    const hostname = `${linkLocal!.address}%${linkLocal!.name}`;
    await using server = new Server({ hostname, port: 0 }, EchoHandler);
    const served = server.serveForever();
    await server.ready;
    assertEquals(server.serverAddress.hostname, hostname);
    await assertEchoes(kinds.tcp, server);
    await server.suspend();
    await server.resume();
    assertEquals(server.serverAddress.hostname, hostname);
    await assertEchoes(kinds.tcp, server);
    await server.shutdown();
    await served;
  }, { ignore: linkLocal === undefined });
}
