/** The examples, tried with clients that nobody here wrote. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  ForkingTCPServer,
  TCPServer,
  ThreadingTCPServer,
  UDPServer,
} from "@socketserver/socketserver";
import { connect } from "@socketserver/socketserver/testing";
import { needs, run } from "../support/programs.ts";
import { ChatHandler } from "./chat_room.ts";
import { DnsHandler } from "./dns.ts";
import { HttpHandler } from "./http.ts";
import { open as openTls } from "./https.ts";
import { PrimeHandler } from "./prime_service.ts";
import { RedisHandler } from "./redis_store.ts";
import { CalculatorHandler } from "./sandboxed_calculator.ts";
import { type Message, SmtpHandler } from "./smtp_sink.ts";
import { SortHandler } from "./sorted.ts";
import { SocksHandler } from "./socks5.ts";
import { supervise } from "./supervised_worker.ts";

const PORT_0 = { port: 0 };

function url(name: string): string {
  return new URL(`./${name}`, import.meta.url).href;
}

/** Sends lines over a connection and gives as many answers. */
async function ask(
  address: Deno.ConnectOptions,
  ...lines: string[]
): Promise<string[]> {
  using conn = await Deno.connect(address);
  await conn.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  await conn.closeWrite();
  const text = await new Response(conn.readable).text();
  return text.trimEnd().split("\n");
}

class LineClient implements Disposable {
  #conn: Deno.Conn;
  #lines: AsyncIterator<string>;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#lines = readLines(conn);
  }

  async say(line: string): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(`${line}\n`));
  }

  async hear(): Promise<string | undefined> {
    return (await this.#lines.next()).value;
  }

  [Symbol.dispose](): void {
    this.#conn[Symbol.dispose]();
  }
}

async function* readLines(conn: Deno.Conn): AsyncGenerator<string> {
  const buffer = new Uint8Array(1_024);
  let text = "";
  for (let n; (n = await conn.read(buffer)) !== null;) {
    const lines = (text + new TextDecoder().decode(buffer.subarray(0, n)))
      .split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

Deno.test("chat_room.ts: all others read what one client says", async () => {
  await using server = new TCPServer(PORT_0, ChatHandler);
  server.serveForever();
  async function enter(name: string): Promise<LineClient> {
    const client = new LineClient(await Deno.connect(server.serverAddress));
    assertEquals(await client.hear(), "Your name?");
    await client.say(name);
    return client;
  }
  using ann = await enter("ann");
  using bob = await enter("bob");
  assertEquals(await ann.hear(), "* bob came");
  using eve = await enter("eve");
  assertEquals(await ann.hear(), "* eve came");
  assertEquals(await bob.hear(), "* eve came");
  await bob.say("hello");
  assertEquals(await ann.hear(), "bob: hello");
  assertEquals(await eve.hear(), "bob: hello");
  bob[Symbol.dispose]();
  assertEquals(await ann.hear(), "* bob left");
});

Deno.test(
  "redis_store.ts: redis-cli sets and gets",
  needs("redis-cli"),
  async () => {
    await using server = new TCPServer(PORT_0, RedisHandler);
    server.serveForever();
    const { port } = server.serverAddress;
    const input =
      'PING\nSET greeting "hello \\n world"\nGET greeting\nGET none\n';
    assertEquals(
      await run("redis-cli", ["-p", port], input),
      "PONG\nOK\nhello \n world\n\n",
    );
  },
);

/** Sends each text over a connection of its own, and compares all of its answer. */
async function assertAnswers(
  { serverAddress }: TCPServer,
  exchanges: [sent: string, answer: string][],
): Promise<void> {
  for (const [sent, answer] of exchanges) {
    using conn = await Deno.connect(serverAddress);
    await conn.write(new TextEncoder().encode(sent));
    await conn.closeWrite();
    assertEquals(await new Response(conn.readable).text(), answer);
  }
}

Deno.test("redis_store.ts: commands typed in a line, ECHO, texts of any length in bytes, errors", async () => {
  await using server = new TCPServer(PORT_0, RedisHandler);
  server.serveForever();
  const exchanges: [sent: string, answer: string][] = [
    ["PING\r\n\r\nECHO é\r\n", "+PONG\r\n$2\r\né\r\n"],
    ["SET k ü\nGET k\nGET none\n", "+OK\r\n$2\r\nü\r\n$-1\r\n"],
    ["*2\r\n$4\r\nECHO\r\n$3\r\n€\r\n", "$3\r\n€\r\n"],
    ["*1\r\n$x\r\n", "-ERR Protocol error: invalid length\r\n"],
  ];
  await assertAnswers(server, exchanges);
});

Deno.test(
  "redis_store.ts: redis-cli --pipe ends",
  needs("redis-cli"),
  async () => {
    await using server = new TCPServer(PORT_0, RedisHandler);
    server.serveForever();
    const { port } = server.serverAddress;
    const input = "SET a 1\r\nSET b 2\r\n";
    const report = await run("redis-cli", ["-p", port, "--pipe"], input);
    assertMatch(report, /errors: 0, replies: 2/);
  },
);

Deno.test(
  "redis_store.ts: redis-benchmark, 16 commands at once from 20 clients",
  needs("redis-benchmark"),
  async () => {
    await using server = new TCPServer(PORT_0, RedisHandler);
    server.serveForever();
    const { port } = server.serverAddress;
    const load = ["-n", 4_000, "-c", 20, "-P", 16, "-t", "set,get", "--csv"];
    const rows = await run("redis-benchmark", ["-p", port, ...load]);
    assertMatch(rows, /"SET","\d+.*\n"GET","\d+/);
  },
);

Deno.test("smtp_sink.ts: a mail that is slow to come outlasts the server's drain", async () => {
  const context: Message[] = [];
  await using client = connect(SmtpHandler, { context });
  const say = async (line: string) => {
    await client.wfile.write(`${line}\r\n`);
    return await client.rfile.readLine();
  };
  await client.rfile.readLine();
  for (const line of ["HELO x", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA"]) {
    await say(line);
  }
  client.drain();
  await client.clock.advance(5_000);
  await client.wfile.write("Hello\r\n");
  await client.clock.advance(3_000);
  assertEquals(await say("."), "250 kept");
  await client.clock.advance(50);
  await client.ended;
  assertEquals(context.map(({ text }) => text), ["Hello"]);
});

Deno.test("smtp_sink.ts: a dot after a bare line feed does not end the message", async () => {
  const context: Message[] = [];
  await using server = new TCPServer(PORT_0, SmtpHandler, { context });
  server.serveForever();
  using conn = await Deno.connect(server.serverAddress);
  await conn.write(
    new TextEncoder().encode("DATA\r\none\n.\r\ntwo\r\n.\r\nQUIT\r\n"),
  );
  await new Response(conn.readable).text();
  assertEquals(context.map(({ text }) => text), ["one\n.\ntwo"]);
});

Deno.test(
  "smtp_sink.ts: Python's smtplib delivers",
  needs("python3"),
  async () => {
    const context: Message[] = [];
    await using server = new TCPServer(PORT_0, SmtpHandler, { context });
    server.serveForever();
    const { port } = server.serverAddress;
    const program = `
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10) as smtp:
    smtp.sendmail("a@x.example", ["b@y.example", "c@y.example"], "Subject: s\\n\\n.dot\\nend")
`;
    await run("python3", ["-c", program, port]);
    assertEquals(context, [{
      from: "a@x.example",
      to: ["b@y.example", "c@y.example"],
      text: "Subject: s\n\n.dot\nend",
    }]);
  },
);

Deno.test(
  "dns.ts: dig asks one class by UDP and by TCP",
  needs("dig"),
  async () => {
    await using udp = new UDPServer(PORT_0, DnsHandler);
    await using tcp = new TCPServer(PORT_0, DnsHandler);
    for (const [server, option] of [[udp, "+notcp"], [tcp, "+tcp"]] as const) {
      server.serveForever();
      const { port } = server.serverAddress as Deno.NetAddr;
      const at = ["@127.0.0.1", "-p", port, option, "+tries=1"];
      assertEquals(
        await run("dig", [...at, "+short", "deno.example"]),
        "192.0.2.1\n",
      );
      assertMatch(await run("dig", [...at, "nobody.example"]), /NXDOMAIN/);
    }
  },
);

Deno.test(
  "http.ts: curl keeps its connection and posts",
  needs("curl"),
  async () => {
    await using server = new TCPServer(PORT_0, HttpHandler);
    server.serveForever();
    const site = `http://127.0.0.1:${server.serverAddress.port}`;
    const args = ["-sS", `${site}/a`, `${site}/b`, "-d", "x=1"];
    assertEquals(await run("curl", args), "POST /a x=1\nPOST /b x=1\n");
    assertEquals((await server.stats()).accepted, 1);
  },
);

Deno.test("http.ts: HEAD has no body, and what could hide a second request is refused", async () => {
  await using server = new TCPServer(PORT_0, HttpHandler);
  server.serveForever();
  const refused = (why: string) =>
    `HTTP/1.1 ${why}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  const kept = "Connection: keep-alive\r\n\r\n";
  const ended = "Connection: close\r\n\r\n";
  const exchanges: [sent: string, answer: string][] = [
    [
      "HEAD /a HTTP/1.1\r\n\r\n",
      `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n${kept}`,
    ],
    [
      "POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\néGET /b HTTP/1.1\r\n\r\n",
      `HTTP/1.1 200 OK\r\nContent-Length: 11\r\n${ended}POST /a é\n`,
    ],
    [
      "POST /a HTTP/1.1\r\nContent-Length: \t1 \t\r\n\r\na",
      `HTTP/1.1 200 OK\r\nContent-Length: 10\r\n${kept}POST /a a\n`,
    ],
    [
      "POST / HTTP/1.1\r\nContent-Length: 1\u00a0\r\n\r\na",
      refused("400 Bad Request"),
    ],
    [
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
      refused("501 Not Implemented"),
    ],
    [
      "POST / HTTP/1.1\r\nContent-Length:\r\n\r\nGET",
      refused("400 Bad Request"),
    ],
    [
      "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
      refused("400 Bad Request"),
    ],
    [
      "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      refused("400 Bad Request"),
    ],
    ["GET / HTTP/1.1\r\nA : b\r\n\r\n", refused("400 Bad Request")],
    ["GET / HTTP/2\r\n\r\n", refused("400 Bad Request")],
    [
      "POST / HTTP/1.1\r\nContent-Length: 1000001\r\n\r\n",
      refused("413 Content Too Large"),
    ],
  ];
  await assertAnswers(server, exchanges);
});

Deno.test(
  "http.ts: ab, 500 requests over 10 connections",
  needs("ab"),
  async () => {
    await using server = new TCPServer(PORT_0, HttpHandler);
    server.serveForever();
    const site = `http://127.0.0.1:${server.serverAddress.port}/`;
    for (const keepAlive of [[], ["-k"]]) {
      const report = await run("ab", [...keepAlive, "-n", 500, "-c", 10, site]);
      assertMatch(report, /Complete requests: +500\nFailed requests: +0/);
    }
  },
);

Deno.test("socks5.ts: curl goes through the proxy", needs("curl"), async () => {
  await using site = new TCPServer(PORT_0, HttpHandler);
  await using proxy = new TCPServer(PORT_0, SocksHandler);
  site.serveForever();
  proxy.serveForever();
  const via = `127.0.0.1:${proxy.serverAddress.port}`;
  const to = `http://127.0.0.1:${site.serverAddress.port}/name`;
  const args = ["-sS", "--socks5-hostname", via, to];
  assertEquals(await run("curl", args), "GET /name \n");
});

Deno.test("prime_service.ts: computes in threads", async () => {
  const options = { module: url("prime_service.ts"), workers: 2 };
  await using server = new ThreadingTCPServer(PORT_0, PrimeHandler, options);
  server.serveForever();
  const asked = [1, 2, 3, 4].map(() => {
    return ask(server.serverAddress, "1000003", "999997");
  });
  for (const answer of asked) assertEquals(await answer, ["1000003", "757"]);
});

Deno.test("sandboxed_calculator.ts: what clients send can do nothing", async () => {
  await using server = new ForkingTCPServer(PORT_0, CalculatorHandler, {
    module: url("sandboxed_calculator.ts"),
    permissions: "none",
    workers: 1,
  });
  server.serveForever();
  const [sum, file, net, exit] = await ask(
    server.serverAddress,
    "6 * 7",
    'Deno.readTextFile("/etc/passwd")',
    "Deno.connect({ port: 80 })",
    'Deno.env.get("HOME")',
  );
  assertEquals(sum, "42");
  for (const refusal of [file, net, exit]) {
    assertMatch(refusal!, /^NotCapable: /);
  }
});

Deno.test("supervised_worker.ts: a process that ended is replaced", async () => {
  assertEquals(await supervise(3), "done at attempt 2");
  assert(await supervise(1).then(() => false, () => true));
});

Deno.test(
  "sorted.ts: a command answers the connection",
  needs("sort"),
  async () => {
    await using server = new TCPServer(PORT_0, SortHandler);
    server.serveForever();
    const answer = await ask(server.serverAddress, "b", "c", "a");
    assertEquals(answer, ["a", "b", "c"]);
  },
);

Deno.test("https.ts: curl speaks TLS with threads", needs("curl"), async () => {
  const folder = new URL("../servers/certificates", import.meta.url).pathname;
  await using server = await openTls(0, folder);
  server.serveForever();
  const site = `https://localhost:${server.serverAddress.port}/name`;
  const trust = ["--cacert", `${folder}/ca.pem`];
  assertEquals(await run("curl", ["-sS", ...trust, site]), "GET /name \n");
});
