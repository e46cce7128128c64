/** Faults of servers with replicas, each reproduced before it was cured. */

import "./_serves_tests.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type BaseServer,
  ForkingTCPServer,
  ModuleImportError,
  RunnerExitError,
  type ServerStats,
} from "../../mod.ts";
import {
  assertEchoes,
  collectErrors,
  dial,
  freePath,
  kinds,
  messages,
  readToEnd,
  writeAll,
} from "../servers/_support.ts";
import { Program } from "../support/programs.ts";
import { freePort, onceFree } from "../support/sockets.ts";
import {
  Crowded,
  Fixed,
  Greeting,
  Meddling,
  Moody,
  MortalForking,
  MortalThreading,
  UnboundForking,
  UnboundThreading,
} from "./faults_fixture.ts";
import { Greeter, LineEcho } from "./handlers_fixture.ts";
import { Hanging } from "./hanging_fixture.ts";
import {
  allReady,
  type Mode,
  modeOf,
  MODES,
  type ReplicaServer,
  statsWhen,
  TCP_MODES,
  test,
  testEach,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

for (const Server of [UnboundThreading, UnboundForking]) {
  test(`${Server.name}: replicas that can't bind end, and serveForever() with the cause`, async () => {
    const path = freePath();
    await Deno.writeTextFile(path, "");
    await using server = new Server({ port: 0 }, LineEcho as never, {
      context: path,
      workers: 1,
    });
    const error = await assertRejects(
      () => within("serveForever()", server.serveForever()),
      RunnerExitError,
    );
    assertStringIncludes(error.message, "This replica can't bind");
  });

  test(`${Server.name}: reload() rejects when a new replica can't bind, the old ones serve on`, async () => {
    const path = freePath();
    await using server = new Server({ port: 0 }, LineEcho as never, {
      context: path,
      workers: 2,
    });
    server.serveForever();
    // Ready is also who has not bound yet
    await statsWhen(
      server,
      ({ replicas = [] }) =>
        replicas.length === 2 &&
        replicas.every(({ state }) => state === "serving"),
      "both replicas serve",
    );
    await Deno.writeTextFile(path, "");
    const error = await assertRejects(
      () => within("reload()", server.reload()),
      RunnerExitError,
    );
    assertStringIncludes(error.message, "This replica can't bind");
    for (let i = 0; i < 4; i++) await assertEchoes(kinds.tcp, server);
    await Deno.remove(path);
    await within("reload()", server.reload());
    await assertEchoes(kinds.tcp, server);
    const { restarts } = await statsWhen(
      server,
      ({ workers }) => workers === 2,
      "the old ones have ended",
    );
    assertEquals(restarts, 0);
  });
}

test("ForkingTCPServer relays where its children could not listen", async () => {
  const dir = await Deno.makeTempDir();
  const file = `${dir}/main.ts`;
  await Deno.writeTextFile(
    file,
    `import { EchoHandler, ForkingTCPServer } from "${ROOT}mod.ts";
    await using server = new ForkingTCPServer({ port: 0 }, EchoHandler, { workers: 1 });
    const served = server.serveForever();
    await server.ready;
    console.log(server.serverAddress.port);
    console.log((await server.stats()).dispatch);
    try {
      new ForkingTCPServer({ port: 0 }, EchoHandler, { dispatch: "shard" });
    } catch (error) {
      console.log(error.message);
    }
    await Deno.stdin.read(new Uint8Array(1));
    await server.shutdown();
    await served;`,
  );
  await using program = new Program(
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--quiet",
        "--no-check",
        "--unstable-net",
        "--allow-net=127.0.0.1",
        "--allow-read",
        "--allow-write",
        "--allow-run",
        "--allow-env",
        file,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }),
  );
  const port = Number(await within("a port", program.readLine()));
  assertEquals(await program.readLine(), "relay");
  assertStringIncludes((await program.readLine())!, "--allow-net");
  using client = await Deno.connect({ port });
  await writeAll(client, "hello");
  await client.closeWrite();
  assertEquals(await readToEnd(client), "hello");
  await program.child.stdin.close();
  assertEquals((await program.child.status).code, 0);
  await Deno.remove(dir, { recursive: true });
});

function handlerModule(word: string): string {
  return `import { StreamRequestHandler } from "${ROOT}handlers/mod.ts";
  export class Saying extends StreamRequestHandler {
    static readonly module = import.meta.url;
    override async handle(): Promise<void> {
      await this.wfile.write("${word}\\n");
    }
  }`;
}

async function say(server: ReplicaServer): Promise<string> {
  using conn = await dial(server as unknown as BaseServer);
  return await readToEnd(conn);
}

testEach(
  TCP_MODES.filter(({ dispatch }) => dispatch === "isolate"),
  "reload() onto a module that does not load rejects",
  async (mode) => {
    const dir = await Deno.makeTempDir();
    const file = `${dir}/saying.ts`;
    await Deno.writeTextFile(file, handlerModule("one"));
    const { Saying } = await import(`file://${file}`);
    await using server = mode.open(Saying);
    server.serveForever();
    await allReady(server);
    assertEquals(await say(server), "one\n");
    await Deno.writeTextFile(file, "nonsense(;");
    await assertRejects(
      () => within("reload()", server.reload()),
      ModuleImportError,
    );
    await Deno.writeTextFile(file, handlerModule("two"));
    await within("reload()", server.reload());
    await Deno.remove(dir, { recursive: true });
  },
);

testEach(
  TCP_MODES.filter(({ dispatch }) => dispatch !== "isolate"),
  "stops at once while replicas start: shutdown(), signal, close",
  async (mode) => {
    await using server = mode.open(Hanging);
    const served = server.serveForever();
    await server.shutdown();
    await within("serveForever()", served);
    const abort = new AbortController();
    const again = server.serveForever({ signal: abort.signal });
    abort.abort();
    await within("serveForever() again", again);
    await within("serving", server.serveForever({ signal: abort.signal }));
    const last = server.serveForever();
    await within("the close", server.serverClose());
    await within("the last serveForever()", last);
  },
);

const REFUSED: [mode: string, options: Record<string, unknown>, why: string][] =
  [
    ["ThreadingUDPServer by relay", {}, "only a TCP port"],
    ["ForkingUnixStreamServer by relay", {}, "only a TCP port"],
    ["ForkingTCPServer by relay", { maxConnections: 4 }, '"maxConnections"'],
    ["ThreadingTCPServer by relay", { maxConnections: 4 }, '"maxConnections"'],
    ["ThreadingTCPServer by relay", { permissions: "none" }, "permissions"],
  ];

for (const [name, options, why] of REFUSED) {
  test(`${name}: "shard" with ${JSON.stringify(options)} is refused with the reason`, () => {
    assertThrows(
      () => modeOf(name).open(LineEcho, { ...options, dispatch: "shard" }),
      TypeError,
      why,
    );
  });
}

testEach(MODES, 'takes "auto", and tells what it came to', async (mode) => {
  if (mode.dispatch !== "relay") return;
  await using server = mode.open(LineEcho, { dispatch: "auto" });
  const { dispatch } = await server.stats();
  assertEquals(dispatch, mode.transport === "tcp" ? "shard" : "relay");
});

async function ask(mode: Mode, server: ReplicaServer, word: string) {
  using client = await mode.connect(server as unknown as BaseServer);
  await client.send(`${word}\n`);
  return await client.receive().catch(() => null);
}

testEach(
  TCP_MODES,
  "keeps its counts when replicas die and are replaced",
  async (mode) => {
    await using server = mode.open(Moody);
    const told = collectErrors(server);
    server.serveForever();
    await allReady(server);
    let last: ServerStats = await server.stats();
    async function assertRises(): Promise<ServerStats> {
      const stats = await server.stats();
      for (const name of ["accepted", "errors", "restarts"] as const) {
        assert(stats[name]! >= last[name]!, `${name} went down`);
      }
      return last = stats;
    }
    for (let i = 0; i < 3; i++) await ask(mode, server, "fail");
    for (let i = 0; i < 3; i++) {
      assertEquals(await ask(mode, server, "x"), "well");
    }
    await until(async () => (await assertRises()).errors === 3, "three errors");
    await ask(mode, server, "exit");
    await until(async () => (await assertRises()).errors === 4, "the death");
    assertEquals(told.length, 1);
    const reloaded = server.reload();
    let isOver = false;
    reloaded.finally(() => isOver = true);
    await until(async () => (await assertRises(), isOver), "the reload");
    await reloaded;
    const { accepted, errors } = await assertRises();
    assertEquals([accepted, errors], [7, 4]);
  },
);

test("a server's own option, which replicas can't know, is refused with the cure", async () => {
  await using server = new Greeting({ port: 0 }, LineEcho, { word: "hi" });
  const error = await assertRejects(
    () => within("serveForever()", server.serveForever()),
    ModuleImportError,
    'class "Greeting"',
  );
  assertStringIncludes(error.message, 'option "word"');
  assertStringIncludes(error.message, '"context"');
});

test("a server's own argument is refused at construction with the cure", () => {
  assertThrows(
    () => new Crowded({ port: 0 }, LineEcho, {}, "hi"),
    TypeError,
    'put the rest into the option "context"',
  );
});

test("a server that takes something else for an address is refused with what it is given", async () => {
  await using server = new Fixed(0);
  await assertRejects(
    () => within("serveForever()", server.serveForever()),
    ModuleImportError,
    "(address, RequestHandlerClass, options)",
  );
});

for (const Server of [MortalThreading, MortalForking]) {
  for (const dispatch of ["shard", "relay"] as const) {
    test(`${Server.name} by ${dispatch} tells of its replica's death once, and of no request that had ended`, async () => {
      await using server = new Server({ port: 0 }, Greeter, {
        workers: 1,
        dispatch,
      });
      const errors = collectErrors(server);
      const ended = new Promise((resolve) => server.on("replicaExit", resolve));
      server.serveForever();
      await allReady(server);
      using conn = await dial(server);
      assertEquals(await readToEnd(conn), "hello\n");
      // To ask for the counts before would have it tell what ended
      await within("the replica's end", ended);
      await until(
        async () => (await server.stats()).restarts === 1,
        "the replica's end",
      );
      assertEquals(errors.length, 1, messages(errors).join());
      assert(messages(errors)[0]!.startsWith("A replica without a request "));
    });
  }
}

test("ForkingTCPServer opens a port that is free but once", async () => {
  const port = freePort();
  const { listen } = Deno;
  const opened: unknown[] = [];
  try {
    Deno.listen = ((options: Deno.TcpListenOptions) => {
      opened.push(options);
      return listen(options);
    }) as typeof Deno.listen;
    await using server = await onceFree(() => {
      opened.length = 0;
      return new ForkingTCPServer({ port }, LineEcho);
    });
    assertEquals(server.serverAddress.port, port);
    assertEquals(opened.length, 1);
  } finally {
    Deno.listen = listen;
  }
});

testEach(
  TCP_MODES,
  "a handler can neither close nor suspend one replica of a server",
  async (mode) => {
    await using server = mode.open(Meddling, { workers: 1 });
    server.serveForever();
    for (const what of ["serverClose", "suspend", "nothing"]) {
      using client = await mode.connect(server);
      await client.send(`${what}\n`);
      if (what !== "nothing") {
        assertMatch(
          (await client.receive())!,
          /^Cannot .* one of its replicas/,
        );
      }
      await client.send("goes on\n");
      assertEquals((await client.receive())?.trimEnd(), "goes on");
    }
  },
);
