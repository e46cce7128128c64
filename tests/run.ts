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
  ["tests/replicas", "tests/handlers"],
  [
    ...["cli", "runners", "servers"].map((folder) => `tests/${folder}`),
    "--doc",
    ...DOCUMENTED,
  ],
  ["tests/pools"],
  ["tests/locks"],
];
const SUMMARY_REGEXP = /(\d+) passed.*\| (\d+) failed/;

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

/** Runs tests and prints their output when they are over. */
async function runTests(args: string[]): Promise<[number, number, number]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT_URL,
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(`$ deno ${args.join(" ")}\n${text}`);
  console.error(new TextDecoder().decode(stderr));
  const [, passed, failed] = text.split("\n").toReversed()
    .map((line) => SUMMARY_REGEXP.exec(line)).find((match) => match !== null) ??
    [];
  return [code, Number(passed ?? 0), Number(failed ?? 0)];
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
  await deno("doc", "--lint", "mod.ts", "server/cli.ts");
  await deno("publish", "--dry-run", "--allow-dirty");
}
// Once for all: unlike "deno test" this does not check each thread's program
await deno("check", "--doc", ...offline, ...DOCUMENTED, "tests");
const options = ["--no-check", "--no-prompt", ...offline];
if (rest.length > 0) await deno("test", "-A", ...options, ...rest);
else await runAllTests(options);
