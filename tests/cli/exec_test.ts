import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../server/cli/usage_error.ts";
import { splitCommand } from "../../server/cli/words.ts";
import { serve, Talker } from "./_cli.ts";

Deno.test("splitCommand() splits as a shell does", () => {
  const lines: [line: string, words: string[]][] = [
    ["cat", ["cat"]],
    ["  cat \t -n  ", ["cat", "-n"]],
    [`sh -c 'echo "$0"; date'`, ["sh", "-c", 'echo "$0"; date']],
    [`echo "a b"c'd e' f`, ["echo", "a bcd e", "f"]],
    [`echo '' ""`, ["echo", "", ""]],
    [String.raw`echo "a\"b\\c\d" e\ f \'`, [
      "echo",
      String.raw`a"b\c\d`,
      "e f",
      "'",
    ]],
    ["echo $HOME * `id` | cat", [
      "echo",
      "$HOME",
      "*",
      "`id`",
      "|",
      "cat",
    ]],
  ];
  for (const [line, words] of lines) assertEquals(splitCommand(line), words);
});

Deno.test("splitCommand() refuses what has no end, and nothing", () => {
  for (const line of ["", "  ", "''", "echo 'a", 'echo "a', "echo a\\"]) {
    assertThrows(() => splitCommand(line), UsageError, "", line);
  }
});

for (const mode of ["event-loop", "threading", "forking"]) {
  Deno.test(`serve --exec runs a command for each connection, ${mode}`, async () => {
    const args = ["--port", "0", "-m", mode, "--exec"];
    const script = `sh -c 'echo "$PROTO $TCPREMOTEPORT"; cat'`;
    await using served = await serve(...args, script);
    assertStringIncludes(served.program.stdout.text, "Serving sh -c echo");
    using client = await Talker.connect(served.port);
    const { port } = client.address as Deno.NetAddr;
    assertEquals(await client.hear(), `TCP ${port}\n`);
    await client.say("hello");
    assertEquals(await client.hear(), "hello");
  });
}
