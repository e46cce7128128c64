import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../server/cli/problems.ts";
import { splitCommand } from "../../server/cli/handlers.ts";
import { isRunning } from "../support/system.ts";
import { until } from "../support/waiting.ts";
import { CLI, Program, serve, Talker } from "./_cli.ts";

const MODES = ["event-loop", "threading", "forking"];
/** A command that prints its number and ignores every polite end. */
const STUBBORN =
  `sh -c 'trap "" TERM INT HUP; echo $$; while :; do sleep 0.1; done'`;

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

for (const mode of MODES) {
  Deno.test(`serve --exec runs a command for each connection, ${mode}`, async () => {
    const args = ["--port", "0", "-m", mode, "--exec"];
    const script = `sh -c 'echo "$PROTO $TCPREMOTEPORT"; cat'`;
    await using served = await serve(...args, script);
    assertStringIncludes(served.program.stdout.text, "Serving sh -c 'echo ");
    using client = await Talker.connect(served.port);
    const { port } = client.address as Deno.NetAddr;
    assertEquals(await client.hear(), `TCP ${port}\n`);
    await client.say("hello");
    assertEquals(await client.hear(), "hello");
  });
}

for (const mode of MODES) {
  Deno.test({
    name: `serve --exec lets a command finish after Ctrl-C, ${mode}`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      const script = `sh -c 'read x; echo one; read x; echo two'`;
      const args = ["tcp://:0", "-m", mode, "--exec", script];
      await using program = new Program(
        Deno.execPath(),
        ["run", "-A", CLI, "serve", ...args],
        { detached: true }, // the leader of a process group
      );
      const [, port] = await program.stdout.until(/127\.0\.0\.1:(\d+)/);
      using client = await Talker.connect(Number(port));
      await client.say("\n");
      assertEquals(await client.hear(), "one\n");
      Deno.kill(-program.pid, "SIGINT"); // as a terminal does
      await program.stdout.until(/\nStopping: .*\n/);
      await client.say("\n");
      assertEquals(await client.hear(), "two\n");
      assertEquals(await program.code(), 0);
    },
  });

  Deno.test({
    name: `serve --exec leaves no command behind, ${mode}`,
    ignore: Deno.build.os === "windows",
    fn: async (t) => {
      const args = ["tcp://:0", "-m", mode, "--exec", STUBBORN];
      await t.step("after --shutdown-timeout", async () => {
        await using server = await serve(...args, "--shutdown-timeout", "100");
        using client = await Talker.connect(server.port);
        const pid = Number(await client.hear());
        server.program.kill("SIGTERM");
        assertEquals(await server.program.code(), 3);
        await until(() => !isRunning(pid), "the command has ended");
      });
      await t.step("after a second signal", async () => {
        await using server = await serve(...args);
        const { program } = server;
        using client = await Talker.connect(server.port);
        const pid = Number(await client.hear());
        program.kill("SIGINT");
        await program.stdout.until(/\nStopping: .*\n/);
        program.kill("SIGINT");
        assertEquals(await program.code(), 130);
        await until(() => !isRunning(pid), "the command has ended");
      });
    },
  });
}
