/** The README's programs, as a reader pastes them. */

import { assert, assertEquals } from "@std/assert";
import { freePort, whilePortsAreFree } from "../support/sockets.ts";
import { Program } from "./_cli.ts";

const ROOT_URL = new URL("../../", import.meta.url);
const PROGRAM_REGEXP = /^```ts ignore\n(.*?)^```$/gms;

async function readPrograms(): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("README.md", ROOT_URL));
  return [...text.matchAll(PROGRAM_REGEXP)].map(([, program]) => program!);
}

/** Starts a program in a folder of its own. */
async function start(dir: string, text: string, flags: string[]) {
  const imports = {
    "jsr:@socketserver/socketserver": new URL("mod.ts", ROOT_URL).href,
    "jsr:@std/assert": import.meta.resolve("@std/assert"),
  };
  const [map, file] = [`${dir}/import_map.json`, `${dir}/program.ts`];
  await Deno.writeTextFile(map, JSON.stringify({ imports }));
  await Deno.writeTextFile(file, text);
  const config = new URL("deno.json", ROOT_URL).pathname;
  const maps = [`--config=${config}`, `--import-map=${map}`];
  return new Program(Deno.execPath(), ["run", ...flags, ...maps, file]);
}

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The first connection that a program takes, once it listens. */
async function connect(port: number, program: Program): Promise<Deno.Conn> {
  let ended = false;
  program.code().then(() => ended = true);
  while (!ended) {
    try {
      return await Deno.connect({ port });
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
  }
  throw new Error(`The program ended: ${program.stderr.text}`);
}

function assertServes(text: string, flags: string[]): Promise<void> {
  return whilePortsAreFree(() => assertServesOnce(text, flags));
}

async function assertServesOnce(text: string, flags: string[]): Promise<void> {
  await inFolder(async (dir) => {
    const port = freePort();
    const served = text.replaceAll("8080", String(port));
    await using program = await start(dir, served, flags);
    using conn = await connect(port, program);
    await conn.write(new TextEncoder().encode("hello\n"));
    await conn.closeWrite();
    assertEquals(await new Response(conn.readable).text(), "HELLO\n");
    program.kill("SIGTERM");
    assertEquals(await program.code(), 0);
  });
}

Deno.test("the README's first server answers with --allow-net alone", async () => {
  const [first] = await readPrograms();
  await assertServes(first!, ["--allow-net"]);
});

Deno.test("the README's first server serves from threads when its class is changed", async () => {
  const [, second] = await readPrograms();
  await assertServes(second!, ["--allow-net", "--allow-read"]);
});

Deno.test("the README's chart shows the ratios of its table", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT_URL));
  const table = (await read("README.md")).matchAll(/(\d\.\d\d) \(\d\.\d\d–/g);
  const chart = (await read("tests/bench/chart.svg")).matchAll(
    /class="ours".*\n.*>(\d\.\d\d)</g,
  );
  const ratios = [...table].map(([, ratio]) => ratio);
  assert(ratios.length > 0);
  assertEquals([...chart].map(([, ratio]) => ratio), ratios);
});

Deno.test("the README's other programs find what they expect", async () => {
  const programs = (await readPrograms()).filter((text) =>
    text.includes("assert")
  );
  assert(programs.length >= 1);
  for (const text of programs) {
    await inFolder(async (dir) => {
      await using program = await start(dir, text, ["-A"]);
      assertEquals(await program.code(), 0, program.stderr.text);
    });
  }
});
