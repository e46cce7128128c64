/** The command line with the permissions and flags of its help, no others. */

import { assertEquals, assertMatch } from "@std/assert";
import { within } from "../support/waiting.ts";
import { CLI, makeDir, Program } from "./_cli.ts";

const ROOT = new URL("../../", import.meta.url);

async function assertServes(
  flags: string[],
  cli: string,
  args: string[],
  options?: ConstructorParameters<typeof Program>[2],
): Promise<void> {
  const command = ["run", "--no-prompt", ...flags, cli, "serve", ...args];
  await using program = new Program(Deno.execPath(), command, options);
  const failed = program.code().then((code) => {
    throw new Error(`It ended with ${code}: ${program.stderr.text}`);
  });
  await Promise.race([program.stdout.until(/^Serving .*\n/), failed]);
  failed.catch(() => {});
}

/** In a clone, which has the unstable features in its deno.json. */
const CLONED: [flags: string, args: string][] = [
  ["", "tcp://:0"],
  ["", "tcp://:0 -m event-loop"],
  ["", "udp://:0"],
  ["--allow-write", "unix:DIR/a"],
  ["--allow-write", "unix-datagram:DIR/b"],
  ["--allow-run", "tcp://:0 -m forking"],
  ["--allow-run --allow-env=PATH", "tcp://:0 --exec cat"],
  ["--allow-run", "tcp://:0 --exec /bin/cat"],
  ["", "tcp://:0 --permissions none"],
];

Deno.test("serve needs the permissions that its help tells of", async (t) => {
  await using dir = await makeDir();
  for (const [flags, args] of CLONED) {
    const all = ["--allow-net", "--allow-read", ...flags.split(" ")];
    const one = args.includes("event-loop") ? "" : " --workers 1";
    const words = (args + one).replace("DIR", dir.path).split(" ");
    await t.step(args, () => assertServes(all.filter(Boolean), CLI, words));
  }
});

/** The error where a permission is missing; a flag is the cure. */
const MISSING: [flags: string, args: string, error: RegExp][] = [
  [
    "",
    "serve :0",
    /^Cannot listen on ".*": .* net access .* --allow-net flag$/,
  ],
  ["net", "serve :0", /^Cannot start thread ".*": .* \(needs --allow-read\)$/],
  [
    "net read",
    "serve :0 -m forking",
    /^Cannot start process ".* --allow-run flag$/,
  ],
  ["net read", "serve unix:DIR/a", /^Cannot listen on ".* --allow-write flag$/],
  ["net write", "serve unix:DIR/a", /^Cannot listen on ".* --allow-read flag$/],
  [
    "net",
    "serve :0 --handler DIR/env.ts#A",
    /^Cannot find the file ".*\/env\.ts": Requires read .* --allow-read flag$/,
  ],
  [
    "net read",
    "serve :0 --handler DIR/env.ts#A",
    /^Cannot import ".*": Requires env access .* --allow-env flag \(.*env\.ts:1:10\)$/,
  ],
  [
    "net read=DIR",
    "serve :0 --handler DIR/import.ts#A",
    /^Cannot import ".*": Requires read access .* --allow-read flag \(.*import\.ts:1:8\)$/,
  ],
  [
    "net read env",
    "serve :0 --exec cat",
    /^Cannot run the command "cat": Requires run access, .* --allow-run flag$/,
  ],
  [
    "net read run",
    "serve :0 --exec cat",
    /^Cannot find the command "cat": Requires env access .* --allow-env flag$/,
  ],
  [
    "net run env",
    "serve :0 --exec cat",
    /^Cannot find the command "cat": Requires read access .* --allow-read flag$/,
  ],
  [
    "net",
    "serve :0 --cert a --key b",
    /^Cannot read "a" as --cert: .*-read flag$/,
  ],
  ["", "client", /^Cannot connect to ".*": .* net access .* --allow-net flag$/],
  ["", "client udp://:9", /^Cannot send to ".*": .* net .* --allow-net flag$/],
  [
    "net",
    "client unix-datagram:DIR/a",
    /^Cannot send to ".*": Requires write access .* --allow-write flag$/,
  ],
];

Deno.test("serve and client name the permission that is missing", async (t) => {
  await using dir = await makeDir();
  await Deno.writeTextFile(`${dir.path}/env.ts`, `Deno.env.get("A_NAME");`);
  const url = new URL("handlers/mod.ts", ROOT).href;
  await Deno.writeTextFile(`${dir.path}/import.ts`, `import "${url}";`);
  for (const [flags, args, error] of MISSING) {
    await t.step(`${args} with ${flags || "none"}`, async () => {
      const given = flags.split(" ").filter(Boolean).map((flag) =>
        `--allow-${flag}`
      );
      const words = [...given, CLI, ...args.split(" ")];
      await using program = new Program(Deno.execPath(), [
        ...["run", "--no-prompt"],
        ...words.map((word) => word.replace("DIR", dir.path)),
      ]);
      await within("the end", program.code());
      const [, line] = program.stderr.text.match(/^error: ([^\n]+)\n$/) ?? [];
      assertMatch(line ?? program.stderr.text, error);
      assertEquals(program.stdout.text, "");
    });
  }
});

/** Serves the package as a registry does. */
function servePackage(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const type = pathname.endsWith(".ts") ? "typescript" : "json";
      const headers = { "content-type": `application/${type}` };
      const file = new URL(`.${pathname}`, ROOT);
      return new Response(await Deno.readFile(file), { headers });
    },
  );
}

Deno.test("serve needs but --allow-net where the package is from a URL", async () => {
  await using dir = await makeDir();
  await using server = servePackage();
  const cli = `http://127.0.0.1:${server.addr.port}/server/cli.ts`;
  const options = { cwd: dir.path, env: { DENO_DIR: `${dir.path}/cache` } };
  await assertServes(["--allow-net"], cli, ["tcp://:0"], options);
  await using version = new Program(
    Deno.execPath(),
    ["run", "--no-prompt", cli, "--version"],
    options,
  );
  assertEquals(await version.code(), 0, version.stderr.text);
});
