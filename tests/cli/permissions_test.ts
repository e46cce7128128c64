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

/** A program that makes what its arguments name, and uses it. */
const USES = `
import * as ss from "@socketserver/socketserver";
export class H extends ss.EchoHandler { static module = import.meta.url; }
export class C extends ss.CommandRequestHandler { command = "cat"; }
export function one() { return 1; }
if (import.meta.main) {
  const [name, argument, options] = Deno.args;
  const Class = ss[name];
  if (name.endsWith("Pool")) {
    await using pool = new Class({ module: import.meta.url, workers: 1 });
    await pool.submit(one);
  } else {
    const Handler = name === "TCPServer" && options === "cat" ? C : H;
    await using server = new Class(
      JSON.parse(argument),
      Handler,
      options?.startsWith("{") ? JSON.parse(options) : {},
    );
    const serving = server.serveForever();
    await Promise.race([server.ready, serving]);
    if (options === "cat") {
      using client = await Deno.connect(server.serverAddress);
      await client.write(new Uint8Array([1]));
      if (await client.read(new Uint8Array(1)) !== 1) throw new Error("cat");
    }
  }
  console.log("works");
}
`;

/** The rows of server/PERMISSIONS.md. */
const ROWS: [flags: string, ...args: string[]][] = [
  ["--allow-net", "TCPServer", '{"port":0}'],
  ["--allow-net --allow-read=SRC", "ThreadingTCPServer", '{"port":0}'],
  [
    "--allow-net --allow-read=SRC,DIR/deno.json",
    "ThreadingTCPServer",
    '{"port":0}',
    '{"permissions":"none"}',
  ],
  [
    "--allow-net --allow-run=DENO --allow-read=DIR/deno.json",
    "ForkingTCPServer",
    '{"port":0}',
  ],
  ["--allow-net --unstable-net", "UDPServer", '{"port":0}'],
  [
    "--allow-net --allow-read=DIR/a --allow-write=DIR/a",
    "UnixStreamServer",
    '{"path":"DIR/a"}',
  ],
  [
    "--allow-net --unstable-net --allow-read=DIR/b --allow-write=DIR/b",
    "UnixDatagramServer",
    '{"path":"DIR/b"}',
  ],
  ["--allow-net --allow-run=cat", "TCPServer", '{"port":0}', "cat"],
  ["--allow-read=SRC", "ThreadPool"],
  ["--allow-net --allow-run=DENO --allow-read=DIR/deno.json", "ProcessPool"],
];

Deno.test("each row of PERMISSIONS.md is enough, in a project of its own", async () => {
  await using dir = await makeDir();
  const imports = {
    "@socketserver/socketserver": new URL("mod.ts", ROOT).href,
  };
  const config = { imports, unstable: ["worker-options"] };
  await Deno.writeTextFile(`${dir.path}/deno.json`, JSON.stringify(config));
  await Deno.writeTextFile(`${dir.path}/main.ts`, USES);
  const fill = (text: string) =>
    text.replaceAll("SRC", `${ROOT.pathname},${dir.path}/main.ts`)
      .replaceAll("DIR", dir.path).replaceAll("DENO", Deno.execPath());
  for (const [flags, ...args] of ROWS) {
    const command = ["run", "--no-prompt", "--no-check", "--quiet"];
    await using program = new Program(Deno.execPath(), [
      ...[...command, ...fill(flags).split(" "), "main.ts"],
      ...args.map(fill),
    ], { cwd: dir.path });
    const code = await program.code();
    const { stdout, stderr } = program;
    assertEquals(
      [code, stdout.text],
      [0, "works\n"],
      `${args}: ${stderr.text}`,
    );
  }
});
