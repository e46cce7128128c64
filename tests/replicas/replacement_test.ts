/** All replicas replaced at once, while they have requests. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ModuleImportError } from "../../mod.ts";
import { type Client, collectErrors } from "../servers/_support.ts";
import { Code } from "./_code.ts";
import { Lasting } from "./handlers_fixture.ts";
import {
  allReady,
  CROSSED_STREAMS,
  type Mode,
  modeOf,
  type ReplicaServer,
  statsWhen,
  test,
  testEach,
} from "./_support.ts";
import { LINUX_ONLY, listDescendants } from "../support/system.ts";
import { until, within } from "../support/waiting.ts";

const MODES = CROSSED_STREAMS.filter(({ dispatch }) => dispatch !== "isolate");

/** Clients with an open request, at least one in each of two replicas. */
async function occupy(mode: Mode, server: ReplicaServer): Promise<Client[]> {
  const clients: Client[] = [];
  const replicas = new Set<string | null>();
  while (replicas.size < 2) {
    const client = await mode.connect(server);
    clients.push(client);
    replicas.add(await within("a greeting", client.receive()));
  }
  return clients;
}

async function greeting(mode: Mode, server: ReplicaServer) {
  using client = await mode.connect(server);
  return await within("a greeting", client.receive());
}

async function numbers(server: ReplicaServer): Promise<number[]> {
  const { replicas = [] } = await server.stats();
  return replicas.map(({ replica }) => replica);
}

/** Counts what the server tells of replaced replicas. */
function countReplaced(server: ReplicaServer): string[] {
  const reasons: string[] = [];
  server.on("replicaReplace", ({ reason }) => void reasons.push(reason));
  return reasons;
}

testEach(
  MODES,
  "reload() settles although each replica has a long request, which finishes, and none of them takes another",
  async (mode) => {
    await using server = mode.open(Lasting, { shutdownTimeout: 60_000 });
    const reasons = countReplaced(server);
    server.serveForever();
    await allReady(server);
    const clients = await occupy(mode, server);
    const old = clients.length;
    await within("reload()", server.reload());
    const { replicas = [] } = await server.stats();
    const states = replicas.map(({ state }) => state).sort().join();
    const serves = mode.dispatch === "shard" ? "serving" : "ready";
    assertEquals(states, `draining,draining,${serves},${serves}`);
    assertEquals(reasons, ["reload", "reload"]);
    for (let i = 0; i < 4; i++) clients.push(await mode.connect(server));
    for (const client of clients.slice(old)) {
      assert(await within("a greeting", client.receive()) !== null);
    }
    const { replicas: all = [] } = await server.stats();
    const open = all.filter(({ state }) => state === "draining")
      .reduce((sum, replica) => sum + replica.open, 0);
    assert(open <= old, `${open} of ${old} are in the old replicas`);
    for (const client of clients) {
      await client.send("go");
      assertEquals(await within("done", client.receive()), "done");
      client[Symbol.dispose]();
    }
    const { restarts, replaced, errors } = await statsWhen(
      server,
      ({ workers }) => workers === 2,
      "the old ones have ended",
    );
    assertEquals([restarts, replaced, errors], [0, 2, 0]);
  },
);

testEach(
  MODES,
  "a third reload() waits until a replica of the first has ended",
  async (mode) => {
    const options = { workers: 1, shutdownTimeout: 60_000 };
    await using server = mode.open(Lasting, options);
    server.serveForever();
    await allReady(server);
    using first = await mode.connect(server);
    await first.receive();
    await within("the first", server.reload());
    using second = await mode.connect(server);
    await second.receive();
    await within("the second", server.reload());
    const numbers = async () =>
      (await server.stats()).replicas!.map(({ replica }) => replica);
    const before = await numbers();
    assertEquals(before.length, 3);
    const third = server.reload();
    assertEquals(await greeting(mode, server), await greeting(mode, server));
    assertEquals(await numbers(), before);
    await first.send("go");
    assertEquals(await first.receive(), "done");
    await within("the third", third);
    await second.send("go");
    assertEquals(await second.receive(), "done");
  },
);

testEach(
  MODES,
  "reload() tells of a request that it cuts after shutdownTimeout",
  async (mode) => {
    const options = { workers: 1, shutdownTimeout: 100 };
    await using server = mode.open(Lasting, options);
    const errors: unknown[] = [];
    server.on("error", ({ error }) => void errors.push(error));
    server.serveForever();
    await allReady(server);
    using client = await mode.connect(server);
    await client.receive();
    await within("reload()", server.reload());
    assertEquals(await client.receive(), null);
    await until(() => errors.length > 0, "the server is told");
    assertEquals(errors.map((error) => (error as Error).name), [
      "ServerClosedError",
    ]);
    assertEquals((await server.stats()).errors, 1);
  },
);

testEach(
  MODES,
  "reload() during reload() is not swallowed: the newest code serves in the end",
  async (mode) => {
    await using code = new Code();
    await code.say("old");
    await using server = mode.open(await code.load());
    server.serveForever();
    await allReady(server);
    // It reads its word, tells so, and waits
    const gate = `${code.dir}/gate`;
    const seen = `${code.dir}/seen`;
    await Deno.writeTextFile(gate, "");
    await code.write(`export const word = "old";
      Deno.writeTextFileSync("${seen}", "");
      for (;;) {
        try { Deno.statSync("${gate}"); } catch { break; }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }`);
    const reloaded = server.reload();
    await until(() => exists(seen), "the successor has loaded the old word");
    await code.say("new");
    const again = Promise.all([server.reload(), server.reload()]);
    await Deno.remove(gate);
    await within("reload()", reloaded);
    await within("reload()", again);
    for (let i = 0; i < 4; i++) {
      assertEquals(await greeting(mode, server), "new");
    }
    // Two calls at once share a round
    assertEquals((await server.stats()).replaced, 4);
  },
);

testEach(
  MODES,
  "reload() that fails at the last replica leaves all the old ones",
  async (mode) => {
    await using code = new Code();
    await code.say("old");
    await using server = mode.open(await code.load());
    const reasons = countReplaced(server);
    server.serveForever();
    await allReady(server);
    const before = await numbers(server);
    const loads = `${code.dir}/loads`;
    await code.write(`export const word = "new";
      try {
        Deno.writeTextFileSync("${loads}", "", { createNew: true });
      } catch {
        throw new Error("the second is too many");
      }`);
    const error = await assertRejects(
      () => within("reload()", server.reload()),
      ModuleImportError,
    );
    assert(error.message.includes("the second is too many"), error.message);
    assert(await exists(loads), "the first successor has loaded its modules");
    await until(
      async () => (await numbers(server)).length === 2,
      "two are left",
    );
    assertEquals(await numbers(server), before);
    for (let i = 0; i < 6; i++) {
      assertEquals(await greeting(mode, server), "old");
    }
    assertEquals(reasons, []);
    assertEquals((await server.stats()).replaced, 0);
  },
);

const working: Record<string, string> = { shard: "serving", relay: "ready" };

for (const name of ["ForkingTCPServer by shard", "ForkingTCPServer by relay"]) {
  test(
    `${name} serves on while a killed replica has no successor, tells it, and recovers`,
    async () => {
      const mode = modeOf(name);
      await using code = new Code();
      await code.say("old");
      await using server = mode.open(await code.load());
      const errors = collectErrors(server);
      server.serveForever();
      await allReady(server);
      await statsWhen(
        server,
        ({ replicas }) =>
          replicas!.every(({ state }) => state === working[mode.dispatch]),
        "all work: one that dies before that was no loss",
      );
      const before = new Set(await numbers(server));
      await code.write("throw new Error('broken')");
      Deno.kill(listDescendants()[0]!.pid, "SIGKILL");
      await until(
        () => errors.some((error) => error instanceof ModuleImportError),
        "the failure is told",
      );
      assertEquals(await greeting(mode, server), "old");
      await code.say("new");
      await allReady(server);
      const after = await numbers(server);
      assertEquals(after.filter((number) => before.has(number)).length, 1);
      assertEquals((await server.stats()).restarts, 1);
    },
    LINUX_ONLY,
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
