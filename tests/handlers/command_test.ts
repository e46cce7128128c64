import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
} from "@std/assert";
import {
  CommandRequestHandler,
  TCPServer,
  UnixStreamServer,
} from "../../mod.ts";
import {
  collectErrors,
  dial,
  freePath,
  readExactly,
  readToEnd,
  test,
  writeAll,
} from "../servers/_support.ts";
import { isRunning, LINUX_ONLY } from "../support/system.ts";
import { until } from "../support/waiting.ts";

/** Runs the command of the context. */
class Run extends CommandRequestHandler<string[]> {
  override command = this.server.context[0]!;
  override args = this.server.context.slice(1);
}

function serve(...context: string[]): TCPServer<string[]> {
  const server = new TCPServer({ port: 0 }, Run, {
    context,
    shutdownTimeout: 0,
  });
  server.serveForever();
  return server;
}

/** Prints the number that comes first, and ends in the midst of the rest. */
const LEAVE = `
const connection = await Deno.connect({ port: Number(Deno.args[0]) });
const byte = new Uint8Array(1);
while (await connection.read(byte) !== null && byte[0] !== 10) {
  await Deno.stdout.write(byte);
}
Deno.exit();
`;

/** The number that a command's script prints first: its process id. */
async function readPid(conn: Deno.Conn): Promise<number> {
  let text = "";
  while (!text.endsWith("\n")) {
    text += String.fromCharCode(...await readExactly(conn, 1));
  }
  return Number(text);
}

test("CommandRequestHandler gives both directions to the command", async () => {
  await using server = serve("sort", "-n");
  using client = await dial(server);
  await writeAll(client, "30\n4\n");
  await client.closeWrite();
  assertEquals(await readToEnd(client), "4\n30\n");
});

test("CommandRequestHandler passes a conversation on as it comes", async () => {
  await using server = serve("cat");
  using client = await dial(server);
  for (const word of ["one", "two", "three"]) {
    await writeAll(client, word);
    const answer = await readExactly(client, word.length);
    assertEquals(new TextDecoder().decode(answer), word);
  }
});

test("CommandRequestHandler carries megabytes through a command that is slow to read", async () => {
  await using server = serve("sh", "-c", "sleep 0.1; cat");
  using client = await dial(server);
  const bytes = new Uint8Array(8 << 20).map((_, i) => 97 + i % 25);
  const sending = writeAll(client, bytes).then(() => client.closeWrite());
  const received = await readExactly(client, bytes.length);
  await sending;
  assertEquals(await readToEnd(client), "");
  assert(received.every((byte, i) => byte === bytes[i]));
});

test(
  "CommandRequestHandler holds a command up while the client does not read",
  async () => {
    const counter = freePath();
    await using server = serve(
      ...[
        "sh",
        "-c",
        'echo $$; exec dd if=/dev/zero bs=65536 count=1000 2>"$0"',
      ],
      counter,
    );
    using client = await dial(server);
    const pid = await readPid(client);
    const written = () => {
      const io = Deno.readTextFileSync(`/proc/${pid}/io`);
      return Number(/wchar: (\d+)/.exec(io)![1]);
    };
    let before = -1;
    // It stands still: all buffers on the way are full
    await until(() => before === (before = written()), "the command stands");
    assert(isRunning(pid));
    assertEquals((await readToEnd(client)).length, 65_536_000);
  },
  LINUX_ONLY,
);

test("CommandRequestHandler tells the client the end when stdout is closed", async () => {
  const proof = freePath();
  await using server = serve("sh", "-c", 'echo hi; exec >&-; cat >"$0"', proof);
  using client = await dial(server);
  assertEquals(await readToEnd(client), "hi\n");
  await writeAll(client, "more");
  await client.closeWrite();
  await until(
    async () => await Deno.readTextFile(proof).catch(() => "") === "more",
    "the command got the rest",
  );
});

test("CommandRequestHandler takes a command that does not read its stdin", async () => {
  await using server = serve("echo", "no questions");
  const errors = collectErrors(server);
  using client = await dial(server);
  await writeAll(client, new Uint8Array(1 << 20)).catch(() => {});
  await readToEnd(client).catch(() => {});
  await until(async () => (await server.stats()).open === 0, "it ended");
  assertEquals(errors.filter((error) => !isReset(error)), []);
});

function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe;
}

test("CommandRequestHandler ends the command when the client resets", async () => {
  const script = "printf '%s\\nunread' $$; exec sleep 100";
  await using server = serve("sh", "-c", script);
  const errors = collectErrors(server);
  // A program that ends with bytes unread resets its connections
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", LEAVE, String(server.serverAddress.port)],
  }).output();
  const pid = Number(new TextDecoder().decode(stdout));
  await until(() => !isRunning(pid), "the command is gone");
  await until(async () => (await server.stats()).open === 0, "it ended");
  assertEquals(errors.map(isReset), [true]);
});

test("CommandRequestHandler ends a command that writes to a client that left", async () => {
  await using server = serve("sh", "-c", "echo $$; exec yes");
  collectErrors(server);
  const client = await dial(server);
  const pid = await readPid(client);
  client.close();
  await until(() => !isRunning(pid), "the command is gone");
});

test("CommandRequestHandler kills a command that ignores SIGTERM when the server closes", async () => {
  const server = serve(
    ...["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done"],
  );
  using client = await dial(server);
  const pid = await readPid(client);
  const report = await server.serverClose();
  assertEquals(report.aborted, [client.localAddr]);
  await until(() => !isRunning(pid), "the command is gone");
});

test("CommandRequestHandler closes stdin when the server closes, and lets the command finish", async () => {
  const script = "while read x; do echo $x; done; sleep 0.2; echo finished";
  await using server = serve("sh", "-c", script);
  server.shutdownTimeout = 60_000;
  using client = await dial(server);
  await writeAll(client, "one\n");
  assertEquals(await readExactly(client, 4), new TextEncoder().encode("one\n"));
  const closing = server.serverClose();
  assertEquals(await readToEnd(client), "finished\n");
  client.close();
  assertEquals(await closing, { completed: 1, aborted: [] });
});

test("CommandRequestHandler sets UCSPI's variables for TCP", async () => {
  await using server = serve("env");
  using client = await dial(server);
  const text = await readToEnd(client);
  const { port } = client.localAddr as Deno.NetAddr;
  const expected = {
    PROTO: "TCP",
    TCPREMOTEIP: "127.0.0.1",
    TCPREMOTEPORT: port,
    TCPLOCALIP: "127.0.0.1",
    TCPLOCALPORT: server.serverAddress.port,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertMatch(text, new RegExp(`^${name}=${value}$`, "m"));
  }
});

test("CommandRequestHandler sets UCSPI's variables for a Unix socket", async () => {
  const path = freePath();
  await using server = new UnixStreamServer({ path }, Run, {
    context: ["env"],
  });
  server.serveForever();
  using client = await dial(server);
  const text = await readToEnd(client);
  assertMatch(text, /^PROTO=UNIX$/m);
  assertMatch(text, new RegExp(`^UNIXLOCALPATH=${path}$`, "m"));
  assert(!text.includes("UNIXREMOTEPATH"));
});

test("CommandRequestHandler names a command that can't be run", async () => {
  await using server = serve("no-such-command");
  const errors = collectErrors(server);
  using client = await dial(server);
  assertEquals(await readToEnd(client), "");
  const [error] = errors;
  assertInstanceOf(error, Deno.errors.NotFound);
  assertMatch(error.message, /^Cannot run "no-such-command": /);
});

test("CommandRequestHandler uses its cwd and env, and no shell", async () => {
  class Show extends CommandRequestHandler {
    override command = "sh";
    override args = ["-c", 'pwd; echo "$GREETING"; echo "$0"', "$(id); *"];
    override cwd = "/";
    override env = { GREETING: "hi" };
  }
  await using server = new TCPServer({ port: 0 }, Show);
  server.serveForever();
  using client = await dial(server);
  assertEquals(await readToEnd(client), "/\nhi\n$(id); *\n");
});

test("CommandRequestHandler lets a client wait for its command beyond idleTimeout", async () => {
  await using server = new TCPServer({ port: 0 }, Run, {
    context: ["sh", "-c", "read x; sleep 0.5; echo answer"],
    idleTimeout: 100,
  });
  server.serveForever();
  using client = await dial(server);
  await writeAll(client, "question\n");
  assertEquals(await readToEnd(client), "answer\n");
});

test("CommandRequestHandler tells the command an abstract path", async () => {
  const path = `\0socketserver-${crypto.randomUUID()}`;
  await using server = new UnixStreamServer({ path }, Run, {
    context: ["sh", "-c", 'echo "$UNIXLOCALPATH"'],
  });
  server.serveForever();
  using client = await Deno.connect({ transport: "unix", path });
  assertEquals(await readToEnd(client), `${path.replace("\0", "@")}\n`);
}, LINUX_ONLY);

test(
  "CommandRequestHandler ends what the command has started, too",
  async () => {
    await using server = serve("sh", "-c", "sleep 60 & echo $!; wait");
    using client = await dial(server);
    const pid = await readPid(client);
    await server.serverClose();
    await until(() => !isRunning(pid), "the command's child has ended");
  },
  LINUX_ONLY,
);

test("CommandRequestHandler delivers all output to a client that sent more than was read", async () => {
  await using server = serve("head", "-c", "3000000", "/dev/zero");
  using client = await dial(server);
  await writeAll(client, new Uint8Array(2_000_000));
  assertEquals((await readToEnd(client)).length, 3_000_000);
});
