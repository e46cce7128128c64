import { assertEquals, assertThrows } from "@std/assert";
import {
  BaseRequestHandler,
  type BaseServer,
  EchoHandler,
  TCPServer,
  type TcpServerOptions,
  UnixStreamServer,
} from "../../mod.ts";
import {
  ascii,
  binaryHeader,
  concat,
  IPV4_BLOCK,
  withChecksum,
} from "./_proxy_headers.ts";
import { Ends } from "./_ends_fixture.ts";
import {
  collectErrors,
  dial,
  freePath,
  readExactly,
  readToEnd,
  test,
  writeAll,
} from "./_support.ts";
import { until } from "../support/waiting.ts";

const LINE = ascii("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
const BINARY = withChecksum(0x21, 0x11, IPV4_BLOCK);
const CLIENT = "192.168.0.1:56324";

const ANSWER = `${CLIENT} ${CLIENT} 192.168.0.11:443\nhello\n`;

function open(
  options: TcpServerOptions,
  Handler: typeof Ends | typeof EchoHandler = Ends,
): TCPServer {
  const server = new TCPServer({ port: 0 }, Handler, options);
  server.serveForever();
  return server;
}

/** What a server answers to bytes, sent in parts one by one. */
async function ask(
  server: Pick<BaseServer, "serverAddress">,
  ...parts: Uint8Array[]
): Promise<string> {
  using client = await dial(server);
  if ("setNoDelay" in client) (client as Deno.TcpConn).setNoDelay(true);
  for (const part of parts) await writeAll(client, part);
  await client.closeWrite();
  return await readToEnd(client).catch(() => "");
}

for (const [version, header] of [["1", LINE], ["2", BINARY]] as const) {
  test(`proxyProtocol "require" tells handlers the client's address, version ${version}`, async () => {
    await using server = open({ proxyProtocol: "require" });
    const whole = concat(header, ascii("hello\n"));
    assertEquals(await ask(server, whole), ANSWER);
    assertEquals(await ask(server, header, ascii("hello\n")), ANSWER);
    assertEquals(await ask(server, ...bytesOf(whole)), ANSWER);
  });

  test(`proxyProtocol "require" takes a header that is split at any byte, version ${version}`, async () => {
    await using server = open({ proxyProtocol: "require" });
    const whole = concat(header, ascii("hello\n"));
    const answers: Promise<string>[] = [];
    for (let at = 1; at < whole.length; at++) {
      answers.push(ask(server, whole.subarray(0, at), whole.subarray(at)));
    }
    for (const answer of await Promise.all(answers)) {
      assertEquals(answer, ANSWER);
    }
  });
}

function bytesOf(bytes: Uint8Array): Uint8Array[] {
  return [...bytes].map((byte) => Uint8Array.of(byte));
}

test("proxyProtocol leaves the proxy's own address to LOCAL and UNKNOWN", async () => {
  await using server = open({ proxyProtocol: "require" });
  for (
    const header of [binaryHeader(0x20, 0x00), ascii("PROXY UNKNOWN\r\n")]
  ) {
    using client = await dial(server);
    await writeAll(client, header);
    await client.closeWrite();
    const { port } = client.localAddr as Deno.NetAddr;
    const own = `127.0.0.1:${port}`;
    const local = `127.0.0.1:${server.serverAddress.port}`;
    assertEquals(await readToEnd(client), `${own} ${own} ${local}\n`);
  }
});

test('proxyProtocol "require" closes and counts what has no valid header', async () => {
  await using server = open({ proxyProtocol: "require" });
  const errors = collectErrors(server);
  const bad = BINARY.slice();
  bad[20]! ^= 1;
  const wrong = [
    ascii("hello\n"),
    ascii("PROXY TCP4 1.2.3.4"),
    ascii("PROXY nonsense\r\n"),
    ascii("PROXY ".padEnd(200, "x")),
    bad,
    binaryHeader(0x21, 0x11, IPV4_BLOCK, new Uint8Array(5_000)),
    BINARY.subarray(0, 20),
  ];
  for (const bytes of wrong) assertEquals(await ask(server, bytes), "");
  const stats = await server.stats();
  assertEquals(stats.badProxyHeaders, wrong.length);
  assertEquals(errors, []);
  assertEquals(await ask(server, BINARY, ascii("hello\n")), ANSWER);
});

test("proxyProtocol takes a connection that sends nothing for a disconnect", async () => {
  await using server = open({ proxyProtocol: "require" });
  assertEquals(await ask(server), "");
  const { disconnects, badProxyHeaders, open: left } = await server.stats();
  assertEquals([disconnects, badProxyHeaders, left], [1, 0, 0]);
});

test('proxyProtocol "accept" serves clients with a header and without', async () => {
  await using server = open({ proxyProtocol: "accept" });
  assertEquals(await ask(server, LINE, ascii("hello\n")), ANSWER);
  assertEquals(await ask(server, ascii("PROXY nonsense\r\n")), "");
  for (
    const text of [
      "hello\n",
      "PROXYhello\n",
      "P\n",
      "\r\n\r\n\n",
      "",
    ]
  ) {
    using client = await dial(server);
    for (const byte of bytesOf(ascii(text))) await writeAll(client, byte);
    await client.closeWrite();
    const [, ...lines] = (await readToEnd(client)).split("\n");
    assertEquals(lines.join("\n"), text.replaceAll("\r", ""));
  }
  await using echo = open({ proxyProtocol: "accept" }, EchoHandler);
  // The end shows that it is no header
  for (const text of ["P", "PROXY", "\r\n", "\r\n\r\n"]) {
    assertEquals(await ask(echo, ascii(text)), text);
  }
  assertEquals(await ask(echo, ascii("PROXY TCP4 1.2.3.4")), "");
});

test("trustedProxies refuses headers from elsewhere", async () => {
  const elsewhere = { trustedProxies: ["10.0.0.0/8", "::1"] };
  await using strict = open({ proxyProtocol: "require", ...elsewhere });
  assertEquals(await ask(strict, LINE), "");
  assertEquals(await ask(strict, ascii("hello\n")), "");
  assertEquals((await strict.stats()).badProxyHeaders, 2);
  await using lenient = open({ proxyProtocol: "accept", ...elsewhere });
  assertEquals(await ask(lenient, LINE, ascii("hello\n")), "");
  const answer = await ask(lenient, ascii("hello\n"));
  assertEquals(answer.startsWith("127.0.0.1:"), true);
  assertEquals((await lenient.stats()).badProxyHeaders, 1);
  await using trusting = open({
    proxyProtocol: "require",
    trustedProxies: ["127.0.0.0/8"],
  });
  assertEquals(await ask(trusting, LINE, ascii("hello\n")), ANSWER);
});

test("proxyProtocol works on Unix sockets", async () => {
  const path = freePath();
  await using server = new UnixStreamServer({ path }, Ends, {
    proxyProtocol: "require",
    trustedProxies: ["10.0.0.1"],
  });
  server.serveForever();
  assertEquals(await ask(server, BINARY, ascii("hello\n")), ANSWER);
});

test("handshakeTimeout closes clients that don't send their header, and they stop nobody", async () => {
  await using server = open({
    proxyProtocol: "require",
    handshakeTimeout: 2_000,
  });
  const errors = collectErrors(server);
  const reasons: string[] = [];
  server.on("refusal", ({ reason }) => void reasons.push(reason));
  const silent = await Promise.all(Array.from({ length: 100 }, async () => {
    const client = await dial(server);
    await writeAll(client, LINE.subarray(0, 10));
    return client;
  }));
  assertEquals(await ask(server, LINE, ascii("hello\n")), ANSWER);
  for (const client of silent) {
    assertEquals(await readToEnd(client), "");
    client.close();
  }
  await until(
    async () => (await server.stats()).badProxyHeaders === 100,
    "all timed out",
  );
  assertEquals([errors.length, reasons.length], [0, 100]);
  assertEquals(new Set(reasons), new Set(["proxyProtocol"]));
});

test("proxyProtocol shows the client's address to verifyRequest() and handleError()", async () => {
  class Failing extends BaseRequestHandler {
    override handle(): void {
      throw new Error("no");
    }
  }
  const seen: Deno.Addr[] = [];
  await using server = new TCPServer({ port: 0 }, Failing, {
    proxyProtocol: "require",
  });
  server.verifyRequest = (_, client) => seen.push(client) > 0;
  server.handleError = (_error, _request, client) => void seen.push(client!);
  server.serveForever();
  assertEquals(await ask(server, LINE), "");
  const client = { transport: "tcp", hostname: "192.168.0.1", port: 56324 };
  assertEquals(seen, [client, client] as never);
});

test("proxyProtocol leaves a connection whose readable gives all bytes", async () => {
  class Stream extends BaseRequestHandler<Deno.Conn> {
    override async handle(): Promise<void> {
      const text = await new Response(this.request.readable).text();
      await writeAll(this.request, `${text.length}`);
    }
  }
  await using server = open({ proxyProtocol: "require" }, Stream as never);
  const rest = new Uint8Array(100_000).fill(65);
  assertEquals(await ask(server, concat(BINARY, rest)), "100000");
});

test("setLimits() while a header is on its way counts nothing for the proxy", async () => {
  await using server = open({ proxyProtocol: "accept" }, EchoHandler);
  using proxied = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is open");
  await server.setLimits({ maxConnectionsPerClient: 1, overLimit: "refuse" });
  await writeAll(proxied, concat(LINE, ascii("x")));
  assertEquals(await readExactly(proxied, 1), ascii("x"));
  using direct = await dial(server); // with the proxy's address
  await writeAll(direct, ascii("y"));
  await direct.closeWrite();
  assertEquals(await readToEnd(direct), "y");
});

test("serverClose() serves proxied connections of the backlog", async () => {
  const server = new TCPServer({ port: 0 }, EchoHandler, {
    proxyProtocol: "require",
  });
  using client = await dial(server);
  await writeAll(client, concat(LINE, ascii("hello\n")));
  await client.closeWrite();
  const { completed, aborted } = await server.serverClose();
  assertEquals([completed, aborted], [1, []]);
  assertEquals(await readToEnd(client), "hello\n");
});

test("serverClose() waits for a header as long as ever", async () => {
  const server = open({ proxyProtocol: "require", handshakeTimeout: 700 });
  collectErrors(server);
  using client = await dial(server);
  await writeAll(client, "PROXY");
  await until(async () => (await server.stats()).open === 1, "it is open");
  assertEquals((await server.serverClose()).aborted, []);
  assertEquals((await server.stats()).badProxyHeaders, 1);
});

test("serverClose() tells whose header it did not wait for", async () => {
  const server = open({ proxyProtocol: "require", shutdownTimeout: 10 });
  const errors = collectErrors(server);
  using client = await dial(server);
  await until(async () => (await server.stats()).open === 1, "it is open");
  assertEquals((await server.serverClose()).aborted, [client.localAddr]);
  assertEquals(errors, []);
});

test("a megabyte behind a header arrives whole", async () => {
  await using server = open({ proxyProtocol: "require" }, EchoHandler);
  using client = await dial(server);
  const bytes = new Uint8Array(1 << 20).map((_, i) => i % 251);
  const sending = writeAll(client, concat(BINARY, bytes));
  const received = await readExactly(client, bytes.length);
  await sending;
  assertEquals(received.every((byte, i) => byte === bytes[i]), true);
});

Deno.test("proxyProtocol options that can't work are refused", () => {
  const wrong: [TcpServerOptions, RegExp][] = [
    [{ proxyProtocol: "yes" as never }, /"yes" as "proxyProtocol": expected/],
    [{ trustedProxies: ["::1"] }, /"trustedProxies" without "proxyProtocol"/],
    [
      { proxyProtocol: "require", trustedProxies: ["10.0.0.0/33"] },
      /Cannot use "10.0.0.0\/33" in "trustedProxies"/,
    ],
    [
      { proxyProtocol: "require", trustedProxies: "10.0.0.1" as never },
      /in "trustedProxies": expected a list/,
    ],
  ];
  for (const [options, message] of wrong) {
    const error = assertThrows(
      () => new TCPServer({ port: 0 }, EchoHandler, options),
      TypeError,
    );
    assertEquals(message.test(error.message), true, error.message);
  }
  assertThrows(
    () => new TCPServer({ port: 0 }, EchoHandler, { handshakeTimeout: 0 }),
    RangeError,
  );
});
