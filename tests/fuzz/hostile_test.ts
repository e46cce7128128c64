/** Hostile code in processes, while the program serves others. */

import { assert, assertEquals } from "@std/assert";
import { within } from "../support/waiting.ts";

/** They forge frames, exit, replace functions and throw; loops take too long. */
const FIRST_SEED = 10;
const SEEDS = 5;
/** The longest turn of the program's event loop, by its processor time. */
const MOST_MS = 100;
const MOST_MEMORY_MB = 256;

Deno.test('code with permissions "none" neither stops nor fills its program, whatever it sends and replaces', async () => {
  const { code, stdout, stderr } = await within(
    "the program",
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--unstable-net",
        "--quiet",
        new URL("./_hostile_program.ts", import.meta.url).pathname,
        `${FIRST_SEED}`,
        `${SEEDS}`,
      ],
      stdin: "null",
    }).output(),
  );
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr));
  const { seeds, longestTurn, memory } = JSON.parse(text.decode(stdout));
  assertEquals(seeds, SEEDS);
  assert(longestTurn <= MOST_MS, `A turn took ${longestTurn} ms`);
  assert(memory <= MOST_MEMORY_MB, `It took ${memory} MB`);
});
