/** Which options each server takes, and what they may be. */

import { assert, assertStringIncludes, assertThrows } from "@std/assert";
import {
  EchoHandler,
  ForkingUnixStreamServer,
  RequestHandler,
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
  [udp, "module", import.meta.url],
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
