/** New code for a `serve` that serves: SIGHUP and --watch. */

import { assertEquals, assertMatch } from "@std/assert";
import { CLI, makeDir, Program, serve, type Served, Talker } from "./_cli.ts";
import { needs } from "../support/programs.ts";

/** Says its word at the beginning, and again after a line. */
const HANDLER = `
import { StreamRequestHandler } from "@socketserver/socketserver";
import { word } from "./parts/word.ts";
export class Saying extends StreamRequestHandler {
  async handle() {
    await this.wfile.write(word);
    await this.wfile.flush();
    await this.request.read(new Uint8Array(10));
    await this.wfile.write(word);
  }
}
`;

/** Waits for a server on a terminal, closes the terminal, tells how it ended. */
const PYTHON_CLOSING = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while b"Serving" not in seen:
    seen += os.read(fd, 4096)
os.close(fd)
print("ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** A handler's folder. */
class Code implements AsyncDisposable {
  readonly path: string;
  readonly handler: string;
  readonly #dir: AsyncDisposable & { path: string };

  constructor(dir: AsyncDisposable & { path: string }, folder: string) {
    this.#dir = dir;
    this.path = `${dir.path}/${folder}`;
    this.handler = `${this.path}/saying.ts#Saying`;
  }

  static async make(folder = "."): Promise<Code> {
    const code = new Code(await makeDir(), folder);
    await code.fill("old");
    return code;
  }

  async fill(word: string): Promise<void> {
    await Deno.mkdir(`${this.path}/parts`, { recursive: true });
    await Deno.writeTextFile(`${this.path}/saying.ts`, HANDLER);
    await this.write(`export const word = "${word}";`);
  }

  /** As editors do: another file takes the old one's place. */
  async write(text: string): Promise<void> {
    const path = `${this.path}/parts/word.ts`;
    await Deno.writeTextFile(`${path}~`, text);
    await Deno.rename(`${path}~`, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

async function greeting({ port }: Served): Promise<string> {
  using client = await Talker.connect(port);
  return await client.hear();
}

for (const mode of ["threading", "forking"]) {
  for (const how of ["SIGHUP", "--watch"]) {
    Deno.test(`serve reloads by ${how}, and open requests finish on the old code, ${mode}`, async () => {
      await using code = await Code.make();
      const args = ["-m", mode, "--workers", "1", "--handler", code.handler];
      if (how === "--watch") args.push("--watch");
      await using server = await serve("tcp://:0", ...args);
      const { stdout } = server.program;
      if (how === "--watch") await stdout.until(/\nWatching ".*"\n/);
      using open = await Talker.connect(server.port);
      assertEquals(await open.hear(), "old");
      await code.write('export const word = "new";');
      if (how === "SIGHUP") server.program.kill("SIGHUP");
      await stdout.until(/\nReloading: open requests go on as they began\n/);
      while (await greeting(server) !== "new");
      await open.say("x");
      assertEquals(await open.hear(), "old");
      await stdout.until(/\nReloaded\n/);
      assertEquals(await greeting(server), "new");
    });
  }

  Deno.test(`serve --watch reports a broken file, serves on and reloads the mended one, ${mode}`, async () => {
    await using code = await Code.make();
    const args = ["-m", mode, "--handler", code.handler, "--watch"];
    await using server = await serve("tcp://:0", ...args);
    const { stdout, stderr } = server.program;
    await stdout.until(/\nWatching/);
    const broken = [
      ["export const word = ;", "SyntaxError: Expression expected"],
      ["export const word = fail('x');", "fail is not defined"],
    ] as const;
    for (const [text, why] of broken) {
      stdout.text = stderr.text = "";
      await code.write(text);
      await stdout.until(/\nNot reloaded: what served before serves on\n/);
      await stderr.until(/\n$/);
      assertMatch(
        stderr.text,
        RegExp(
          `^error: Cannot import "file:.*": ${why} \\(/.*/parts/word\\.ts:1:21\\); correct the code there\n$`,
        ),
      );
      assertEquals(await greeting(server), "old");
    }
    await code.write('export const word = "new";');
    await stdout.until(/\nReloaded\n/);
    assertEquals(await greeting(server), "new");
  });
}

Deno.test("serve --watch goes on when the folder is made anew, also below node_modules", async () => {
  await using code = await Code.make("node_modules/package");
  await using server = await serve(
    ...["tcp://:0", "--handler", code.handler, "--watch"],
  );
  const { stdout } = server.program;
  await stdout.until(/\nWatching/);
  await Deno.remove(code.path, { recursive: true });
  await code.fill("anew");
  await stdout.until(/\nReloaded\n/);
  while (await greeting(server) !== "anew");
  stdout.text = "";
  await code.write('export const word = "new";');
  await stdout.until(/\nReloaded\n/);
  assertEquals(await greeting(server), "new");
});

Deno.test("serve --watch tells when the folder is gone, and watches it again after SIGHUP", async () => {
  await using code = await Code.make("code");
  await using server = await serve(
    ...["tcp://:0", "--handler", code.handler, "--watch"],
  );
  const { stdout, stderr } = server.program;
  await stdout.until(/\nWatching/);
  await Deno.rename(code.path, `${code.path}~`);
  await stdout.until(/\nNot reloaded: .*\n/);
  await stderr.until(
    /^error: Cannot watch ".*\/code": .*, and SIGHUP reloads\n/,
  );
  assertEquals(await greeting(server), "old");
  await Deno.rename(`${code.path}~`, code.path);
  server.program.kill("SIGHUP");
  await stdout.until(/\nReloaded\n/);
  stdout.text = "";
  await code.write('export const word = "new";');
  await stdout.until(/\nReloaded\n/);
  assertEquals(await greeting(server), "new");
});

Deno.test(
  "serve stops when its terminal is closed, which is a SIGHUP too",
  needs("python3"),
  async () => {
    const command = [Deno.execPath(), "run", "-A", CLI, "serve", "tcp://:0"];
    const args = ["-c", PYTHON_CLOSING, ...command];
    await using program = new Program("python3", args);
    await program.stdout.until(/^ended with 0\n$/);
  },
);
