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
  await deno("check", ...offline, "mod.ts", "server", "tests");
  await deno("doc", "--lint", "mod.ts", "server/cli.ts");
  await deno("publish", "--dry-run", "--allow-dirty");
}
const paths = rest.some((arg) => !arg.startsWith("-"))
  ? []
  : ["--doc", "tests", ...DOCUMENTED];
await deno("test", "-A", ...offline, ...rest, ...paths);
