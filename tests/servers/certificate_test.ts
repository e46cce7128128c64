/** Certificates that are replaced while their server runs. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ServerClosedError,
  TCPServer,
  type TcpServerOptions,
} from "../../mod.ts";
import { LASTING_MODES, testEach } from "../replicas/_support.ts";
import { startPython } from "./_programs.ts";
import { otherTls, read, tls } from "./_certificates.ts";
import { RawEcho } from "./_limits_fixture.ts";
import {
  type Addressed,
  dial,
  readExactly,
  test,
  writeAll,
} from "./_support.ts";
import { needs } from "../support/programs.ts";
import { refused } from "../support/sockets.ts";
import { pause } from "../support/waiting.ts";

function open(options: TcpServerOptions = {}): TCPServer {
  return new TCPServer({ port: 0 }, RawEcho, { ...tls, ...options });
}

async function connect(
  server: Addressed,
  trusted: "ca" | "other_cert",
): Promise<Deno.TlsConn> {
  const { hostname, port } = server.serverAddress as Deno.NetAddr;
  const conn = await Deno.connectTls({
    hostname,
    port,
    caCerts: [read(trusted)],
  });
  try {
    await echo(conn);
  } catch (error) {
    conn.close();
    throw error;
  }
  return conn;
}

async function echo(conn: Deno.Conn): Promise<void> {
  await writeAll(conn, "x");
  assertEquals((await readExactly(conn, 1)).length, 1);
}

/** Asserts that new clients get the one certificate, and not the other. */
async function assertServes(
  server: Addressed,
  trusted: "ca" | "other_cert",
): Promise<void> {
  (await connect(server, trusted)).close();
  const other = trusted === "ca" ? "other_cert" : "ca";
  await assertRejects(() => connect(server, other), Error);
}

/**
 * The same where listeners share a port: a child that this program starts just
 * then has a copy of the old one until it runs, and its clients are reset.
 */
async function assertSoonServes(
  ...args: Parameters<typeof assertServes>
): Promise<void> {
  for (;;) {
    try {
      return await assertServes(...args);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }
}

for (const allowReusePort of [true, false]) {
  test(`TCPServer.replaceCertificate() with allowReusePort ${allowReusePort} affects new clients only`, async () => {
    await using server = open({ allowReusePort });
    const { port } = server.serverAddress;
    server.serveForever();
    using before = await connect(server, "ca");
    await server.replaceCertificate(otherTls);
    await assertSoonServes(server, "other_cert");
    await Promise.all([
      server.replaceCertificate(otherTls),
      server.replaceCertificate(tls),
    ]);
    await assertSoonServes(server, "ca");
    await echo(before);
    assertEquals(server.serverAddress.port, port);
  });
}

const CLIENTS = `
import hashlib, socket, ssl, sys, threading
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
lock = threading.Lock()

def run():
    while True:
        seen = "lost"
        try:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
                with context.wrap_socket(s) as t:
                    t.sendall(b"x")
                    if t.recv(1) == b"x":
                        seen = hashlib.sha256(t.getpeercert(True)).hexdigest()
        except OSError:
            pass
        with lock:
            print(seen, flush=True)

for _ in range(3):
    threading.Thread(target=run).start()
`;

async function fingerprint(pem: string): Promise<string> {
  const base64 = pem.split("-----")[2]!.replaceAll("\n", "");
  const digest = await crypto.subtle.digest(
    "SHA-256",
    Uint8Array.fromBase64(base64),
  );
  return new Uint8Array(digest).toHex();
}

test(
  "TCPServer.replaceCertificate() with allowReusePort does no harm to Python's clients under load",
  async () => {
    await using server = open({ allowReusePort: true });
    server.serveForever();
    const names: Record<string, string> = {
      lost: "lost",
      [await fingerprint(tls.cert)]: "first",
      [await fingerprint(otherTls.cert)]: "second",
    };
    await using clients = startPython(CLIENTS, server.serverAddress.port);
    const counts: Record<string, number> = { lost: 0, first: 0, second: 0 };
    const next = async () => {
      const name = names[(await clients.readLine())!]!;
      counts[name]!++;
      return name;
    };
    while (counts.first! < 20) await next();
    assertEquals(counts.second, 0);
    for (
      const [pair, name] of [[otherTls, "second"], [tls, "first"]] as const
    ) {
      await server.replaceCertificate(pair);
      while (await next() !== name);
      for (let i = 0; i < 20; i++) {
        // A handshake under way, and the lines that were printed already
        if (await next() !== name) i = 0;
      }
    }
    // The system resets who connects in the moment of the close
    assert(counts.lost! <= 1, `${counts.lost} were lost`);
  },
  needs("python3"),
);

testEach(
  LASTING_MODES,
  "replaceCertificate() reaches every replica",
  async (mode) => {
    const server = mode.open(RawEcho, tls) as unknown as TCPServer;
    const serving = server.serveForever();
    await server.ready;
    using before = await connect(server, "ca");
    await assertRejects(
      () => server.replaceCertificate({ ...tls, key: otherTls.key }),
      TypeError,
    );
    await server.replaceCertificate(otherTls);
    for (let i = 0; i < 4; i++) await assertServes(server, "other_cert");
    await echo(before);
    before.close();
    await server.serverClose();
    await serving;
  },
);

test("TCPServer.replaceCertificate() opens its address again as soon as a starting child has left it", async () => {
  let copies = 0;
  class Copied extends TCPServer {
    override serverBind() {
      if (copies-- > 0) throw new Deno.errors.AddrInUse("a child has it");
      return super.serverBind();
    }
  }
  await using server = new Copied({ port: 0 }, RawEcho, tls);
  server.serveForever();
  copies = 3;
  await server.replaceCertificate(otherTls);
  assertEquals(copies, -1);
  await assertServes(server, "other_cert");
});

const BAD: [cert: unknown, key: unknown, part: string][] = [
  ["nonsense", tls.key, 'Cannot use "cert": it holds no certificate'],
  [tls.cert, "nonsense", 'Cannot use "key": it holds no private key'],
  [
    tls.cert,
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    'Cannot use "key": it is encrypted',
  ],
  [tls.cert, otherTls.key, 'Cannot use "key": it does not fit "cert"'],
  [undefined, tls.key, '"cert": expected the text of'],
  [tls.cert, 5, '"key": expected the text of'],
];

test("TCPServer.replaceCertificate() refuses what can't be used, and the server goes on", async () => {
  await using server = open();
  server.serveForever();
  using before = await connect(server, "ca");
  const { socket } = server;
  for (const [cert, key, part] of BAD) {
    const error = await assertRejects(
      () => server.replaceCertificate({ cert, key } as typeof tls),
      TypeError,
    );
    assertStringIncludes(error.message, part);
    assertEquals(error.message.includes("PRIVATE"), false);
  }
  assert(server.socket === socket);
  await assertServes(server, "ca");
  await echo(before);
});

test("TCPServer.replaceCertificate() of a server that does not listen applies when it does", async () => {
  await using server = open({ bindAndActivate: false });
  await server.replaceCertificate(otherTls);
  await server.serverBind();
  await server.serverActivate();
  const serving = server.serveForever();
  await assertServes(server, "other_cert");
  await server.suspend();
  await server.replaceCertificate(tls);
  await server.resume();
  await assertServes(server, "ca");
  const replaced = server.replaceCertificate(otherTls);
  await server.suspend();
  await replaced;
  await refused(() => dial(server));
  await server.resume();
  await assertServes(server, "other_cert");
  await server.serverClose();
  await serving;
  await assertRejects(() => server.replaceCertificate(tls), ServerClosedError);
});

test("TCPServer.serverClose() while the certificate is replaced settles both, and shutdown() too", async () => {
  const server = open({ allowReusePort: true });
  const { socket } = server;
  const serving = server.serveForever();
  const first = server.replaceCertificate(otherTls);
  while (server.socket === socket) await pause(1);
  await server.resume(); // has no part in it
  await server.shutdown();
  await Promise.all([first, serving]);
  server.serveForever();
  const second = server.replaceCertificate(tls).catch((error) => error);
  await server.serverClose();
  assert(await second instanceof ServerClosedError);
  assertEquals(server.fileno(), -1);
});

test("TCPServer.replaceCertificate() without TLS says what to do", async () => {
  await using server = new TCPServer({ port: 0 }, RawEcho);
  const error = await assertRejects(
    () => server.replaceCertificate(tls),
    TypeError,
    "the server has no TLS",
  );
  assertStringIncludes(error.message, '"cert" and "key"');
});

test("TCPServer.replaceCertificate() without an object says what it expects", async () => {
  await using server = open();
  for (const wrong of [undefined, null, tls.cert]) {
    const error = await assertRejects(
      () => server.replaceCertificate(wrong as unknown as typeof tls),
      TypeError,
      'expected an object with the texts "cert" and "key"',
    );
    assert(!error.message.includes("BEGIN"));
  }
});
