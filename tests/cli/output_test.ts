/** What `serve` tells while it serves: --log, --stats, --top. */

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { EchoHandler, TCPServer } from "../../mod.ts";
import { parseServe } from "../../server/cli/args.ts";
import { leave, show } from "../../server/cli/output.ts";
import { Reloads } from "../../server/cli/reloads.ts";
import { StopSignals } from "../../server/cli/signals.ts";
import { capture } from "../servers/_support.ts";
import { CLI, makeDir, Program, serve, Talker, Transcript } from "./_cli.ts";
import { needs } from "../support/programs.ts";

/** Runs a program on a terminal of 80 columns; Ctrl-C when its input ends. */
const PYTHON_TERMINAL = `
import fcntl, os, pty, struct, sys, termios, threading
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
def interrupt():
    sys.stdin.read()
    os.write(fd, b"\\x03")
threading.Thread(target=interrupt, daemon=True).start()
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

const FAILING = `
import { StreamRequestHandler } from "@socketserver/socketserver";
export class Failing extends StreamRequestHandler {
  handle() {
    throw new Error("boom");
  }
}
`;

function onTerminal(...args: string[]): Program {
  // Deno's own progress would write between the lines
  const run = [Deno.execPath(), "run", "--quiet", "-A"];
  const command = [...run, CLI, "serve", ...args];
  return new Program("python3", ["-c", PYTHON_TERMINAL, ...command]);
}

async function talk(port: number): Promise<Deno.NetAddr> {
  using client = await Talker.connect(port);
  await client.say("hello");
  assertEquals(await client.hear(), "hello");
  return client.address as Deno.NetAddr;
}

for (const mode of ["event-loop", "threading", "forking"]) {
  Deno.test(`serve --log json prints an object a line, and nothing else on stdout, ${mode}`, async () => {
    await using server = await serve("tcp://:0", "-m", mode, "--log", "json");
    const { program } = server;
    const { port } = await talk(server.port);
    await program.stdout.until(/"event":"requestEnd".*\n/);
    program.kill("SIGTERM");
    assertEquals(await program.code(), 0);
    const events = program.stdout.text.trim().split("\n")
      .map((line) => JSON.parse(line));
    const connection = events.find(({ event }) => event === "connection");
    assertEquals(connection.client, `127.0.0.1:${port}`);
    const end = events.find(({ event }) => event === "requestEnd");
    assertEquals(end.client, `127.0.0.1:${port}`);
    assertEquals([end.bytesRead, end.bytesWritten], [5, 5]);
    assertEquals(typeof end.duration, "number");
    assertEquals(events.at(-1).event, "drainEnd");
    assertMatch(program.stderr.text, /^Serving .*\nStopping.*\nStopped.*\n$/);
  });
}

Deno.test("serve --log text prints the end of a connection with bytes and duration", async () => {
  await using server = await serve("tcp://:0", "--log", "text");
  await talk(server.port);
  await server.program.stdout.until(
    /^\S+Z connection server=\S+ client=\S+\n(.*\n)*\S+Z requestEnd .* duration=[\d.]+ bytesRead=5 bytesWritten=5 failed=false /m,
  );
});

Deno.test("serve --stats prints a line every so often when piped", async () => {
  await using server = await serve("tcp://:0", "--stats", "1");
  const { stderr } = server.program;
  await stderr.until(/^\S+Z 0 open, 0 accepted \(0\/s\), .* \d+ replicas\n/);
  await talk(server.port);
  await stderr.until(/\n\S+Z 0 open, 1 accepted \(\d+\/s\), 0 errors, p50 /);
});

Deno.test(
  "serve --stats updates one line in place on a terminal",
  needs("python3"),
  async () => {
    await using program = onTerminal("tcp://:0", "--stats", "1");
    const { stdout } = program;
    const [, port] = await stdout.until(
      /Serving echo on 127.0.0.1:(\d+) .*\r\n/,
    );
    await stdout.until(
      // deno-lint-ignore no-control-regex
      /\r\n0 open, 0 accepted [^\r\n]*\r\n\r\x1b\[1A\x1b\[J0 open, 0 acc/,
    );
    await talk(Number(port));
    // A line of a connection takes its place, and it comes back below
    await stdout.until(
      // deno-lint-ignore no-control-regex
      /\r\x1b\[1A\x1b\[Jconnection from \S+\r\n\d open, .*\r\n(\r\x1b\[1A\x1b\[J\d open, .*\r\n)*\r\x1b\[1A\x1b\[J0 open, 1 accepted/,
    );
    await program.endInput();
    await stdout.until(/\r\nStopped: .*\r\n$/);
    assertEquals(await program.code(), 0);
  },
);

Deno.test(
  "serve --stats leaves the stack of an error whole on a terminal",
  needs("python3"),
  async () => {
    await using dir = await makeDir();
    await Deno.writeTextFile(`${dir.path}/failing.ts`, FAILING);
    const handler = `${dir.path}/failing.ts#Failing`;
    // A thread prints it a moment before the server hears of it
    const args = ["-m", "event-loop", "--stats", "1", "--handler", handler];
    await using program = onTerminal("tcp://:0", ...args);
    const { stdout } = program;
    const [, port] = await stdout.until(/ on 127.0.0.1:(\d+) .*\r\n/);
    await stdout.until(/\r\n0 open, 0 accepted/);
    using client = await Talker.connect(Number(port));
    assertEquals(await client.hear(), "");
    const [stack] = await stdout.until(
      /\r\n-{40}\r\nException [^]*Error: boom[^]*\r\n-{40}\r\n[^]* 1 accepted/,
    );
    // The next line comes below it, and erases nothing
    // deno-lint-ignore no-control-regex
    assertNotMatch(stack.replace(/^[^]*\r\n-{40}\r\n/, ""), /\x1b/);
  },
);

Deno.test(
  "serve --top shows a table of the replicas on a terminal",
  needs("python3"),
  async () => {
    await using program = onTerminal("tcp://:0", "--top", "--workers", "2");
    const { stdout } = program;
    const [, port] = await stdout.until(
      /Serving echo on 127.0.0.1:(\d+) .*\r\n/,
    );
    await talk(Number(port));
    await stdout.until(
      // deno-lint-ignore no-control-regex
      /\r\x1b\[4A\x1b\[J0 open, 1 accepted .*\r\nreplica +state +open .*\r\n +1 +serving +0 +[01] .*\r\n +2 +serving/,
    );
    await program.endInput();
    await stdout.until(/\r\nStopped: .*\r\n$/);
    assertEquals(await program.code(), 0);
  },
);

Deno.test("serve goes on while nobody reads its stdout, and ends at a signal", async () => {
  const args = ["run", "-A", CLI, "serve", "tcp://:0", "-m", "event-loop"];
  await using program = new Deno.Command(Deno.execPath(), {
    args: [...args, "--log", "json"],
    stdin: "null",
    stdout: "piped", // more than a pipe holds, and nobody reads
    stderr: "piped",
  }).spawn();
  const stderr = new Transcript(program.stderr);
  const [, port] = await stderr.until(/127\.0\.0\.1:(\d+)/);
  for (let i = 0; i < 300; i++) await talk(Number(port));
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
  await stderr.ended;
  await program.stdout.cancel();
});

/** A stdout that takes nothing. */
const FULL = "/dev/full";
const fullDisk = { ignore: Deno.build.os !== "linux" };
const FULL_REGEXP = /^error: Cannot write to stdout: No space left .*\n$/;

function onFullDisk(...args: string[]): Program {
  const script = `exec "$@" >${FULL}`;
  const command = [Deno.execPath(), "run", "-A", CLI, ...args];
  return new Program("sh", ["-c", script, "sh", ...command]);
}

for (const args of ["help", "serve --help", "--version"]) {
  Deno.test(
    `${args} that can't be written ends with exit code 1 and one line`,
    fullDisk,
    async () => {
      await using program = onFullDisk(...args.split(" "));
      assertEquals(await program.code(), 1);
      assertMatch(program.stderr.text, FULL_REGEXP);
    },
  );
}

Deno.test(
  "client whose output can't be written ends with exit code 1 and one line",
  fullDisk,
  async () => {
    await using server = await serve("tcp://:0");
    await using program = onFullDisk("client", String(server.port));
    await program.type("hello\n");
    assertEquals(await program.code(), 1);
    assertMatch(program.stderr.text, FULL_REGEXP);
  },
);

Deno.test(
  "serve goes on while its output can't be written, says so once, and ends with exit code 1",
  fullDisk,
  async () => {
    await using program = onFullDisk("serve", ":0", "--stats", "1");
    await program.stderr.until(/^error: Cannot write to stdout: .*\n/);
    await program.stderr.until(/Z 0 open, 0 accepted/);
    program.kill("SIGTERM");
    assertEquals(await program.code(), 1);
    assertEquals(program.stderr.text.match(/error: /g)?.length, 1);
  },
);

Deno.test("show() draws its lines though the terminal is gone", () => {
  using stderr = capture(Deno.stderr);
  show(["a", "b"]);
  leave();
  assertEquals(stderr.text, "a\nb\n");
});

Deno.test("Reloads.watch() prints why it can't watch a folder", () => {
  using stderr = capture(Deno.stderr);
  using stop = new StopSignals();
  const said: string[] = [];
  const server = new TCPServer({ port: 0 }, EchoHandler, {
    bindAndActivate: false,
  });
  using reloads = new Reloads(
    server,
    parseServe([]),
    stop,
    (line) => void said.push(line),
  );
  reloads.watch("file:///no/such/folder/handler.ts");
  assertMatch(stderr.text, /^error: Cannot watch "\/no\/such\/folder": .*\n$/);
  assertEquals(said, []);
});
