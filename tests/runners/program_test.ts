import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  program,
  type ProgramResult,
  readUntil,
  runProgram,
  runProject,
} from "./_program.ts";
import "../support/leaks.ts";
import { isRunning, LINUX_ONLY, listDescendants } from "../support/system.ts";
import { until } from "../support/waiting.ts";

const RUN_DENO = `--allow-run=${Deno.execPath()}`;

function play(scene: string, ...flags: string[]): Promise<ProgramResult> {
  return runProgram("play.ts", ["-A", ...flags], [scene]);
}

Deno.test("the tutorial: a thread by subclass", async () => {
  const { code, stdout, stderr } = await play("subclass");
  assertEquals([code, stdout, stderr], [0, "Hello, world\n", ""]);
});

Deno.test("the tutorial: a process crashes, its parent and sibling run on", async () => {
  const { code, stdout, stderr } = await play("crash");
  assertEquals(code, 0);
  assertEquals(
    stdout.trimEnd().split("\n").sort(),
    ["crashed 1", "sib", "sibling 0"],
  );
  assertMatch(stderr, /^Exception in process crasher:\nError: crashed on pur/);
  assertEquals(stderr.match(/crashed on purpose/g)?.length, 1);
});

Deno.test("threads and processes are waited for at the program's end", async () => {
  const { code, stdout, stderr } = await play("waited");
  assertEquals([code, stderr], [0, ""]);
  const [first, ...rest] = stdout.trimEnd().split("\n");
  assertEquals([first, ...rest.sort()], ["main ends", "process", "thread"]);
});

Deno.test("daemons are not waited for at the program's end, and end with it", async () => {
  const { code, stdout, stderr } = await play("daemons");
  assertEquals([code, stderr], [0, ""]);
  const [, pid] = /^main ends (\d+)$/m.exec(stdout)!;
  await until(() => !isRunning(Number(pid)), "the daemon process ends");
});

/** The process that kills the children of a program that was killed. */
function findGuard(program: number): number | undefined {
  return listDescendants(program).find(({ parent, command }) =>
    parent === program && command.includes("trap")
  )?.pid;
}

/** Kills a program whose children loop; before that, its guard if asked to. */
async function killParent(
  flags: string[],
  loops: number,
  env: Record<string, string> = {},
  killsGuard = false,
): Promise<void> {
  const parent = program("play.ts", flags, ["children"], env).spawn();
  let stdout = "";
  const reader = parent.stdout.getReader();
  const decoder = new TextDecoder();
  while ((stdout.match(/looping/g) ?? []).length < loops) {
    const { value, done } = await reader.read();
    assert(!done, stdout);
    stdout += decoder.decode(value);
  }
  if (killsGuard) {
    const old = findGuard(parent.pid)!;
    Deno.kill(old, "SIGKILL");
    await until(
      () => ![undefined, old].includes(findGuard(parent.pid)),
      "another guard",
    );
    // What it is told later would be lost with its parent
    const [, pids] = /^children (.*)$/m.exec(stdout)!;
    const guard = findGuard(parent.pid);
    const { command } = listDescendants(parent.pid)
      .find(({ pid }) => pid === guard)!;
    assertStringIncludes(command, pids!);
  }
  const family = listDescendants(parent.pid);
  const denos = family.filter(({ command }) => command.includes("data:"));
  assert(denos.length > loops);
  parent.kill("SIGKILL");
  await parent.status;
  await until(
    () => family.every(({ pid }) => !isRunning(pid)),
    "all children end",
  );
  await reader.cancel();
  await parent.stderr.cancel();
}

Deno.test(
  "SIGKILL of the parent leaves no child, loops and grandchildren included",
  LINUX_ONLY,
  () => killParent(["-A"], 3),
);

Deno.test(
  "SIGKILL of the parent leaves no child where it may run nothing but Deno",
  LINUX_ONLY,
  () => killParent([RUN_DENO, "--allow-net"], 1),
);

Deno.test(
  "SIGKILL of the parent leaves no child where there is no shell",
  LINUX_ONLY,
  () => killParent(["-A"], 3, { PATH: "/nonexistent" }),
);

Deno.test(
  "SIGKILL of the parent leaves no child although its guard was killed before",
  LINUX_ONLY,
  () => killParent(["-A"], 3, {}, true),
);

Deno.test("a process starts where no temporary file can be made, or permitted", async () => {
  const folder = await Deno.makeTempDir();
  const long = `${folder}/${"x".repeat(110)}`;
  const comma = `${folder}/a,b`;
  await Promise.all([Deno.mkdir(long), Deno.mkdir(comma)]);
  for (const TMPDIR of ["/nonexistent", long, comma]) {
    const { stdout, stderr } = await program(
      "play.ts",
      ["-A"],
      ["permissions"],
      { TMPDIR },
    ).output();
    assertMatch(new TextDecoder().decode(stdout), /^has /, TMPDIR);
    assertEquals(new TextDecoder().decode(stderr), "", TMPDIR);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a process starts although the working folder was removed, and the program is warned once", async () => {
  const { code, stdout, stderr } = await runProject({
    "main.ts": `
import { Process } from "PACKAGE/workers/threads/process.ts";
const module = "data:text/javascript,export const where = () => Deno.cwd();";
const folder = Deno.makeTempDirSync();
Deno.chdir(folder);
Deno.removeSync(folder);
for (let i = 0; i < 2; i++) {
  const process = new Process({ target: "where", module });
  process.start();
  console.log(await process.result);
}
`,
  }, "-A");
  assertEquals([code, stdout], [0, "/\n/\n"]);
  assertMatch(stderr, /^Warning: the working folder was removed; .*\n$/);
});

Deno.test("a parent that ends while a child starts leaves neither child nor socket", async () => {
  for (const how of ["exit", "kill"]) {
    for (const run of ["--allow-run", RUN_DENO]) {
      const folder = await Deno.makeTempDir();
      const { stdout, stderr } = await program(
        "play.ts",
        [run, "--allow-read", "--allow-write", "--allow-net"],
        ["leave", how],
        { TMPDIR: folder },
      ).output();
      const text = new TextDecoder();
      assertEquals(text.decode(stdout), "started\n", text.decode(stderr));
      await until(
        () => [...Deno.readDirSync(folder)].length === 0,
        "the socket is removed",
      );
      await Deno.remove(folder);
    }
  }
});

for (const [signal, what] of [["INT", "an interrupt"], ["HUP", "a hang-up"]]) {
  Deno.test(`${what} from the terminal is left to the parent`, async () => {
    const parent = new Deno.Command("setsid", {
      args: [
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        new URL("./programs/play.ts", import.meta.url).pathname,
        "signal",
        `SIG${signal}`,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    await readUntil(parent.stdout, /ready/);
    const { code } = await new Deno.Command("kill", {
      args: [`-${signal}`, "--", `-${parent.pid}`],
    }).output();
    assertEquals(code, 0);
    assertEquals(
      (await readUntil(parent.stdout, /child \w+/))[0],
      "child lives",
    );
    assertEquals((await parent.status).code, 0);
    await parent.stdout.cancel();
  });
}

Deno.test("a thread in an endless loop is given up, and the program goes on", async () => {
  const { code, stdout } = await play("stuck");
  assertEquals(code, 0);
  assertMatch(stdout, /^false .*endless loop.*\nHello, after\n$/m);
});

Deno.test("a process that runs out of memory harms nobody", async () => {
  const { code, stdout } = await play(
    "memory",
    "--v8-flags=--max-old-space-size=60",
  );
  assertEquals([code, stdout], [0, "true RunnerExitError exit\n"]);
});

Deno.test("a process inherits what the parent has in full, and never gets more", async () => {
  const { code, stdout, stderr } = await runProgram(
    "play.ts",
    ["--allow-run", "--allow-net", "--allow-read=/nowhere", "--allow-env=HOME"],
    ["permissions"],
  );
  assertEquals([code, stderr], [0, ""]);
  assertMatch(
    stdout,
    /^has run net\nNotCapable: Cannot give a process the permission "read"/,
  );
});

Deno.test("a thread needs read access to its module, and says so once", async () => {
  const { code, stdout, stderr } = await runProgram(
    "play.ts",
    ["--allow-read=/nowhere"],
    ["subclass"],
  );
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /NotCapable: Cannot start thread .*needs --allow-read/);
  assertEquals(stderr.match(/allow-read/g)?.length, 1);
});

Deno.test("a process connects over loopback where it may not use Unix sockets", async () => {
  const { stdout } = await runProgram(
    "play.ts",
    ["--allow-run", "--allow-net=127.0.0.1:0", "--allow-sys"],
    ["permissions"],
  );
  assertMatch(stdout, /^has run sys\n/);
});

const BARE_MAIN = `
import { Process } from "PACKAGE/workers/threads/process.ts";
import { Thread } from "PACKAGE/workers/threads/thread.ts";
export function add(a: number, b: number): number {
  return a + b;
}
if (import.meta.main) {
  for (const Class of [Thread, Process]) {
    const sum = new Class<number>({ target: add, args: [1, 2], module: import.meta.url });
    sum.start();
    console.log(await sum.result);
    await sum.join();
  }
  const none = new Thread({ target: add, args: [1, 2], module: import.meta.url, permissions: "none" });
  try {
    none.start();
    console.log(await none.result);
  } catch (error) {
    console.log(error.name, error.message);
  }
}
`;

Deno.test("a program without deno.json and unstable flags has threads and processes", async () => {
  const { code, stdout, stderr } = await runProject(
    { "main.ts": BARE_MAIN },
    "-A",
  );
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^3\n3\nNotSupported .*--unstable-worker-options/);
});

Deno.test("a thread's permissions need the flag, wherever it was given", async () => {
  const ways: [Record<string, string>, string[]][] = [
    [{}, ["-A", "--unstable-worker-options"]],
    [{ "deno.json": '{ "unstable": ["worker-options"] }' }, ["-A"]],
    [{ "deno.jsonc": '{ /* yes */ "unstable": ["worker-options"], }' }, ["-A"]],
    [
      { "deno.json": '{ "unstable": ["worker-options"] }' },
      ["--allow-read", "--allow-run", "--allow-net"],
    ],
  ];
  for (const [files, flags] of ways) {
    const { stdout } = await runProject(
      { "main.ts": BARE_MAIN, ...files },
      ...flags,
    );
    assertEquals(stdout, "3\n3\n3\n");
  }
});

Deno.test("a process resolves the project's own bare imports and has its unstable features", async () => {
  const { code, stdout, stderr } = await runProject({
    "deno.json": JSON.stringify({
      imports: { greeting: "./lib/greeting.ts" },
      unstable: ["net"],
    }),
    "lib/greeting.ts": 'export const greeting = "hello from the project";',
    "src/work.ts": `
import { greeting } from "greeting";
export function greet(): string {
  return greeting + ", " + typeof Deno.listenDatagram;
}
`,
    "main.ts": `
import { Process } from "PACKAGE/workers/threads/process.ts";
import { Thread } from "PACKAGE/workers/threads/thread.ts";
const module = new URL("./src/work.ts", import.meta.url);
for (const Class of [Thread, Process]) {
  const greeter = new Class({ target: "greet", module });
  greeter.start();
  console.log(await greeter.result);
}
`,
  }, "-A");
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, "hello from the project, function\n".repeat(2));
});

Deno.test("a process gets the import map and the features that flags gave the parent", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/map.json`,
      JSON.stringify({
        imports: { word: "data:text/javascript,export const word='mapped'" },
      }),
    );
    const { stdout, stderr } = await runProject(
      {
        "work.ts": `
import { word } from "word";
export function tell(): string {
  return word + " " + typeof Deno.listenDatagram;
}
`,
        "main.ts": `
import { Process } from "PACKAGE/workers/threads/process.ts";
const process = new Process({
  target: "tell",
  module: new URL("./work.ts", import.meta.url),
});
process.start();
console.log(await process.result);
`,
      },
      "-A",
      "--unstable-net",
      "--import-map",
      `${folder}/map.json`,
    );
    assertEquals(stderr, "");
    assertStringIncludes(stdout, "mapped function");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a process gets a relative --config, wherever its parent has gone", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/other.json`,
      JSON.stringify({
        imports: { word: "data:text/javascript,export const word='mapped'" },
      }),
    );
    const up = Deno.cwd().split("/").slice(1).map(() => "..").join("/");
    const { stdout, stderr } = await runProject(
      {
        "work.ts":
          'export { word } from "word"; export { tell } from "./tell.ts";',
        "tell.ts":
          'import { word } from "word"; export const tell = () => word;',
        "main.ts": `
import { Process } from "PACKAGE/workers/threads/process.ts";
Deno.chdir("/");
const module = new URL("./work.ts", import.meta.url);
const process = new Process({ target: "tell", module });
process.start();
console.log(await process.result);
`,
      },
      "-A",
      "--config",
      `${up}${folder}/other.json`,
    );
    assertEquals([stdout, stderr], ["mapped\n", ""]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const VERSION_MAIN = `
import { Process } from "PACKAGE/workers/threads/process.ts";
import { word } from "word";
export function tell() {
  return word;
}
if (import.meta.main) {
  const process = new Process({ target: tell, module: import.meta.url });
  process.start();
  console.log(await process.result.catch((error) => error.message));
}
`;

Deno.test("a process has the lock file of its parent, and writes none that its parent does not", async () => {
  const folder = await Deno.makeTempDir();
  const files = {
    "deno.json": '{ "imports": { "word": "./word.ts" } }',
    "word.ts": 'export const word = "known";',
    "main.ts": VERSION_MAIN,
  };
  // A lock file that does not fit is refused by who has it
  const broken = `${folder}/broken.lock`;
  await Deno.writeTextFile(broken, "{");
  const refused = await runProject(files, "-A", "--lock", broken);
  assertEquals(refused.stdout, "");
  for (const flags of [["--no-lock"], ["--lock", `${folder}/own.lock`]]) {
    const run = await runProject(
      { ...files, "deno.lock": "{" },
      "-A",
      ...flags,
    );
    assertEquals([run.stdout, run.stderr], ["known\n", ""], flags.join(" "));
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a process knows the packages of a project that has a package.json alone", async () => {
  const { stdout, stderr } = await runProject({
    "package.json": '{ "dependencies": { "word": "1.0.0" } }',
    "node_modules/word/package.json":
      '{ "name": "word", "version": "1.0.0", "type": "module", "exports": "./index.js" }',
    "node_modules/word/index.js": 'export const word = "installed";',
    "main.ts": VERSION_MAIN,
  }, "-A");
  assertEquals([stdout, stderr], ["installed\n", ""]);
});

Deno.test("a process that does not know the project, because its parent may not read the configuration, says what to allow", async () => {
  const { stdout } = await runProject(
    {
      "deno.json": '{ "imports": { "word": "./word.ts" } }',
      "word.ts": 'export const word = "known";',
      "main.ts": VERSION_MAIN,
    },
    RUN_DENO,
    "--allow-net",
  );
  assertMatch(
    stdout,
    /^Cannot import ".*main\.ts": .*"word".*\(needs --allow-read=\/.*\/deno\.json\)$/ms,
  );
});
