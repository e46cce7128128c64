/** What the package exports. */

import { assert, assertEquals } from "@std/assert";
import * as cli from "../../server/cli.ts";
import * as mod from "../../mod.ts";
import * as testing from "../../server/testing.ts";

const ERRORS = [
  "BrokenBarrierError",
  "ModuleImportError",
  "IncompleteReadError",
  "LineTooLongError",
  "PoolClosedError",
  "PoolFullError",
  "QueueClosedError",
  "QueueEmptyError",
  "QueueFullError",
  "RemoteError",
  "RequestTimeoutError",
  "RunnerExitError",
  "ServerClosedError",
  "SocketServerError",
];
const CLASSES = [
  "Barrier",
  "BaseRequestHandler",
  "BaseServer",
  "BoundedSemaphore",
  "BufferedReader",
  "BufferedWriter",
  "ChargenHandler",
  "CommandRequestHandler",
  "Condition",
  "DatagramRequestHandler",
  "DaytimeHandler",
  "DiscardHandler",
  "EchoHandler",
  "ForkingTCPServer",
  "ForkingUDPServer",
  "ForkingUnixDatagramServer",
  "ForkingUnixStreamServer",
  "LifoQueue",
  "ListenerAcceptor",
  "Lock",
  "PipeConnection",
  "PoolMap",
  "PriorityQueue",
  "Process",
  "ProcessPool",
  "RLock",
  "RequestHandler",
  "Semaphore",
  "SharedQueue",
  "StreamRequestHandler",
  "SumHandler",
  "TCPServer",
  "Thread",
  "ThreadEvent",
  "ThreadPool",
  "ThreadingTCPServer",
  "ThreadingUDPServer",
  "ThreadingUnixDatagramServer",
  "ThreadingUnixStreamServer",
  "Timer",
  "UDPServer",
  "UnixDatagramServer",
  "UnixStreamServer",
];
const FUNCTIONS = [
  "ForkingMixIn",
  "Pipe",
  "ThreadingMixIn",
  "activeChildren",
  "activeCount",
  "currentProcess",
  "currentThread",
  "enumerate",
  "formatAddress",
  "logEvents",
  "mainThread",
  "setExceptHook",
  "toPrometheus",
  "traceRequests",
];

function isClass(value: unknown): boolean {
  return typeof value === "function" &&
    Function.prototype.toString.call(value).startsWith("class");
}

Deno.test("mod.ts exports the documented classes and functions, nothing else", () => {
  assertEquals(
    Object.keys(mod).sort(),
    [...ERRORS, ...CLASSES, ...FUNCTIONS].sort(),
  );
  for (const [name, value] of Object.entries(mod)) {
    assertEquals(isClass(value), !FUNCTIONS.includes(name), name);
  }
});

Deno.test("SocketServerError is the base of all errors that mod.ts exports", () => {
  const exports: Record<string, unknown> = mod;
  for (const name of ERRORS.filter((name) => name !== "SocketServerError")) {
    const ErrorClass = exports[name] as typeof mod.SocketServerError;
    assert(ErrorClass.prototype instanceof mod.SocketServerError, name);
  }
  assert(mod.SocketServerError.prototype instanceof Error);
});

Deno.test("server/testing.ts exports connect(), sendPacket() and TestClock", () => {
  assertEquals(Object.keys(testing).sort(), [
    "TestClock",
    "connect",
    "sendPacket",
  ]);
});

for (const entry of ["handlers", "workers", "server/observe"]) {
  Deno.test(`mod.ts exports all of ${entry}/mod.ts`, async () => {
    const part = await import(`../../${entry}/mod.ts`);
    assert(Object.keys(part).length > 0);
    for (const [name, value] of Object.entries(part)) {
      assert((mod as Record<string, unknown>)[name] === value, name);
    }
  });
}

Deno.test("handlers/mod.ts and workers/mod.ts load no server", async () => {
  for (const entry of ["handlers", "workers"]) {
    const url = new URL(`../../${entry}/mod.ts`, import.meta.url);
    // Paths from the entry's folder: others are URLs
    const server = new URL("../../server/", import.meta.url).href;
    const loaded = await loadedWith(url);
    assertEquals(loaded.filter((path) => path.startsWith(server)), []);
  }
});

Deno.test("server/cli.ts exports main()", () => {
  assertEquals(Object.keys(cli), ["main"]);
});

interface Graph {
  roots: string[];
  modules: {
    specifier: string;
    dependencies?: { isDynamic?: boolean; code?: { specifier: string } }[];
  }[];
}

/** What the import of a module loads, by paths from the project's root. */
async function loadedWith(url: URL): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", url.href],
  }).output();
  const { roots, modules }: Graph = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const byName = new Map(modules.map((module) => [module.specifier, module]));
  const loaded = new Set(roots);
  for (const specifier of loaded) {
    for (
      const { isDynamic, code } of byName.get(specifier)!.dependencies ?? []
    ) {
      if (!isDynamic && code !== undefined) loaded.add(code.specifier);
    }
  }
  const root = new URL(".", url).href;
  return [...loaded].map((specifier) => specifier.replace(root, ""));
}

Deno.test("mod.ts loads nothing of replicas, the relay and PROXY headers before a server needs it", async () => {
  const loaded = await loadedWith(new URL("../../mod.ts", import.meta.url));
  const needless =
    /replicas\/(?!plan|port_sharing|replica_class)|relay\/|prox(y|ied)_/;
  assertEquals(loaded.filter((path) => needless.test(path)), []);
  assert(loaded.includes("server/tcp_server.ts"));
});
