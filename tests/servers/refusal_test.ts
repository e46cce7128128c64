/** What can't work is refused before anything is opened. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import {
  BaseRequestHandler,
  EchoHandler,
  RequestHandler,
  StreamRequestHandler,
  TCPServer,
  UDPServer,
  UnixDatagramServer,
  UnixStreamServer,
} from "../../mod.ts";
import { ALL, freePath, test } from "./_support.ts";

// deno-lint-ignore ban-types
type ErrorClass = Function;

/** Calls with wrong arguments: the compiler would refuse most of them. */
type Loose = new (
  address: unknown,
  handler?: unknown,
  options?: unknown,
) => object;

function assertRefused(
  ErrorClass: ErrorClass,
  part: string,
  open: () => object,
): void {
  let error: unknown = null;
  try {
    open();
  } catch (thrown) {
    error = thrown;
  }
  assert(error instanceof Error, "It was not refused");
  assertEquals(error.name, ErrorClass.name, error.message);
  assertStringIncludes(error.message, part);
  assert(!error.message.endsWith("."));
}

const HOST_ADDRESSES: [unknown, ErrorClass, string][] = [
  [undefined, TypeError, "undefined"],
  [null, TypeError, "null"],
  [8080, TypeError, "8080"],
  ["127.0.0.1:80", TypeError, '"127.0.0.1:80"'],
  [{}, TypeError, '"port"'],
  [{ port: "80" }, TypeError, '"80"'],
  [{ port: "8x" }, TypeError, '"8x"'],
  [{ port: null }, TypeError, '"port"'],
  [{ port: -1 }, RangeError, "-1"],
  [{ port: 65_536 }, RangeError, "65536"],
  [{ port: 1.5 }, RangeError, "1.5"],
  [{ port: NaN }, RangeError, "NaN"],
  [{ port: Infinity }, RangeError, "Infinity"],
  [{ port: 0, hostname: "" }, TypeError, '""'],
  [{ port: 0, hostname: "a b" }, TypeError, '"a b"'],
  [{ port: 0, hostname: 127 }, TypeError, "127"],
  [
    { port: 0, hostname: "192.0.2.1" },
    Deno.errors.AddrNotAvailable,
    "192.0.2.1:0",
  ],
  [
    { port: 0, hostname: "no.such.host.invalid" },
    Error,
    "no.such.host.invalid:0",
  ],
];

const UNIX_ADDRESSES: [unknown, ErrorClass, string][] = [
  [undefined, TypeError, "undefined"],
  ["/tmp/x", TypeError, '"/tmp/x"'],
  [{}, TypeError, "undefined"],
  [{ path: "" }, TypeError, '""'],
  [{ path: 5 }, TypeError, "5"],
  [{ path: "/tmp/a\0b" }, TypeError, "zero byte"],
  [{ path: `/tmp/${"x".repeat(120)}` }, RangeError, "125 bytes"],
  [{ path: `/tmp/${"é".repeat(60)}` }, RangeError, "125 bytes"],
  [{ path: "/no/such/folder/s" }, Deno.errors.NotFound, "/no/such/folder/s"],
];

for (const Server of [TCPServer, UDPServer] as Loose[]) {
  test(`${Server.name} refuses addresses that can't work`, () => {
    for (const [address, ErrorClass, part] of HOST_ADDRESSES) {
      assertRefused(ErrorClass, part, () => new Server(address, EchoHandler));
    }
  });
}

for (const Server of [UnixStreamServer, UnixDatagramServer] as Loose[]) {
  test(`${Server.name} refuses paths that can't work`, () => {
    for (const [address, ErrorClass, part] of UNIX_ADDRESSES) {
      assertRefused(ErrorClass, part, () => new Server(address, EchoHandler));
    }
  });
}

abstract class NoHandle extends RequestHandler {}

const HANDLERS: [unknown, string][] = [
  [undefined, "undefined"],
  [null, "null"],
  ["EchoHandler", '"EchoHandler"'],
  [{}, "BaseRequestHandler"],
  [() => {}, "BaseRequestHandler"],
  [class Foreign {}, '"Foreign"'],
  [NoHandle, '"NoHandle"'],
  [BaseRequestHandler, '"BaseRequestHandler"'],
  [StreamRequestHandler, '"StreamRequestHandler"'],
];

const OPTIONS: [unknown, ErrorClass, string][] = [
  [{ timeout: -1 }, RangeError, '"timeout"'],
  [{ timeout: "1" }, TypeError, '"timeout"'],
  [{ timeout: NaN }, RangeError, '"timeout"'],
  [{ timeout: 2 ** 31 }, RangeError, '"timeout"'],
  [{ maxConnections: 0 }, RangeError, '"maxConnections"'],
  [{ maxConnections: -1 }, RangeError, '"maxConnections"'],
  [{ maxConnections: null }, TypeError, '"maxConnections"'],
  [{ shutdownTimeout: -1 }, RangeError, '"shutdownTimeout"'],
  [{ shutdownTimeout: "10" }, TypeError, '"shutdownTimeout"'],
  [{ shutdownTimeout: 2 ** 31 }, RangeError, '"shutdownTimeout"'],
  [{ signal: {} }, TypeError, '"signal"'],
];

for (const kind of ALL) {
  const open = kind.open as (handler: unknown, options?: unknown) => object;
  test(`${kind.name} refuses handlers that can't work`, () => {
    for (const [handler, part] of HANDLERS) {
      assertRefused(TypeError, part, () => open(handler));
    }
  });
  test(`${kind.name} refuses options that can't work`, () => {
    for (const [options, ErrorClass, part] of OPTIONS) {
      assertRefused(ErrorClass, part, () => open(EchoHandler, options));
    }
  });
  test(`${kind.name} throws the reason of a signal that is aborted already`, () => {
    const signal = AbortSignal.abort(new RangeError("too late"));
    assertRefused(RangeError, "too late", () => open(EchoHandler, { signal }));
  });
}

for (const Server of [TCPServer, UDPServer]) {
  test(`${Server.name} refuses an address in use, and names it`, async () => {
    await using first = new Server({ port: 0 }, EchoHandler);
    const { port } = first.serverAddress;
    assertRefused(
      Deno.errors.AddrInUse,
      `127.0.0.1:${port}`,
      () => new Server({ port }, EchoHandler),
    );
  });
}

test("a server without permission says what is missing", async () => {
  const source = `import { EchoHandler, TCPServer } from "${new URL(
    "../../mod.ts",
    import.meta.url,
  )}";
try { new TCPServer({ port: 0 }, EchoHandler); } catch (error) {
  console.log(error.name, error.message);
}`;
  const path = `${freePath()}.ts`;
  await Deno.writeTextFile(path, source);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--quiet", path],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertStringIncludes(text, "NotCapable");
  assertStringIncludes(text, "127.0.0.1:0");
  assertStringIncludes(text, "--allow-net");
});

test("UDPServer without --unstable-net says so, and the program goes on", async () => {
  const source = `import { EchoHandler, TCPServer, UDPServer } from "${new URL(
    "../../mod.ts",
    import.meta.url,
  )}";
for (const open of [
  () => new UDPServer({ port: 0 }, EchoHandler),
  () => new TCPServer({ port: 0 }, EchoHandler, { allowReusePort: true }),
]) try { open(); } catch (error) { console.log(error.name, error.message); }
console.log("goes on");`;
  const path = `${freePath()}.ts`;
  await Deno.writeTextFile(path, source);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", path],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(lines.length, 3);
  for (const line of lines.slice(0, 2)) {
    assertStringIncludes(line, "NotSupported");
    assertStringIncludes(line, "--unstable-net");
  }
  assertEquals(lines[2], "goes on");
});

test("errors of the system keep their class, code and cause", () => {
  using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  let error: unknown;
  try {
    new TCPServer({ port: taken.addr.port }, EchoHandler);
  } catch (thrown) {
    error = thrown;
  }
  assertInstanceOf(error, Deno.errors.AddrInUse);
  assertInstanceOf(error.cause, Deno.errors.AddrInUse);
});
