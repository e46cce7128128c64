/** TLS, with the clients of Deno, Python, OpenSSL and curl. */

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  EchoHandler,
  StreamRequestHandler,
  TCPServer,
  type TcpServerOptions,
  ThreadingTCPServer,
} from "../../mod.ts";
import { AlpnTeller } from "../replicas/handlers_fixture.ts";
import { python, startDeno } from "./_programs.ts";
import {
  type AnyHandlerClass,
  collectErrors,
  dial,
  readExactly,
  readToEnd,
  test,
  writeAll,
} from "./_support.ts";
import { CA_PATH, read, tls } from "./_certificates.ts";
import { needs, run } from "../support/programs.ts";
import { pause, until } from "../support/waiting.ts";

function open(
  options: TcpServerOptions = {},
  handler: AnyHandlerClass = EchoHandler,
): TCPServer {
  return new TCPServer({ port: 0 }, handler as typeof EchoHandler, {
    ...tls,
    ...options,
  });
}

function connect(
  server: TCPServer,
  options: Partial<Deno.ConnectTlsOptions> = {},
): Promise<Deno.TlsConn> {
  const { hostname, port } = server.serverAddress;
  return Deno.connectTls({
    hostname,
    port,
    caCerts: [read("ca")],
    ...options,
  });
}

test("TCPServer with TLS echoes, half-closes, and counts like another", async () => {
  await using server = open();
  server.serveForever();
  using client = await connect(server);
  await writeAll(client, "secret");
  assertEquals(
    await readExactly(client, 6),
    new TextEncoder().encode("secret"),
  );
  await client.closeWrite();
  assertEquals(await readToEnd(client), "");
  await until(async () => (await server.stats()).open === 0, "the end");
  const { accepted, failedHandshakes, errors } = await server.stats();
  assertEquals([accepted, failedHandshakes, errors], [1, 0, 0]);
});

class Protocol extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const conn = this.connection as Deno.TlsConn;
    const { alpnProtocol } = await conn.handshake();
    await this.wfile.write(`${alpnProtocol} ${conn.remoteAddr.transport}`);
  }
}

test("TCPServer offers alpnProtocols", async () => {
  await using server = open({ alpnProtocols: ["two", "one"] }, Protocol);
  server.serveForever();
  using client = await connect(server, { alpnProtocols: ["one", "three"] });
  assertEquals(await readToEnd(client), "one tcp");
});

test("ThreadingTCPServer by relay tells its handlers what the TLS handshake has chosen", async () => {
  await using server = new ThreadingTCPServer({ port: 0 }, AlpnTeller, {
    ...tls,
    alpnProtocols: ["two", "one"],
    dispatch: "relay",
    workers: 1,
  });
  server.serveForever();
  using client = await connect(server, { alpnProtocols: ["one", "three"] });
  assertEquals(await readToEnd(client), "one");
});

test("TCPServer: a hundred clients that say nothing stop nobody", async () => {
  await using server = open({ handshakeTimeout: 60_000 });
  server.serveForever();
  const silent = await Promise.all(
    Array.from({ length: 100 }, () => dial(server)),
  );
  await until(async () => (await server.stats()).open === 100, "they wait");
  for (let i = 0; i < 10; i++) {
    using client = await connect(server);
    await writeAll(client, "x");
    assertEquals((await readExactly(client, 1)).length, 1);
  }
  for (const conn of silent) conn.close();
});

test("TCPServer gives clients up that say nothing for handshakeTimeout", async () => {
  await using server = open({ handshakeTimeout: 50 });
  const errors = collectErrors(server);
  server.serveForever();
  const silent = await Promise.all(
    Array.from({ length: 20 }, () => dial(server)),
  );
  await until(
    async () => (await server.stats()).failedHandshakes === 20,
    "the count",
  );
  assertEquals((await server.stats()).open, 0);
  assertEquals(errors, []);
  // Deno holds the sockets until their clients leave
  for (const conn of silent) conn.close();
});

for (
  const [name, bytes] of [
    ["garbage", "GET / HTTP/1.0\r\n\r\n"],
    ["nothing", ""],
    ["half a record", "\x16\x03\x01\x02\x00\x01"],
  ] as const
) {
  test(`TCPServer counts a handshake of ${name}, and prints nothing`, async () => {
    await using server = open();
    const errors = collectErrors(server);
    server.serveForever();
    const conn = await dial(server);
    await writeAll(conn, bytes);
    await conn.closeWrite();
    await readToEnd(conn).catch(() => {}); // an alert, or a reset
    conn.close();
    await until(
      async () => (await server.stats()).failedHandshakes === 1,
      "the count",
    );
    assertEquals(errors, []);
    using client = await connect(server);
    await writeAll(client, "x");
    assertEquals((await readExactly(client, 1)).length, 1);
  });
}

test("a handshake that the server itself cuts off has not failed", async () => {
  const server = open({ handshakeTimeout: 60_000, shutdownTimeout: 50 });
  server.serveForever();
  const first = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is accepted");
  assert(server.disconnect(server.connections()[0]!.id));
  await until(async () => (await server.stats()).open === 0, "its end");
  using silent = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is accepted");
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [0, [silent.localAddr]]);
  assertEquals((await server.stats()).failedHandshakes, 0);
  first.close();
});

test("TCPServer.serverClose() counts no handshake that fails meanwhile", async () => {
  const server = open({ handshakeTimeout: 100, shutdownTimeout: 60_000 });
  server.serveForever();
  using _silent = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is accepted");
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [0, []]);
  assertEquals((await server.stats()).failedHandshakes, 1);
});

test("TCPServer.serverClose() cuts no TLS client that is far away", async () => {
  const server = open();
  server.serveForever();
  const conn = await dial(server) as Deno.TcpConn;
  await until(async () => (await server.stats()).open === 1, "it is accepted");
  const closing = server.serverClose();
  await pause(600);
  const caCerts = [read("ca")];
  const { hostname } = server.serverAddress;
  using client = await Deno.startTls(conn, { hostname, caCerts });
  await writeAll(client, "secret");
  assertEquals(
    await readExactly(client, 6),
    new TextEncoder().encode("secret"),
  );
  assertEquals(await closing, { completed: 1, aborted: [] });
});

const BAD: [string, string, string][] = [
  ["", read("key"), '"cert"'],
  ["nonsense", read("key"), '"cert"'],
  [read("key"), read("key"), '"cert"'],
  [read("cert"), "nonsense", '"key"'],
  [read("cert"), read("cert"), '"key"'],
  [read("cert"), read("other_key"), '"key": it does not fit "cert"'],
];

test("TCPServer refuses certificates and keys that can't be used, and says which", () => {
  for (const [cert, key, part] of BAD) {
    const error = assertThrows(() => open({ cert, key }), TypeError);
    assertStringIncludes(error.message, `Cannot use ${part}`);
    assertEquals(error.message.includes("PRIVATE"), false);
  }
});

const TLS_CLIENT = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    with context.wrap_socket(s, server_hostname="localhost") as t:
        t.sendall(b"from python")
        print(t.recv(100).decode(), t.version())
`;

test("TCPServer serves Python's TLS client", async () => {
  await using server = open();
  server.serveForever();
  const { port } = server.serverAddress;
  assertEquals(
    await python(TLS_CLIENT, port, CA_PATH),
    "from python TLSv1.3",
  );
}, needs("python3"));

class Greeter extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const line = await this.rfile.readLine();
    await this.wfile.write(`HTTP/1.0 200 OK\r\n\r\n${line}\n`);
  }
}

test("TCPServer serves OpenSSL's client", async () => {
  await using server = open({}, Greeter);
  server.serveForever();
  const { port } = server.serverAddress;
  const args = ["-connect", `127.0.0.1:${port}`, "-CAfile", CA_PATH];
  const output = await run(
    "openssl",
    ["s_client", "-quiet", "-verify_return_error", ...args],
    "from openssl\n",
  );
  assertStringIncludes(output, "from openssl");
}, needs("openssl"));

test("TCPServer serves curl over TLS", async () => {
  await using server = open({}, Greeter);
  server.serveForever();
  const url = `https://localhost:${server.serverAddress.port}/x`;
  const output = await run(
    "curl",
    ["-s", "--ipv4", "--noproxy", "*", "--cacert", CA_PATH, url],
  );
  assertEquals(output, "GET /x HTTP/1.1\n");
}, needs("curl"));

test("TLS by shard names the flag that it needs", async () => {
  await using program = startDeno("./_sharing_program.ts", {
    permissions: ["-A", "--no-config"],
  });
  for (const what of ["threads with TLS share", "processes share"]) {
    assertStringIncludes(
      await program.readLine() ?? "",
      `Cannot use "shard" as "dispatch": ${what} a port on Linux with --unstable-net alone; use "auto" or "relay"`,
    );
  }
});
