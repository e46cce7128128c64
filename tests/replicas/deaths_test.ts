/** Replicas that die: who learns of it, and what goes on. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ModuleImportError,
  RequestHandler,
  RunnerExitError,
} from "../../mod.ts";
import { type Client, collectErrors, exchange } from "../servers/_support.ts";
import { Code } from "./_code.ts";
import { Deadly, Fatal, LineEcho } from "./handlers_fixture.ts";
import {
  CROSSED_STREAMS,
  LASTING_MODES,
  type Mode,
  modeOf,
  type ReplicaServer,
  statsWhen,
  test,
  testEach,
} from "./_support.ts";
import { until, within } from "../support/waiting.ts";

const WAYS: Record<Mode["runner"], string[]> = {
  thread: ["exit", "close", "throw"],
  process: ["exit", "throw", "kill"],
};

async function assertServes(
  mode: Mode,
  server: ReplicaServer,
): Promise<void> {
  using client = await mode.connect(server);
  await within("a greeting", client.receive());
  assertEquals(await exchange(client, "echo"), "alive");
  // Asking for the counts has a replica tell which requests have ended
  await statsWhen(server, ({ open }) => open === 0, "a request is open");
}

testEach(
  CROSSED_STREAMS,
  "gives the requests of a replica that died to handleError() and goes on",
  async (mode) => {
    await using server = mode.open(Deadly);
    const errors = collectErrors(server);
    server.serveForever();
    for (const [i, how] of WAYS[mode.runner].entries()) {
      using client = await mode.connect(server);
      await client.receive();
      await client.send(`${how}\n`);
      const end = await within("the end", client.receive())
        .catch((error) => {
          if (error instanceof Deno.errors.ConnectionReset) return null;
          throw error;
        });
      assertEquals(end, null);
      await until(() => errors.length > i, `an error of ${how}`);
      assert(errors[i] instanceof RunnerExitError, String(errors[i]));
      await assertServes(mode, server);
    }
    assertEquals(errors.length, 3, String(errors));
    if (mode.dispatch !== "isolate") {
      const { restarts } = await server.stats();
      assertEquals(restarts, 3);
    }
  },
);

for (const name of ["ForkingTCPServer by shard", "ForkingTCPServer by relay"]) {
  test(`${name} tells of every request in a process that was killed, and of no other`, async () => {
    const mode = modeOf(name);
    await using server = mode.open(Deadly);
    const errors = collectErrors(server);
    server.serveForever();
    const clients = new Map<string, Client[]>();
    for (let i = 0; i < 12; i++) {
      const client = await mode.connect(server);
      const pid = (await client.receive())!;
      clients.set(pid, [...clients.get(pid) ?? [], client]);
    }
    const [first, ...others] = clients.entries();
    const [pid, lost] = first!;
    Deno.kill(Number(pid), "SIGKILL");
    for (const client of lost) {
      assertEquals(await client.receive().catch(() => null), null);
    }
    await until(() => errors.length >= lost.length, "the errors");
    assertEquals(errors.length, lost.length);
    for (const client of others.flatMap(([, alive]) => alive)) {
      assertEquals(await exchange(client, "echo"), "alive");
    }
    for (const client of [...clients.values()].flat()) client[Symbol.dispose]();
  });
}

test("ThreadingTCPServer by relay gives a request that ends its thread at once to no other", async () => {
  const mode = modeOf("ThreadingTCPServer by relay");
  const context = new Int32Array(new SharedArrayBuffer(4));
  await using server = mode.openOne(Fatal, { context });
  const errors = collectErrors(server);
  server.serveForever();
  using client = await mode.connect(server);
  assertEquals(await client.receive().catch(() => null), null);
  await until(() => errors.length > 0, "the error");
  assert(errors[0] instanceof RunnerExitError, String(errors[0]));
  assertEquals(errors.length, 1);
  assertEquals(context[0], 1);
});

testEach(
  LASTING_MODES,
  "relays or shares among replicas that are ready before it serves",
  async (mode) => {
    await using server = mode.open(LineEcho, { workers: 3 });
    server.serveForever();
    await server.ready;
    assertEquals((await server.stats()).workers, 3);
    await statsWhen(server, ({ workers }) => workers === 3, "workers");
  },
);

class NotExported extends RequestHandler {
  static readonly module = import.meta.url;
  override handle(): void {}
}

testEach(
  CROSSED_STREAMS,
  "refuses a handler that its module does not export, with the cure",
  async (mode) => {
    await using server = mode.openOne(NotExported);
    const error = await assertRejects(
      () => within("serveForever()", server.serveForever()),
      ModuleImportError,
      'write "export class NotExported"',
    );
    assertEquals(error.module, import.meta.url);
    await assertRejects(() => server.ready, ModuleImportError);
  },
);

testEach(
  [modeOf("ThreadingTCPServer by shard"), modeOf("ForkingTCPServer by relay")],
  "gives up on replicas that die before they are ready, with the cause",
  async (mode) => {
    Object.assign(globalThis, { servesTests: true });
    const { Exiting } = await import("./exiting_fixture.ts");
    await using server = mode.open(Exiting, { workers: 1 });
    const begin = performance.now();
    const error = await assertRejects(
      () => within("serveForever()", server.serveForever()),
      RunnerExitError,
      "before it was ready",
    );
    assertEquals(error.exit.code, 7);
    // 100, 200, 400, 800 ms between five attempts
    assert(performance.now() - begin > 1_400, "It did not back off");
  },
);

test("serveForever() gives up on a module that does not load, at once", async () => {
  const mode = modeOf("ThreadingTCPServer by shard");
  class Lost extends RequestHandler {
    static readonly module = new URL("./no_such_file.ts", import.meta.url).href;
    override handle(): void {}
  }
  await using server = mode.open(Lost);
  await assertRejects(
    () => within("serveForever()", server.serveForever()),
    ModuleImportError,
    "no_such_file.ts",
  );
});

function messages(errors: Error[]): string {
  return errors.map(({ message }) => message).join();
}

async function greet(mode: Mode, server: ReplicaServer): Promise<string> {
  using client = await mode.connect(server);
  return (await within("a greeting", client.receive()))!;
}

testEach(
  LASTING_MODES,
  "serves as soon as one replica is usable, while another hangs in its import",
  async (mode) => {
    await using code = new Code();
    await code.say("first");
    const Handler = await code.load();
    await code.write(`export const word = "first";
      try {
        Deno.mkdirSync("${code.dir}/loaded");
      } catch {
        await new Promise(() => {});
      }`);
    await using server = mode.open(Handler, { shutdownTimeout: 100 });
    server.serveForever();
    await within("ready", server.ready);
    for (let i = 0; i < 4; i++) {
      assertEquals(await greet(mode, server), "first");
    }
  },
);

testEach(
  LASTING_MODES,
  "reports the error that ends a replica without a request, once",
  async (mode) => {
    await using code = new Code();
    await code.say("well");
    const Handler = await code.load();
    await code.write(`export const word = "doomed";
      import { existsSync } from "node:fs";
      setInterval(() => {
        if (existsSync("${code.dir}/down")) throw new Error("lost the database");
      }, 10);`);
    await using server = mode.open(Handler, { workers: 1 });
    const errors = collectErrors(server) as Error[];
    server.serveForever();
    await server.ready;
    await Deno.writeTextFile(`${code.dir}/down`, "");
    await until(() => errors.length > 0, "the error is reported");
    await code.say("well");
    await until(
      async () => await greet(mode, server).catch(() => null) === "well",
      "a replica that lives",
    );
    const { restarts } = await server.stats();
    const idle = errors.filter(({ message }) =>
      message.startsWith("A replica")
    );
    assert(idle.length > 0 && errors.length === restarts, messages(errors));
    for (const error of errors) {
      assertInstanceOf(error, RunnerExitError);
      assertStringIncludes(error.message, "lost the database");
    }
  },
);

testEach(
  LASTING_MODES,
  "serves repaired code after serveForever() was rejected by broken code",
  async (mode) => {
    await using code = new Code();
    await code.say("old");
    const Handler = await code.load();
    await code.write("throw new Error('broken')");
    await using server = mode.open(Handler);
    await assertRejects(
      () => within("serveForever()", server.serveForever()),
      ModuleImportError,
    );
    await code.say("repaired");
    const served = server.serveForever();
    assertEquals(
      await Promise.race([greet(mode, server), served]),
      "repaired",
    );
  },
);
