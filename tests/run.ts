/**
 * Runs the gates: `deno run -A tests/run.ts test [deno test's arguments]`, or `… ok` for all of them.
 *
 * Where the JSR does not answer, the tests' two packages come from `tests/offline/` instead.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const ROOT_URL = new URL("..", import.meta.url);
const DOCUMENTED = ["mod.ts", "server", "handlers", "workers", "README.md"];
/** Programs side by side, since most tests wait more than they compute. */
const PARTS = [
  everySecond("tests/replicas", 0),
  everySecond("tests/replicas", 1),
  ["tests/servers", "tests/runners"],
  ["tests/pools", "tests/cli", "tests/handlers"],
  ["tests/locks", "tests/simulation", "tests/examples", "--doc", ...DOCUMENTED],
];
/** A test is stuck when its program has printed nothing for this long. */
const SILENCE_MS = 60_000;
const SUMMARY_REGEXP = /(\d+) passed.*\| (\d+) failed/;

/** Half of a folder's tests, from the first or the second on. */
function everySecond(folder: string, first: 0 | 1): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT_URL))]
    .map(({ name }) => `${folder}/${name}`)
    .filter((path) => path.endsWith("_test.ts"))
    .sort()
    .filter((_, index) => index % 2 === first);
}

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

async function deno(...args: string[]): Promise<void> {
  console.log(`$ deno ${args.join(" ")}`);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT_URL,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  if (code !== 0) {
    console.error(`Failed with exit code ${code}: deno ${args.join(" ")}`);
    Deno.exit(code);
  }
}

/** Ends a program of tests that prints nothing for `SILENCE_MS`. */
class Watchdog {
  #underWay = "(no test yet)";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #program: Deno.ChildProcess;

  constructor(program: Deno.ChildProcess) {
    this.#program = program;
    this.heard("");
  }

  /** Notes output; its unfinished last line names the test under way. */
  heard(unfinished: string): void {
    if (unfinished.trim() !== "") this.#underWay = unfinished.trim();
    this.stop();
    this.#timer = setTimeout(() => this.#bite(), SILENCE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #bite(): void {
    console.error(
      `HUNG: no output for ${SILENCE_MS / 1_000} s in: ${this.#underWay}`,
    );
    this.#program.kill("SIGKILL");
  }
}

/** Runs one program of tests; prints each line as it comes. */
async function runTests(args: string[]): Promise<[number, number, number]> {
  console.log(`$ deno ${args.join(" ")}`);
  await using program = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT_URL,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const watchdog = new Watchdog(program);
  let [unfinished, passed, failed] = ["", 0, 0];
  for await (
    const text of program.stdout.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (unfinished + text).split("\n");
    unfinished = lines.pop()!;
    if (lines.length > 0) console.log(lines.join("\n"));
    watchdog.heard(unfinished);
    for (const line of lines) {
      const summary = SUMMARY_REGEXP.exec(line);
      if (summary === null) continue;
      [passed, failed] = [Number(summary[1]), Number(summary[2])];
    }
  }
  const { code } = await program.status;
  watchdog.stop();
  return [code, passed, failed];
}

async function runAllTests(options: string[]): Promise<void> {
  const results = await Promise.all(
    PARTS.map((part) => runTests(["test", "-A", ...options, ...part])),
  );
  const passed = results.reduce((sum, [, count]) => sum + count, 0);
  const failed = results.reduce((sum, [, , count]) => sum + count, 0);
  const code = Math.max(...results.map(([code]) => code));
  console.log(
    `${code === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed`,
  );
  Deno.exit(code);
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
if (gate === "ok") {
  await deno("fmt", "--check");
  await deno("lint");
  await deno(
    "doc",
    "--lint",
    "mod.ts",
    "server/cli.ts",
    "server/testing.ts",
  );
  await deno("publish", "--dry-run", "--allow-dirty");
}
// Once for all: unlike "deno test" this does not check each thread's program
await deno("check", "--quiet", "--doc", ...offline, ...DOCUMENTED, "tests");
const options = ["--no-check", "--no-prompt", ...offline];
if (rest.length > 0) {
  Deno.exit((await runTests(["test", "-A", ...options, ...rest]))[0]);
}
await runAllTests(options);
