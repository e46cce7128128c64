import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  ChargenHandler,
  CommandRequestHandler,
  DaytimeHandler,
  DiscardHandler,
  EchoHandler,
  SumHandler,
} from "../../handlers/mod.ts";
import {
  type Addressed,
  type AnyHandlerClass,
  type AnyServer,
  kinds,
} from "../servers/_support.ts";
import { CLI, cli, makeDir, Program, runCli } from "./_cli.ts";
import {
  type TcpServerOptions,
  UDPServer,
  UnixDatagramServer,
} from "../../mod.ts";
import { needs } from "../support/programs.ts";

const PEM = new URL("../servers/certificates/", import.meta.url).pathname;

/** Types two lines and the end of the input on a terminal. */
const PYTHON_TERMINAL = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
steps = [(b"> ", b"2 3\\n"), (b"5\\r\\n> ", b"2\\n"), (b"got 1\\r\\n> ", b"\\x04")]
seen = b""
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    sys.stdout.buffer.write(data)
    if steps and seen.endswith(steps[0][0]):
        os.write(fd, steps.pop(0)[1])
        seen = b""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** Closes a connection with SO_LINGER 0, which is a reset. */
const PYTHON_RESETTING = `
import socket, struct
server = socket.create_server(("127.0.0.1", 0))
print("port", server.getsockname()[1], flush=True)
client, _ = server.accept()
client.recv(100)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
`;

/** Answers nothing before its input has ended. */
class Sorter extends CommandRequestHandler {
  override command = "sort";
}

/** Serves in this program: the client is what is tested. */
function serve(
  kind: keyof typeof kinds,
  Handler: AnyHandlerClass = EchoHandler,
  options: TcpServerOptions = {},
): AnyServer {
  const server = kinds[kind].open(Handler, options as never);
  void server.serveForever();
  return server;
}

/** A server's address, as options of the client. */
function optionsOf({ serverAddress }: Addressed): string[] {
  if ("path" in serverAddress) {
    const { transport, path } = serverAddress;
    const name = transport === "unix" ? "unix" : "unix-datagram";
    return ["--transport", name, "--path", path!];
  }
  const { transport, port } = serverAddress as Deno.NetAddr;
  return ["--transport", transport, "--port", String(port)];
}

/** A server's address, as an argument of the client. */
function urlOf({ serverAddress }: Addressed): string {
  return `tcp://localhost:${(serverAddress as Deno.NetAddr).port}`;
}

for (const kind of ["tcp", "udp", "unix", "unixDatagram"] as const) {
  Deno.test(`client sends piped lines to ${kinds[kind].name} and prints every answer`, async () => {
    await using server = serve(kind, SumHandler);
    assertEquals(
      await runCli(["client", ...optionsOf(server)], "2 3\nx y\n20 22"),
      {
        code: 0,
        stdout: '5\nTypeError: "x" is not an integer\n42\n',
        stderr: "",
      },
    );
  });
}

Deno.test("client loses nothing of 4 MB that a server echoes", async () => {
  await using server = serve("tcp");
  const input = `${"0123456789abcdef".repeat(64)}\n`.repeat(4_000);
  const args = ["client", ...optionsOf(server)];
  const { code, stdout } = await runCli(args, input);
  assertEquals(code, 0);
  assertEquals(stdout === input, true);
});

Deno.test("client ends when a server answers nothing", async () => {
  await using server = serve("tcp", DiscardHandler);
  const args = ["client", ...optionsOf(server)];
  assertEquals(await runCli(args, "one\ntwo\n"), {
    code: 0,
    stdout: "",
    stderr: "",
  });
});

Deno.test("client ends with the server, though its input goes on", async () => {
  await using server = serve("tcp", DaytimeHandler);
  await using client = cli("client", ...optionsOf(server));
  assertEquals(await client.code(), 0);
  assertMatch(client.stdout.text, /^\d{4}-.*Z\r\n$/);
  assertMatch(client.stderr.text, /^"127.0.0.1:\d+" closed the connection\n$/);
});

Deno.test("client ends when nobody reads what it prints", async () => {
  await using server = serve("tcp", ChargenHandler);
  await using client = cli("client", ...optionsOf(server));
  await client.stdout.until(/ !"#/);
  await client.stdout.cancel();
  assertEquals(await client.code(), 0);
});

Deno.test("client tells a refused connection in one line", async () => {
  // A port that was free a moment ago may be another test's by now
  const { code, stderr } = await runCli(["client", "--port", "1"]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: Cannot connect to "127\.0\.0\.1:\d+": .*refused.*; start a server.*\n$/,
  );
});

Deno.test(
  "client tells a reset connection in one line",
  needs("python3"),
  async () => {
    await using server = new Program("python3", ["-c", PYTHON_RESETTING]);
    const [, port] = await server.stdout.until(/port (\d+)\n/);
    await using client = cli("client", "--port", port!);
    await client.type("one\n");
    assertEquals(await client.code(), 1);
    assertMatch(
      client.stderr.text,
      /^error: "127\.0\.0\.1:\d+" reset the connection: .*\n$/,
    );
  },
);

for (const transport of ["unix", "unix-datagram"]) {
  Deno.test(`client tells a missing ${transport} server in one line`, async () => {
    await using dir = await makeDir();
    const address = ["--transport", transport, "--path", `${dir.path}/socket`];
    const { code, stderr } = await runCli(["client", ...address], "hello\n");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot (connect|send) to ".*socket": .*; start a server there or give another --path\n$/,
    );
  });
}

Deno.test("client tells a line over udp that got no answer", async () => {
  await using server = serve("udp", DiscardHandler);
  const { port } = server.serverAddress as Deno.NetAddr;
  const args = ["client", ...optionsOf(server), "--timeout", "100"];
  assertEquals(await runCli(args, "one\n"), {
    code: 1,
    stdout: "",
    stderr: `No answer from "127.0.0.1:${port}" within 100 ms\n`,
  });
});

Deno.test("client sends and prints all that a packet over IPv6 carries", async () => {
  await using server = new UDPServer({ hostname: "::1", port: 0 }, EchoHandler);
  void server.serveForever();
  const line = "x".repeat(65_526) + "\n";
  const args = ["client", `udp://[::1]:${server.serverAddress.port}`];
  assertEquals(await runCli(args, line), { code: 0, stdout: line, stderr: "" });
});

Deno.test("client prints each of several packets that answer one line", async () => {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const { port } = socket.addr as Deno.NetAddr;
  const args = ["client", "--transport", "udp", "--port", String(port)];
  const running = runCli(args, "go\n");
  const [, from] = await socket.receive();
  for (const text of ["one", "two\n", "three"]) {
    await socket.send(new TextEncoder().encode(text), from);
  }
  assertEquals((await running).stdout, "one\ntwo\nthree\n");
  socket.close();
});

Deno.test("client takes no packet of a stranger for an answer", async () => {
  const open = () =>
    Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const [socket, stranger] = [open(), open()];
  const { port } = socket.addr as Deno.NetAddr;
  const running = runCli(["client", `udp://localhost:${port}`], "go\n");
  const [, from] = await socket.receive();
  await stranger.send(new TextEncoder().encode("forged"), from);
  await socket.send(new TextEncoder().encode("true"), from);
  assertEquals((await running).stdout, "true\n");
  socket.close();
  stranger.close();
});

Deno.test("client over unix-datagram leaves no file behind", async () => {
  await using folder = await makeDir();
  const dir = folder.path;
  const address = { path: `${dir}/socket` };
  await using server = new UnixDatagramServer(address, EchoHandler);
  void server.serveForever();
  // The server replies through a hidden folder
  const list = async () =>
    (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name))
      .filter((name) => !name.startsWith("."));
  const before = await list();
  const args = ["run", "-A", CLI, "client", ...optionsOf(server)];
  const env = { TMPDIR: dir };
  for (const end of ["input", "SIGINT", "SIGTERM"] as const) {
    await using client = new Program(Deno.execPath(), args, { env });
    await client.type("hello\n");
    await client.stdout.until(/hello\n/);
    if (end === "input") await client.endInput();
    else client.kill(end);
    await client.code();
    assertEquals(await list(), before, end);
  }
});

for (const kind of ["tcp", "udp"] as const) {
  Deno.test(
    `client prompts on a terminal, over ${kind}`,
    needs("python3"),
    async () => {
      await using server = serve(kind, SumHandler);
      const command = ["run", "-A", CLI, "client", ...optionsOf(server)];
      await using terminal = new Program("python3", [
        ...["-c", PYTHON_TERMINAL, Deno.execPath(), ...command],
      ]);
      assertEquals(await terminal.code(), 0, terminal.stdout.text);
      assertStringIncludes(terminal.stdout.text, "> 2 3\r\n5\r\n> 2\r\n");
    },
  );
}

Deno.test("client --crlf ends each line with CR LF, once", async () => {
  await using server = serve("tcp");
  const client = ["client", urlOf(server), "--crlf"];
  const { stdout } = await runCli(client, "a\n\nb\r\nc");
  assertEquals(stdout, "a\r\n\r\nb\r\nc");
});

for (const kind of ["tcp", "udp"] as const) {
  Deno.test(`client tells in one line why it can't read its input, ${kind}`, async () => {
    await using server = serve(kind);
    const script = 'exec "$@" </'; // a folder
    const command = [Deno.execPath(), "run", "-A", CLI, "client"];
    const args = ["-c", script, "sh", ...command, ...optionsOf(server)];
    await using program = new Program("sh", args);
    assertEquals(await program.code(), 1);
    assertMatch(
      program.stderr.text,
      /^error: Cannot read stdin: Is a directory .*\n$/,
    );
  });
}

Deno.test("client --crlf takes a CR LF in two pieces for one", async () => {
  await using server = serve("tcp");
  await using client = cli("client", urlOf(server), "--crlf");
  await client.type("a\r");
  await client.stdout.until(/^a\r$/);
  await client.type("\nb\n");
  await client.stdout.until(/^a\r\nb\r\n$/);
  await client.endInput();
  assertEquals(await client.code(), 0);
});

Deno.test("client closes its half at the end of the input, and hears all", async () => {
  await using server = serve("tcp", Sorter);
  const client = ["client", urlOf(server)];
  const { code, stdout } = await runCli(client, "c\na\nb\n");
  assertEquals({ code, stdout }, { code: 0, stdout: "a\nb\nc\n" });
});

Deno.test("client --tls talks TLS, with the authority of --ca", async () => {
  const [cert, key] = ["cert", "key"].map((name) =>
    Deno.readTextFileSync(`${PEM}${name}.pem`)
  ) as [string, string];
  await using server = serve("tcp", EchoHandler, { cert, key });
  const client = ["client", urlOf(server), "--tls"];
  assertEquals(await runCli([...client, "--ca", `${PEM}ca.pem`], "hello\n"), {
    code: 0,
    stdout: "hello\n",
    stderr: "",
  });
  const { code, stderr } = await runCli(client, "hello\n");
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: Cannot connect to .*UnknownIssuer; give .* --ca FILE\n$/,
  );
});

Deno.test("client --tls tells a server without TLS in one line", async () => {
  await using server = serve("tcp");
  const client = ["client", urlOf(server), "--tls"];
  const { code, stderr } = await runCli(client, "hello\n");
  assertEquals(code, 1);
  assertMatch(stderr, /^error: Cannot connect to .*; leave --tls out if .*\n$/);
});
