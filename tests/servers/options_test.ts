/** Which options each server takes, and what they may be. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  EchoHandler,
  ForkingUnixStreamServer,
  RequestHandler,
  SharedQueue,
  StreamRequestHandler,
  TCPServer,
  ThreadingTCPServer,
  ThreadingUDPServer,
  UDPServer,
  UnixDatagramServer,
  UnixStreamServer,
} from "../../mod.ts";
import { freePath, test } from "./_support.ts";

type Loose = new (
  address: unknown,
  handler: unknown,
  options?: unknown,
) => Partial<AsyncDisposable>;

const tcp: Loose = TCPServer as Loose;
const udp: Loose = UDPServer as Loose;
const unix: Loose = UnixStreamServer as Loose;
const unixDatagram: Loose = UnixDatagramServer as Loose;
const threading: Loose = ThreadingTCPServer as Loose;
const PEM = "-----BEGIN";

const SENSELESS: [Loose, string, unknown][] = [
  [tcp, "maxPacketSize", 1_000],
  [unix, "maxPacketSize", 1_000],
  [threading, "maxPacketSize", 1_000],
  [udp, "requestQueueSize", 5],
  [unix, "requestQueueSize", 5],
  [unixDatagram, "requestQueueSize", 5],
  [udp, "allowReusePort", true],
  [udp, "noDelay", true],
  [unix, "keepAlive", true],
  [udp, "idleTimeout", 5],
  [unixDatagram, "minRate", 5],
  [unix, "cert", PEM],
  [udp, "key", PEM],
  [udp, "handshakeTimeout", 5],
  [udp, "proxyProtocol", "accept"],
  [unix, "maxConnectionsPerClient", 1],
  [unixDatagram, "allow", ["::1"]],
  [tcp, "workers", 2],
  [tcp, "dispatch", "relay"],

  [unix, "permissions", "none"],
  [unixDatagram, "stallTimeout", 5],
  [tcp, "maxRequests", 5],
  [udp, "maxMemory", 1e9],
];

function open(Server: Loose, options: unknown): () => void {
  const address = { port: 0, path: freePath() };
  return () => void new Server(address, EchoHandler, options);
}

for (const [Server, name, value] of SENSELESS) {
  test(`${Server.name} refuses the option "${name}"`, () => {
    const refusal = assertThrows(open(Server, { [name]: value }), TypeError);
    assertStringIncludes(refusal.message, `option "${name}"`);
    assertStringIncludes(refusal.message, `"${Server.name}"`);
  });
}

for (
  const Server of [
    ...[TCPServer, UDPServer, UnixStreamServer, UnixDatagramServer],
    ...[ThreadingTCPServer, ThreadingUDPServer, ForkingUnixStreamServer],
  ] as Loose[]
) {
  test(`${Server.name} refuses a misspelt option`, () => {
    for (const name of ["maxConection", "toString", "__proto__x"]) {
      assertThrows(
        open(Server, { [name]: 1 }),
        TypeError,
        `the option "${name}"`,
      );
    }
  });
}

test("TCPServer refuses options and addresses that are none", () => {
  for (const options of [null, "x", 5]) {
    assertThrows(
      () => new TCPServer({ port: 0 }, EchoHandler, options as never),
      TypeError,
      'as the options of "TCPServer": expected an object',
    );
  }
  const tuple = ["", 8080] as unknown as { port: number };
  assertThrows(
    () => new TCPServer(tuple, EchoHandler),
    TypeError,
    'Cannot listen on [ "", 8080 ]: expected an address such as',
  );
  const host = { host: "0.0.0.0", port: 0 } as { port: number };
  assertThrows(
    () => new TCPServer(host, EchoHandler),
    TypeError,
    'Cannot use "host" in an address',
  );
});

test("options that are undefined count as left out", async () => {
  await using _ = new TCPServer({ port: 0 }, EchoHandler, {
    ...{ cert: undefined, key: undefined, maxPacketSize: undefined } as object,
  });
});

const WRONG: [Loose, Record<string, unknown>, string][] = [
  [tcp, { bindAndActivate: "no" }, '"bindAndActivate"'],
  [tcp, { requestQueueSize: 0 }, '"requestQueueSize"'],
  [tcp, { requestQueueSize: 1.5 }, '"requestQueueSize"'],
  [tcp, { requestQueueSize: "5" }, '"requestQueueSize"'],
  [udp, { maxPacketSize: 0 }, '"maxPacketSize"'],
  [unixDatagram, { maxPacketSize: "big" }, '"maxPacketSize"'],
  [tcp, { overLimit: "drop" }, '"wait", "refuse"'],
  [tcp, { requestTimeout: 0 }, '"requestTimeout"'],
  [tcp, { idleTimeout: 2 ** 31 }, '"idleTimeout"'],
  [unix, { minRate: -1 }, '"minRate"'],
  [tcp, { maxConnectionsPerClient: 0 }, '"maxConnectionsPerClient"'],
  [udp, { acceptRatePerClient: 0.5 }, '"acceptRatePerClient"'],
  [tcp, { allow: "10.0.0.0/8" }, '"10.0.0.0/8" in "allow"'],
  [tcp, { deny: ["10.0.0.0/33"] }, '"10.0.0.0/33" in "deny"'],
  [udp, { deny: ["example.com"] }, '"example.com" in "deny"'],
  [tcp, { noDelay: 1 }, '"noDelay"'],
  [tcp, { keepAlive: null }, '"keepAlive"'],
  [tcp, { cert: PEM }, '"cert" without "key"'],
  [tcp, { key: PEM }, '"key" without "cert"'],
  [tcp, { cert: 1, key: PEM }, 'of type number as "cert": expected the text'],
  [tcp, { cert: PEM, key: PEM }, '"cert": it holds no certificate in PEM;'],
  [tcp, { alpnProtocols: "h2", cert: PEM, key: PEM }, '"alpnProtocols"'],
  [tcp, { alpnProtocols: [""], cert: PEM, key: PEM }, '"" in "alpnProtocols"'],
  [tcp, { alpnProtocols: ["é".repeat(128)] }, "1 to 255 bytes"],
  [tcp, { deny: ["10.0.0.1/8/8"] }, '"10.0.0.1/8/8" in "deny"'],
  [tcp, { allow: [5] }, '5 in "allow"'],
  [tcp, { proxyProtocol: "accept", trustedProxies: ["x"] }, '"x" in'],
  [tcp, { alpnProtocols: ["h2"] }, '"alpnProtocols" without "cert"'],
  [tcp, { handshakeTimeout: 9 }, 'without "cert" or "proxyProtocol"'],
  [tcp, { trustedProxies: ["::1"] }, '"trustedProxies" without'],
  [tcp, { proxyProtocol: "v2" }, '"require", "accept"'],
  [tcp, { proxyProtocol: "accept", cert: PEM, key: PEM }, "together"],
  [tcp, { noDelay: true, cert: PEM, key: PEM }, '"noDelay" and "cert"'],
  [tcp, { keepAlive: true, cert: PEM, key: PEM }, '"keepAlive" and "cert"'],
  [threading, { dispatch: "fork" }, '"auto", "shard", "relay", "isolate"'],
  [threading, { workers: 0 }, '"workers"'],
  [threading, { stallTimeout: 0 }, '"stallTimeout"'],
  [threading, { maxRequests: 0 }, '"maxRequests"'],
  [threading, { maxRequests: 10, maxRequestsJitter: -1 }, "Jitter"],
  [threading, { maxRequestsJitter: 5 }, 'Jitter" without "maxRequests"'],
  [threading, { maxMemory: 1.5 }, '"maxMemory"'],
  [threading, { maxRequests: 5, dispatch: "isolate" }, '"isolate"'],
  [threading, { maxMemory: 5, dispatch: "isolate" }, '"isolate"'],
];

for (const [Server, options, part] of WRONG) {
  test(`${Server.name} refuses ${JSON.stringify(options)}`, () => {
    const refusal = assertThrows(open(Server, options), Error);
    assert(refusal instanceof TypeError || refusal instanceof RangeError);
    assertStringIncludes(refusal.message, part);
  });
}

class Motd extends RequestHandler<{ text: string }> {
  override async handle(): Promise<void> {
    await this.wfile.write(this.server.context.text);
  }
}

/** Never called: the compiler is the test. */
export function contextIsRequired(): void {
  const context = { text: "hello" };
  new TCPServer({ port: 0 }, Motd, { context });
  new TCPServer({ port: 0 }, EchoHandler);
  new TCPServer({ port: 0 }, EchoHandler, { context });
  new ThreadingTCPServer({ port: 0 }, Motd, { context, workers: 2 });
  // @ts-expect-error: no options
  new TCPServer({ port: 0 }, Motd);
  // @ts-expect-error: no context
  new UDPServer({ port: 0 }, Motd, { maxPacketSize: 5 });
  // @ts-expect-error: another context
  new UnixStreamServer({ path: "x" }, Motd, { context: { text: 1 } });
  // @ts-expect-error: no context
  new ThreadingUDPServer({ port: 0 }, Motd, { workers: 2 });
  // @ts-expect-error: of packets
  new TCPServer({ port: 0 }, EchoHandler, { maxPacketSize: 5 });
  // @ts-expect-error: of connections
  new UDPServer({ port: 0 }, EchoHandler, { requestQueueSize: 5 });
  // @ts-expect-error: of servers with threads or processes
  new TCPServer({ port: 0 }, EchoHandler, { workers: 5 });
}

test("serveForever() refuses what is none of its options, before it serves", async () => {
  await using server = new TCPServer({ port: 0 }, EchoHandler);
  const wrong: [unknown, string][] = [
    [0.5, "Cannot use 0.5 as the options of serveForever()"],
    ["SIGTERM", 'Cannot use "SIGTERM" as the options'],
    [["SIGTERM"], 'Cannot use [ "SIGTERM" ] as the options'],
    [{ singals: ["SIGTERM"] }, 'Cannot use the option "singals"'],
    [{ signals: "SIGTERM" }, 'Cannot use "SIGTERM" as "signals"'],
    [{ signal: "SIGTERM" }, 'Cannot use "SIGTERM" as "signal"'],
  ];
  for (const [options, message] of wrong) {
    await assertRejects(
      () => server.serveForever(options as never),
      TypeError,
      message,
    );
  }
});

test("a server class has options as static fields, as Python's classes have attributes", async () => {
  class Small extends TCPServer {
    static requestQueueSize = 5;
    static overLimit = "refuse";
  }
  class Smaller extends Small {
    static override requestQueueSize = 4;
  }
  await using small = new Small({ port: 0 }, EchoHandler);
  await using smaller = new Smaller({ port: 0 }, EchoHandler);
  await using given = new Small({ port: 0 }, EchoHandler, {
    requestQueueSize: 9,
  });
  assertEquals(
    [small, smaller, given].map(({ requestQueueSize }) => requestQueueSize),
    [5, 4, 9],
  );
  class Packets extends UDPServer {
    static maxPacketSize = 7;
  }
  await using packets = new Packets({ port: 0 }, EchoHandler);
  assertEquals(packets.maxPacketSize, 7);
  class Wrong extends TCPServer {
    static requestQueueSize = 0;
  }
  assertThrows(
    () => new Wrong({ port: 0 }, EchoHandler),
    RangeError,
    '"requestQueueSize"',
  );
});

test("a field that comes too late for its option is refused when serving begins", async () => {
  class Late extends TCPServer {
    idleTimeout = 5;
  }
  class Deep extends TCPServer {}
  const deep = new Deep({ port: 0 }, EchoHandler);
  Object.defineProperty(deep, "requestQueueSize", {
    value: 5,
    enumerable: true,
  });
  await using late = new Late({ port: 0 }, EchoHandler);
  for (
    const [server, name] of [[late, "idleTimeout"], [
      deep,
      "requestQueueSize",
    ]] as const
  ) {
    for (
      const serve of [() => server.serveForever(), () => server.handleRequest()]
    ) {
      await assertRejects(serve, TypeError, `the field "${name}"`);
    }
  }
  await deep.serverClose();
});

test("every class takes module, since only the class is to change", async () => {
  const module = import.meta.url;
  for (
    const open of [
      () => new TCPServer({ port: 0 }, EchoHandler, { module }),
      () => new UDPServer({ port: 0 }, EchoHandler, { module }),
      () => new UnixStreamServer({ path: freePath() }, EchoHandler, { module }),
      () => new ThreadingTCPServer({ port: 0 }, EchoHandler, { module }),
    ]
  ) await (await open()).serverClose();
});

test("what a server can't use is shown, and the cure is named", () => {
  const make = () => {};
  const wrong: [() => void, string][] = [
    [
      () => void new tcp({ port: {} }, EchoHandler),
      "Cannot use {} as",
    ],
    [() => void new tcp({ port: 0 }, make), 'by the option "context"'],
    [
      () => void new SharedQueue(4 as never),
      "Cannot use 4 as the options of a queue: expected an object such as { maxSize: 4 }",
    ],
    [
      () =>
        void new tcp({ port: 0 }, EchoHandler, { requestQueueSize: 2 ** 32 }),
      "from 1 to 2147483647",
    ],
    [
      () => void new udp({ port: 0 }, EchoHandler, { maxPacketSize: 2 ** 40 }),
      "from 1 to 1048576",
    ],
    [
      () =>
        void new threading(
          { port: 0 },
          class Mine extends RequestHandler {
            override handle(): void {}
          },
        ),
      'if (import.meta.main)"',
    ],
  ];
  for (const [open, message] of wrong) {
    assertStringIncludes(assertThrows(open, Error).message, message);
  }
});

test("addresses print, in handlers, hooks, events and reports", async () => {
  const printed: Record<string, string> = {};
  class Noting extends StreamRequestHandler<unknown, Deno.TcpConn> {
    override handle() {
      printed.handler = `${this.clientAddress}`;
      printed.hostname = this.clientAddress.hostname;
      throw new Error("for the hook");
    }
  }
  class Watching extends TCPServer {
    override verifyRequest(_request: Deno.TcpConn, client: Deno.Addr) {
      printed.verifyRequest = `${client}`;
      return true;
    }
    override handleError(
      _error: unknown,
      _request: unknown,
      client: Deno.Addr,
    ) {
      printed.handleError = `${client}`;
    }
  }
  await using server = new Watching({ port: 0 }, Noting);
  server.on("connection", ({ clientAddress, serverAddress }) => {
    printed.event = `${clientAddress}`;
    printed.server = `${serverAddress}`;
  });
  server.serveForever();
  using client = await Deno.connect(server.serverAddress);
  assertEquals(await new Response(client.readable).text(), "");
  const at = `127.0.0.1:${client.localAddr.port}`;
  assertEquals(printed, {
    event: at,
    server: `127.0.0.1:${server.serverAddress.port}`,
    verifyRequest: at,
    handler: at,
    hostname: "127.0.0.1",
    handleError: at,
  });
  assertEquals(server.serverAddress, {
    transport: "tcp",
    hostname: "127.0.0.1",
    port: server.serverAddress.port,
  });
});
