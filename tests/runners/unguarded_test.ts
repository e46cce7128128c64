/** Programs whose author forgot `if (import.meta.main)`. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { findCore } from "../../workers/runner/context.ts";
import { program, readUntil, runProject } from "./_program.ts";
import "../support/leaks.ts";
import { isRunning, LINUX_ONLY, listDescendants } from "../support/system.ts";
import { until } from "../support/waiting.ts";

const REFUSED_REGEXP =
  /Cannot start (\w+) ".*?" while its module ".*?" is being imported in a (thread|process): put the code that starts things under `if \(import\.meta\.main\)`/;

/** Counts the times that a module is loaded, in all threads and processes. */
const HEAD = `
Deno.writeTextFileSync("loads", "x", { append: true });
export function work() { return 1; }
const module = import.meta.url;
`;
const IMPORTS = {
  Thread: 'import { Thread } from "PACKAGE/workers/threads/thread.ts";',
  Process: 'import { Process } from "PACKAGE/workers/threads/process.ts";',
  ThreadPool: 'import { ThreadPool } from "PACKAGE/workers/pool/pool.ts";',
  ProcessPool: 'import { ProcessPool } from "PACKAGE/workers/pool/pool.ts";',
};

/** Lasts longer than a `main()` waits. */
const LONG = "return new Promise((resolve) => setTimeout(resolve, 500))";

type Kind = keyof typeof IMPORTS;

/** The code that starts `work`. */
function start(kind: Kind): string {
  return kind.endsWith("Pool")
    ? `const pool = new ${kind}({ module, workers: 2 });
console.log(await pool.submit(work));
await pool.shutdown();`
    : `const activity = new ${kind}({ target: work, module });
activity.start();
console.log(await activity.result);`;
}

interface Run {
  code: number;
  /** How often a module was loaded. */
  loads: number;
  stdout: string;
  stderr: string;
}

/** Runs a program in a folder of its own, which counts the loads. */
async function runUnguarded(files: Record<string, string>): Promise<Run> {
  const { code, stdout, stderr } = await runProject({
    ...files,
    "main.ts": `Deno.chdir(import.meta.dirname!);
Deno.writeTextFileSync("loads", "");
function fail(error) {
  console.error(error.message);
  Deno.exitCode = 1;
}
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
});
addEventListener("unload", () => {
  console.log("loads", Deno.readTextFileSync("loads").length);
});
await import("./unguarded.ts").catch(fail);
`,
  }, "-A");
  const loads = Number(/loads (\d+)/.exec(stdout)![1]);
  return { code, loads, stdout, stderr };
}

for (const kind of Object.keys(IMPORTS) as Kind[]) {
  Deno.test(`a program that starts a ${kind} without the guard is refused in it, and names the guard`, async () => {
    const { code, loads, stderr } = await runUnguarded({
      "unguarded.ts": IMPORTS[kind] + HEAD + start(kind),
    });
    assertEquals(code, 1, stderr);
    assertMatch(stderr, REFUSED_REGEXP);
    assert(loads <= 3, `${loads} loads`);
  });
}

Deno.test("a main() without the guard that waits first is refused, whenever it goes on", async () => {
  assert(
    findCore() !== undefined,
    "this Deno can't tell what follows an import",
  );
  for (const kind of ["Thread", "ProcessPool"] as const) {
    const { loads, stderr } = await runUnguarded({
      "unguarded.ts": IMPORTS[kind] + HEAD.replace("return 1", LONG) + `
async function main() {
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Deno.readTextFile("loads");
  ${start(kind)}
}
main();
`,
    });
    assertMatch(stderr, REFUSED_REGEXP, kind);
    assert(loads <= 3, `${loads} loads`);
  }
});

Deno.test("a server with replicas without the guard is refused in them, even if that is caught", async () => {
  for (const Class of ["ThreadingTCPServer", "ForkingTCPServer"]) {
    const { loads, stdout } = await runUnguarded({
      "unguarded.ts": `
import { EchoHandler, ${Class} } from "PACKAGE/mod.ts";
${HEAD}
export class Own extends EchoHandler {}
let server;
try {
  server = new ${Class}({ port: 0 }, Own, { module, workers: 2 });
} catch {
  await new Promise(() => {}); // the import never ends
}
const error = await server.serveForever().catch((error) => error);
console.log(error.name, error.message);
await server.serverClose();
`,
    });
    assertMatch(stdout, /^ModuleImportError /);
    assertMatch(stdout, REFUSED_REGEXP);
    assert(loads <= 5, `${loads} loads`);
  }
});

Deno.test("an address that is in use since its module is imported again names the guard", async () => {
  const { stdout } = await runUnguarded({
    "unguarded.ts": IMPORTS.Thread + HEAD + `
import { EchoHandler, TCPServer } from "PACKAGE/mod.ts";
const port = Number(Deno.env.get("PORT") ?? 0);
const server = new TCPServer({ port }, EchoHandler);
Deno.env.set("PORT", String(server.serverAddress.port));
const thread = new Thread({ target: work, module });
thread.start();
console.log((await thread.result.catch((error) => error)).message);
await server.serverClose();
`,
  });
  assertMatch(stdout, /Cannot listen on .*put the code .* `if \(import/);
});

Deno.test("a module starts what it likes from others while it is imported, but not in a ring", async () => {
  const pool = (name: string) => `
${IMPORTS.ThreadPool}
const pool = new ThreadPool({
  module: new URL("./${name}.ts", import.meta.url),
  workers: 1,
});
`;
  const alone = await runUnguarded({
    "unguarded.ts": `
${pool("a")}
console.log(await pool.submit("ask"));
await pool.shutdown();
`,
    "a.ts": `${HEAD}${pool("b")}
const idle = new ThreadPool({ module }); // starts nothing
const answer = await pool.submit("work");
await pool.shutdown();
await idle.shutdown();
export function ask() { return answer; }
`,
    "b.ts": HEAD,
  });
  assertEquals([alone.code, alone.stderr], [0, ""]);
  assertEquals(alone.stdout, "1\nloads 2\n");
  const ring = await runUnguarded({
    "unguarded.ts": `${pool("a")}await pool.submit("work");`,
    "a.ts": `${HEAD}${pool("b")}await pool.submit("work");`,
    "b.ts": `${HEAD}${pool("a")}await pool.submit("work");`,
  });
  assertEquals([ring.code, ring.loads], [1, 2]);
  assertMatch(ring.stderr, REFUSED_REGEXP);
});

Deno.test("what a task starts from its own module is no mistake", async () => {
  const { stdout, stderr } = await runUnguarded({
    "unguarded.ts": `
${IMPORTS.Process}
const outer = new Process({
  target: "outer",
  module: new URL("./a.ts", import.meta.url),
});
outer.start();
console.log(await outer.result);
`,
    "a.ts": `${IMPORTS.Process}${HEAD}
export async function outer() {
  const inner = new Process({ target: work, module });
  inner.start();
  return await inner.result + 1;
}
`,
  });
  assertEquals([stdout, stderr], ["2\nloads 2\n", ""]);
});

Deno.test(
  "nothing that a program without the guard started outlives its SIGTERM",
  LINUX_ONLY,
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/main.ts`;
    const url = new URL("../../workers/threads/process.ts", import.meta.url);
    const gate = `${folder}/gate`;
    await Deno.writeTextFile(gate, "");
    // Its work never ends, and neither does its import. It is refused, and the
    // child ends: not before the test has seen it
    await Deno.writeTextFile(
      path,
      `import { Process } from "${url}";
export function work() { while (true); }
try {
  while (!import.meta.main) Deno.statSync("${gate}");
} catch { /* let go */ }
const child = new Process({ target: work, module: import.meta.url });
try {
  child.start();
} catch { /* and goes on */ }
console.log("started");
await new Promise(() => setTimeout(() => {}, 1e6));
`,
    );
    const parent = program(path, ["-A"]).spawn();
    await readUntil(parent.stdout, /started/);
    await until(() => listDescendants(parent.pid).length > 1, "the child");
    const family = listDescendants(parent.pid);
    await Deno.remove(gate);
    parent.kill("SIGTERM");
    await parent.status;
    await until(
      () => family.every(({ pid }) => !isRunning(pid)),
      "the children end",
    );
    await parent.stdout.cancel();
    await parent.stderr.cancel();
    await Deno.remove(folder, { recursive: true });
  },
);
