/**
 * The examples of the documentation, each a module as its reader would paste
 * it. They share this file's thread: `deno test --doc` takes one for each, and
 * with it nine times the processor time.
 */

import "../../mod.ts";
import "../support/leaks.ts";
import { within } from "../support/waiting.ts";
import { DOCUMENTED } from "./_documented.ts";

const ROOT_URL = new URL("../../", import.meta.url);
const EXAMPLE_REGEXP = /^( *\* )?```ts( .*)?\n([^]*?)^ *(\* )?```$/gm;

/** The files at a path, or in its folders. */
function* filesAt(path: string): Generator<string> {
  if (/\.(ts|md)$/.test(path)) return yield path;
  for (
    const { name, isDirectory } of Deno.readDirSync(new URL(path, ROOT_URL))
  ) {
    if (isDirectory || /\.(ts|md)$/.test(name)) {
      yield* filesAt(`${path}/${name}`);
    }
  }
}

interface Example {
  /** Where it begins. */
  place: string;
  program: string;
}

function examplesIn(path: string): Example[] {
  const text = Deno.readTextFileSync(new URL(path, ROOT_URL));
  return [...text.matchAll(EXAMPLE_REGEXP)]
    .filter(([, , attributes = ""]) => !attributes.includes("ignore"))
    .map(({ 3: program, index }) => ({
      place: `${path}:${text.slice(0, index).split("\n").length}`,
      program: path.endsWith(".ts")
        ? program!.replace(/^ *\* ?/gm, "")
        : program!,
    }));
}

const folder = Deno.makeTempDirSync({ prefix: "examples_" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

for (const path of DOCUMENTED.flatMap((name) => [...filesAt(name)])) {
  for (const { place, program } of examplesIn(path)) {
    const file = `${folder}/${place.replaceAll(/[/:]/g, "_")}.ts`;
    Deno.writeTextFileSync(file, program);
    Deno.test(place, () => within("its end", import(`file://${file}`)));
  }
}
