import { assert, assertEquals } from "@std/assert";
import { Program } from "./_cli.ts";

const ROOT_URL = new URL("../../", import.meta.url);
const PROGRAM_REGEXP = /^```ts ignore\n(.*?)^```$/gms;

/** Those that check something; others serve for ever. */
async function readPrograms(): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("README.md", ROOT_URL));
  return [...text.matchAll(PROGRAM_REGEXP)].map(([, program]) => program!)
    .filter((program) => program.includes("assert"));
}

Deno.test("the README's programs with threads run, and find what they expect", async () => {
  const programs = await readPrograms();
  assert(programs.length >= 2);
  const imports = {
    "jsr:@socketserver/socketserver": new URL("mod.ts", ROOT_URL).href,
    "jsr:@std/assert": import.meta.resolve("@std/assert"),
  };
  const dir = await Deno.makeTempDir();
  const [map, file] = [`${dir}/import_map.json`, `${dir}/program.ts`];
  await Deno.writeTextFile(map, JSON.stringify({ imports }));
  const config = new URL("deno.json", ROOT_URL).pathname;
  const flags = ["-A", `--config=${config}`, `--import-map=${map}`];
  for (const text of programs) {
    await Deno.writeTextFile(file, text);
    const args = ["run", ...flags, file];
    await using program = new Program(Deno.execPath(), args);
    assertEquals(await program.code(), 0, program.stderr.text);
  }
  await Deno.remove(dir, { recursive: true });
});
