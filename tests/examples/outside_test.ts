/** The package as a user has it: what `deno publish` would upload, and a project with its own deno.json. */

import { assertEquals } from "@std/assert";

const ROOT_URL = new URL("../../", import.meta.url);

/** A program of a user, without a flag that is not in the README. */
const PROGRAM = `
import {
  ForkingTCPServer, Process, StreamRequestHandler, TCPServer, Thread, ThreadingTCPServer, ThreadPool,
} from "@socketserver/socketserver";

const module = import.meta.url;

export class Upper extends StreamRequestHandler {
  override async handle() {
    for await (const line of this.rfile) {
      await this.wfile.write(line.toUpperCase() + "\\n");
    }
  }
}

export function square(x: number): number {
  return x * x;
}

if (import.meta.main) {
  for (const Server of [TCPServer, ThreadingTCPServer, ForkingTCPServer]) {
    const server = new Server({ port: 0 }, Upper, { module, workers: 1 });
    const serving = server.serveForever();
    using conn = await Deno.connect(server.serverAddress);
    await conn.write(new TextEncoder().encode("hello\\n"));
    await conn.closeWrite();
    console.log(Server.name, (await new Response(conn.readable).text()).trim());
    await server.serverClose();
    await serving;
  }
  for (const Activity of [Thread, Process]) {
    const activity = new Activity({ target: square, args: [7], module });
    activity.start();
    console.log(Activity.name, await activity.result);
    await activity.join();
  }
  await using pool = new ThreadPool({ module, workers: 1 });
  console.log("ThreadPool", ...await pool.map(square, [1, 2, 3]));
}
`.replace(
  "{ module, workers: 1 });\n    const serving",
  "Server === TCPServer ? {} : { module, workers: 1 });\n    const serving",
);

const PRINTED = `TCPServer HELLO
ThreadingTCPServer HELLO
ForkingTCPServer HELLO
Thread 49
Process 49
ThreadPool 1 4 9
`;

async function publishedFiles(): Promise<string[]> {
  const { stderr, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT_URL,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr) +
    new TextDecoder().decode(stdout);
  return [...text.matchAll(/^ +(file:\S+) \(/gm)].map(([, url]) => url!);
}

async function pack(folder: string): Promise<void> {
  const files = await publishedFiles();
  for (const url of files) {
    const to = new URL(url.slice(ROOT_URL.href.length), `file://${folder}/`);
    await Deno.mkdir(new URL(".", to), { recursive: true });
    await Deno.copyFile(new URL(url), to);
  }
}

async function runProject(
  folder: string,
  specifier: string,
  flags: string[],
): Promise<string> {
  const imports = { "@socketserver/socketserver": specifier };
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ imports }));
  await Deno.writeTextFile(`${folder}/main.ts`, PROGRAM);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", ...flags, `${folder}/main.ts`],
    cwd: "/",
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test("the published package works in another project, from a path and from a URL", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await pack(`${folder}/package`);
    const path = `${folder}/package/mod.ts`;
    const fromPath = await runProject(`${folder}/a`, path, [
      "--allow-net",
      "--allow-read",
      "--allow-run",
    ]);
    assertEquals(fromPath, PRINTED);
    await using server = Deno.serve({
      port: 0,
      hostname: "127.0.0.1",
      onListen() {},
    }, async (request) => {
      const { pathname } = new URL(request.url);
      const text = await Deno.readTextFile(`${folder}/package${pathname}`);
      return new Response(text, {
        headers: { "content-type": "application/typescript" },
      });
    });
    const host = `127.0.0.1:${server.addr.port}`;
    const fromUrl = await runProject(`${folder}/b`, `http://${host}/mod.ts`, [
      "--allow-net",
      "--allow-read",
      "--allow-run",
      `--allow-import=${host}`,
    ]);
    assertEquals(fromUrl, PRINTED);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
