/**
 * Runs the gates: `deno run -A tests/run.ts test [deno test's arguments]`, or `… ok` for all of them.
 *
 * Where the JSR does not answer, the tests' two packages come from `tests/offline/` instead.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { DOCUMENTED } from "./examples/_documented.ts";

const ROOT_URL = new URL("..", import.meta.url);
const ENTRIES = [
  "mod.ts",
  "handlers/mod.ts",
  "workers/mod.ts",
  "server/observe/mod.ts",
  "server/cli.ts",
  "server/testing.ts",
];
/** Files of tests side by side: many, since most of them wait most of the time. */
const JOBS = String(2 * navigator.hardwareConcurrency + 5);
/** The tests that wait most come first: others fill the time. */
const TESTS = ["tests/servers", "tests"];
/** Marks what the tests start, which has their environment. */
const MARK = ["SOCKETSERVER_TESTS", crypto.randomUUID()] as const;
/** A test is stuck when nothing has been printed for this long. */
const SILENCE_MS = 60_000;
/** A process that is about to end may take this long, on any machine. */
const LEAVING_MS = 20_000;

async function jsrAnswers(): Promise<boolean> {
  try {
    const response = await fetch("https://jsr.io/@std/assert/meta.json", {
      signal: AbortSignal.timeout(3_000),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Runs Deno; ends this program, and all that it has started, if it fails. */
async function deno(
  args: string[],
  follow: (child: Deno.ChildProcess) => Promise<unknown>,
  stderr: "inherit" | "piped",
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT_URL,
    env: {
      DENO_JOBS: Deno.env.get("DENO_JOBS") ?? JOBS,
      [MARK[0]]: MARK[1],
    },
    stdin: "null",
    stdout: "piped",
    stderr,
  }).spawn();
  await follow(child);
  const { code } = await child.status;
  if (code === 0) return;
  console.error(`deno ${args[0]} failed with exit code ${code}`);
  for (const { pid } of listMarked()) end(pid);
  Deno.exit(code);
}

function end(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile
  }
}

/** Runs a gate, and prints what it said when it has ended. */
function check(...args: string[]): Promise<void> {
  return deno(args, async (child) => {
    const [stdout, stderr] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
    ]);
    console.log(`$ deno ${args.join(" ")}\n${stdout}${stderr}`);
  }, "piped");
}

/** Runs tests, passes on what they print, and ends them when they hang. */
async function test(args: string[]): Promise<void> {
  console.log(`$ deno test ${args.join(" ")}`);
  await deno(["test", ...args], async (tests) => {
    let timer = setTimeout(bite, SILENCE_MS, tests);
    for await (const bytes of tests.stdout) {
      clearTimeout(timer);
      timer = setTimeout(bite, SILENCE_MS, tests);
      for (let rest = bytes; rest.length > 0;) {
        rest = rest.subarray(Deno.stdout.writeSync(rest));
      }
    }
    clearTimeout(timer);
  }, "inherit");
}

/** Ends this program if a process outlives the tests that started it. */
async function assertNothingLeft(): Promise<void> {
  let left = listMarked();
  for (const end = performance.now() + LEAVING_MS; left.length > 0;) {
    if (performance.now() > end) {
      const names = left.map(({ pid, command }) => `${pid} ${command}`);
      console.error(`Left behind by the tests: ${names.join(", ")}`);
      Deno.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = listMarked();
  }
}

/** What this program has started, where Linux tells the environment. */
function listMarked(): { pid: number; command: string }[] {
  if (Deno.build.os !== "linux") return [];
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const read = (file: string) =>
        Deno.readTextFileSync(`/proc/${name}/${file}`);
      if (!read("environ").split("\0").includes(MARK.join("="))) return [];
      const command = read("cmdline").replaceAll("\0", " ");
      return [{ pid: Number(name), command }];
    } catch {
      return []; // no process, another user's, or one that has ended
    }
  });
}

/** Ends tests that hang: at SIGINT `deno test` names those under way. */
function bite(tests: Deno.ChildProcess): void {
  console.error(`HUNG: no output for ${SILENCE_MS / 1_000} s`);
  tests.kill("SIGINT");
  setTimeout(() => tests.kill("SIGKILL"), 5_000);
}

const [gate, ...rest] = Deno.args;
if (gate !== "test" && gate !== "ok") {
  console.error(`Cannot run "${gate ?? ""}": expected "test" or "ok"`);
  Deno.exit(2);
}
const offline = await jsrAnswers()
  ? []
  : ["--import-map=tests/offline/import_map.json"];
if (offline.length > 0) {
  console.log("The JSR does not answer: tests take tests/offline/ instead");
}
/** Each takes one processor for a while, and tests leave some time to others. */
const gates: string[][] = gate === "test" ? [] : [
  ["fmt", "--check"],
  ["lint"],
  ["doc", "--lint", ...ENTRIES],
  ["publish", "--dry-run", "--allow-dirty"],
];
// Once for all: unlike "deno test" this does not check each thread's program
gates.push(["check", "--quiet", "--doc", ...offline, ...DOCUMENTED, "tests"]);
async function checkAll(): Promise<void> {
  for (const args of gates) await check(...args);
}
const options = ["--parallel", "--no-check", "--no-prompt", ...offline];
if (rest.every((arg) => arg.startsWith("-"))) rest.push(...TESTS);
await Promise.all([checkAll(), test(["-A", ...options, ...rest])]);
await assertNothingLeft();
