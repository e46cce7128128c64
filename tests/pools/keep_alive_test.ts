import { assertEquals } from "@std/assert";
import { runProgram } from "../runners/_program.ts";

const PROGRAM = new URL("./idle_program.ts", import.meta.url).pathname;

for (const kind of ["thread", "process"]) {
  Deno.test(`a ${kind} pool keeps the program alive while it has tasks, and no longer`, async () => {
    const { code, stdout, stderr } = await runProgram(PROGRAM, ["-A"], [kind]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout, "done\n".repeat(20));
  });

  Deno.test(`a ${kind} pool that was not used does not keep the program alive`, async () => {
    const result = await runProgram(PROGRAM, ["-A"], [kind, "unused"]);
    assertEquals(result, { code: 0, stdout: "", stderr: "" });
  });
}
