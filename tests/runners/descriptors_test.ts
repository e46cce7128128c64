/** Threads in a program that is short of descriptors. */

import { assertEquals, assertStringIncludes } from "@std/assert";

const PROGRAM = new URL("./_crowded_program.ts", import.meta.url).pathname;
const MAP = new URL("../offline/import_map.json", import.meta.url).pathname;

Deno.test({
  name:
    "Thread.start() throws where Deno would end the program for want of descriptors",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        'ulimit -n 90; exec "$0" run -A --no-check --quiet --import-map="$2" "$1"',
        Deno.execPath(),
        PROGRAM,
        MAP,
      ],
    }).output();
    const decoder = new TextDecoder();
    assertEquals([code, decoder.decode(stderr)], [0, ""]);
    assertStringIncludes(
      decoder.decode(stdout),
      "the program has too few free file descriptors",
    );
  },
});
