/** Clients in Python: `socket` and `asyncio`, against every server class. */

import { assertEquals } from "@std/assert";
import { EchoHandler } from "../../mod.ts";
import { python } from "./_programs.ts";
import { ALL, kinds, STREAMS, test } from "./_support.ts";

const SOCKET_CLIENT = `
import os, socket, sys, tempfile
kind, host, port = sys.argv[1:4]
stream = kind in ("tcp", "unix")
address = (host, int(port)) if kind in ("tcp", "udp") else host
family = socket.AF_UNIX if "unix" in kind else socket.AF_INET
for i in range(30):
    s = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    s.settimeout(5)
    path = None
    if kind == "unixpacket":
        path = tempfile.mktemp()
        s.bind(path)
    s.connect(address)
    for size in (1, 100, 8000):
        data = os.urandom(size)
        s.sendall(data)
        got = b""
        while len(got) < size:
            part = s.recv(65536)
            assert part, "ended early"
            got += part
        assert got == data
    if stream:
        s.sendall(b"last")
        s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(100): got += part
        assert got == b"last", got
    s.close()
    if path: os.unlink(path)
print("ok")
`;

const ASYNCIO_CLIENT = `
import asyncio, sys
kind, host, port = sys.argv[1:4]
async def client(id):
    if kind == "tcp": reader, writer = await asyncio.open_connection(host, int(port))
    else: reader, writer = await asyncio.open_unix_connection(host)
    for i in range(20):
        line = f"client {id} line {i}\\n".encode()
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
async def main():
    await asyncio.wait_for(asyncio.gather(*map(client, range(50))), 10)
    print("ok")
asyncio.run(main())
`;

const ASYNCIO_PACKETS = `
import asyncio, sys
host, port = sys.argv[2:4]
class Client(asyncio.DatagramProtocol):
    def __init__(self): self.replies = asyncio.Queue()
    def datagram_received(self, data, address): self.replies.put_nowait(data)
async def main():
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(
        Client, remote_addr=(host, int(port)))
    for i in range(100):
        transport.sendto(f"packet {i}".encode())
        got = await asyncio.wait_for(client.replies.get(), 5)
        assert got == f"packet {i}".encode()
    transport.close()
    print("ok")
asyncio.run(main())
`;
import { needs } from "../support/programs.ts";

function where(address: Deno.Addr): [string, string, number] {
  return "path" in address ? [address.transport, address.path, 0] : [
    address.transport,
    (address as Deno.NetAddr).hostname,
    (address as Deno.NetAddr).port,
  ];
}

const options = needs("python3");

for (const kind of ALL) {
  test(`${kind.name} serves clients of Python's socket`, async () => {
    await using server = kind.open(EchoHandler);
    server.serveForever();
    const output = await python(SOCKET_CLIENT, ...where(server.serverAddress));
    assertEquals(output, "ok");
  }, options);
}

for (const kind of STREAMS) {
  test(
    `${kind.name} serves 50 clients of Python's asyncio at once`,
    async () => {
      await using server = kind.open(EchoHandler);
      server.serveForever();
      const output = await python(
        ASYNCIO_CLIENT,
        ...where(server.serverAddress),
      );
      assertEquals(output, "ok");
    },
    options,
  );
}

test("UDPServer serves a client of Python's asyncio", async () => {
  await using server = kinds.udp.open(EchoHandler);
  server.serveForever();
  const output = await python(ASYNCIO_PACKETS, ...where(server.serverAddress));
  assertEquals(output, "ok");
}, options);
