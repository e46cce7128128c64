/** What the start of a thread, a process and a replica loads. */

import { assert, assertEquals } from "@std/assert";
import { Process } from "../../workers/threads/process.ts";
import { Thread } from "../../workers/threads/thread.ts";
import { within } from "../support/waiting.ts";

const ROOT = new URL("../../", import.meta.url).href;
const module = new URL("./_start_module.ts", import.meta.url);

/** Modules that the entries load: raise it knowingly, each takes 0.3 ms. */
const MOST_MODULES = {
  "mod.ts": 110,
  "handlers/mod.ts": 20,
  "server/observe/mod.ts": 8,
};

/** What only a program that starts replicas or processes needs, when it does. */
const OF_REPLICAS = [
  "workers/queue/_shares.ts",
  "server/replicas/replica.ts",
  "server/replicas/life.ts",
  "workers/relay/hub.ts",
  "workers/relay/carried_conn.ts",
];
/** What a replica whose modules don't import `mod.ts` needs still less. */
const OF_OTHERS = [
  "workers/locks/lock.ts",
  "workers/pool/_scheduler.ts",
  "workers/runner/child.ts",
  "workers/runner/thread.ts",
  "workers/threads/thread.ts",
];

interface Graph {
  modules: {
    specifier: string;
    dependencies?: {
      isDynamic?: boolean;
      code?: { specifier: string };
    }[];
  }[];
}

/** The modules that the static imports of some modules load. */
async function loadedBy(...roots: string[]): Promise<string[]> {
  const loaded = new Set<string>();
  for (const root of roots) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", ROOT + root],
      stderr: "inherit",
    }).output();
    const graph: Graph = JSON.parse(new TextDecoder().decode(stdout));
    const modules = new Map(graph.modules.map((one) => [one.specifier, one]));
    const pending = [ROOT + root];
    for (let next; (next = pending.pop()) !== undefined;) {
      if (loaded.has(next)) continue;
      loaded.add(next);
      for (const { isDynamic, code } of modules.get(next)!.dependencies ?? []) {
        if (!isDynamic && code !== undefined) pending.push(code.specifier);
      }
    }
  }
  return [...loaded].map((url) => url.replace(ROOT, ""));
}

function assertNone(loaded: string[], unwanted: string[]): void {
  assertEquals(loaded.filter((path) => path.startsWith("node:")), []);
  assertEquals(loaded.filter((path) => unwanted.includes(path)), []);
}

Deno.test("mod.ts loads neither node's modules nor what starts replicas", async () => {
  assertNone(await loadedBy("mod.ts"), OF_REPLICAS);
});

Deno.test("each entry loads few modules", async () => {
  for (const [entry, most] of Object.entries(MOST_MODULES)) {
    const { length } = await loadedBy(entry);
    assert(length <= most, `"${entry}" loads ${length} modules`);
  }
});

Deno.test("a thread's and a process's own modules add little to mod.ts", async () => {
  const known = await loadedBy("mod.ts");
  const loaded = await loadedBy(
    "workers/threads/_main.ts",
    "workers/runner/thread_entry.ts",
    "workers/runner/child_entry.ts",
  );
  assertNone(loaded, OF_REPLICAS);
  assertEquals(loaded.filter((path) => !known.includes(path)).sort(), [
    "workers/queue/_share_link.ts",
    "workers/runner/child_entry.ts",
    "workers/runner/entry.ts",
    "workers/runner/thread_entry.ts",
    "workers/threads/_main.ts",
  ]);
});

Deno.test("a replica loads no locks, no pools and no way to start runners", async () => {
  const loaded = await loadedBy(
    "server/replica_servers.ts",
    "handlers/services.ts",
    "server/replicas/main.ts",
    "workers/runner/thread_entry.ts",
    "workers/runner/child_entry.ts",
  );
  assertNone(loaded, [...OF_REPLICAS, ...OF_OTHERS]);
});

Deno.test("a thread, a process and a pool's worker load no classes that their module does not import", async () => {
  const loaded = await loadedBy(
    "workers/threads/_main.ts",
    "workers/pool/_main.ts",
    "workers/runner/thread_entry.ts",
    "workers/runner/child_entry.ts",
  );
  assertNone(loaded, [...OF_REPLICAS, ...OF_OTHERS]);
});

for (const Class of [Thread, Process]) {
  Deno.test(`${Class.name} looks at no global that loads a part of node`, async () => {
    const activity = new Class<string[]>({ target: "looked", module });
    activity.start();
    assertEquals(await activity.result, []);
    await activity.join();
  });
}

Deno.test("TCPServer and ThreadingTCPServer look at none while they are constructed", async () => {
  const thread = new Thread({ target: "constructServers", module });
  thread.start();
  assertEquals(await thread.result, []);
  await thread.join();
});

Deno.test("a replica of isolate looks at none to serve its request", async () => {
  const thread = new Thread({ target: "askReplica", module });
  thread.start();
  assertEquals(await thread.result, "\n");
  await thread.join();
});

// Each in a thread of its own, because modules are loaded once
for (const ends of ["serverClose", "shutdown"]) {
  for (const turns of [0, 1, 2, 4]) {
    Deno.test(`ThreadingTCPServer.${ends}() works ${turns} turns after the first server began to load its replicas' modules`, async () => {
      const args = [turns, ends];
      const thread = new Thread({ target: "endWhileLoading", module, args });
      thread.start();
      assertEquals(await within("the result", thread.result), 0);
      await thread.join();
    });
  }
}

Deno.test("a server whose replicas can't be loaded rejects, and its requests fail", async () => {
  const map = await Deno.makeTempFile({ suffix: ".json" });
  const imports = { [`${ROOT}server/replicas/replica.ts`]: "./missing.ts" };
  await Deno.writeTextFile(map, JSON.stringify({ imports }));
  const program = new URL("./_missing_program.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `--import-map=${map}`, program],
    stderr: "inherit",
  }).output();
  await Deno.remove(map);
  assertEquals(
    new TextDecoder().decode(stdout).trimEnd().split("\n").toSorted(),
    [
      "answer null",
      "ready not found",
      "request not found",
      "serveForever not found",
    ],
  );
});
