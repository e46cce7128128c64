/** The command line with the permissions and flags of its help, no others. */

import { assertEquals } from "@std/assert";
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
    const words = args.replace("DIR", dir.path).split(" ");
    await t.step(args, () => assertServes(all.filter(Boolean), CLI, words));
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
