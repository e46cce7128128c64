import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CLI, cli, Program, runCli, serve, type Served } from "./_cli.ts";
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

/** Starts a server where the client is what is tested: without replicas. */
function serveLightly(...args: string[]): Promise<Served> {
  return serve("--mode", "event-loop", ...args);
}

async function withUnixPath(
  transport: string,
  use: (address: string[]) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await use(["--transport", transport, "--path", `${dir}/socket`]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

for (const transport of ["tcp", "udp"]) {
  Deno.test(`client sends piped lines over ${transport} and prints every answer`, async () => {
    const address = ["--transport", transport, "--port"];
    await using server = await serveLightly(
      ...address,
      "0",
      "--handler",
      "sum",
    );
    const { code, stdout, stderr } = await runCli(
      ["client", ...address, String(server.port)],
      "2 3\nx y\n20 22",
    );
    assertEquals(stderr, "");
    assertEquals(stdout, '5\nTypeError: "x" is not an integer\n42\n');
    assertEquals(code, 0);
  });
}

for (const transport of ["unix", "unix-datagram"]) {
  Deno.test(`client sends piped lines over ${transport} and prints every answer`, async () => {
    await withUnixPath(transport, async (address) => {
      await using _server = await serveLightly(...address, "--handler", "sum");
      const { code, stdout, stderr } = await runCli(
        ["client", ...address],
        "2 3\nx y\n20 22",
      );
      assertEquals(stderr, "");
      assertEquals(stdout, '5\nTypeError: "x" is not an integer\n42\n');
      assertEquals(code, 0);
    });
  });
}

Deno.test("client loses nothing of 4 MB that a server echoes", async () => {
  await using server = await serveLightly("--port", "0");
  const input = `${"0123456789abcdef".repeat(64)}\n`.repeat(4_000);
  const args = ["client", "--port", String(server.port)];
  const { code, stdout } = await runCli(args, input);
  assertEquals(code, 0);
  assertEquals(stdout === input, true);
});

Deno.test("client ends when a server answers nothing", async () => {
  await using server = await serveLightly(
    "--port",
    "0",
    "--handler",
    "discard",
  );
  const args = ["client", "--port", String(server.port)];
  assertEquals(await runCli(args, "one\ntwo\n"), {
    code: 0,
    stdout: "",
    stderr: "",
  });
});

Deno.test("client ends with the server, though its input goes on", async () => {
  await using server = await serveLightly(
    "--port",
    "0",
    "--handler",
    "daytime",
  );
  await using client = cli("client", "--port", String(server.port));
  assertEquals(await client.code(), 0);
  assertMatch(client.stdout.text, /^\d{4}-.*Z\r\n$/);
  assertMatch(client.stderr.text, /^"127.0.0.1:\d+" closed the connection\n$/);
});

Deno.test("client ends when nobody reads what it prints", async () => {
  await using server = await serveLightly(
    "--port",
    "0",
    "--handler",
    "chargen",
  );
  await using client = cli("client", "--port", String(server.port));
  await client.stdout.until(/ !"#/);
  await client.stdout.cancel();
  assertEquals(await client.code(), 0);
});

Deno.test("client tells a refused connection in one line", async () => {
  const listener = Deno.listen({ port: 0 });
  const { port } = listener.addr;
  listener.close();
  const { code, stderr } = await runCli(["client", "--port", String(port)]);
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
    await withUnixPath(transport, async (address) => {
      const { code, stderr } = await runCli(["client", ...address], "hello\n");
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot (connect|send) to ".*socket": .*; start a server there or give another --path\n$/,
      );
    });
  });
}

Deno.test("client tells a line over udp that got no answer", async () => {
  const udp = ["--transport", "udp", "--port"];
  await using server = await serveLightly(...udp, "0", "--handler", "discard");
  const port = String(server.port);
  const { code, stdout, stderr } = await runCli(
    ["client", ...udp, port, "--timeout", "100"],
    "one\n",
  );
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertEquals(stderr, `No answer from "127.0.0.1:${port}" within 100 ms\n`);
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
  const dir = await Deno.makeTempDir();
  const address = ["--transport", "unix-datagram", "--path", `${dir}/socket`];
  await using _server = await serveLightly(...address);
  // The server replies through a hidden folder
  const list = async () =>
    (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name))
      .filter((name) => !name.startsWith("."));
  const before = await list();
  const args = ["run", "-A", CLI, "client", ...address];
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
  await Deno.remove(dir, { recursive: true });
});

for (const transport of ["tcp", "udp"]) {
  Deno.test(
    `client prompts on a terminal, over ${transport}`,
    needs("python3"),
    async () => {
      const address = ["--transport", transport, "--port"];
      await using server = await serveLightly(
        ...address,
        "0",
        "--handler",
        "sum",
      );
      const client = [Deno.execPath(), "run", "-A", CLI, "client"];
      const port = String(server.port);
      await using terminal = new Program("python3", [
        "-c",
        PYTHON_TERMINAL,
        ...client,
        ...address,
        port,
      ]);
      assertEquals(await terminal.code(), 0, terminal.stdout.text);
      assertStringIncludes(terminal.stdout.text, "> 2 3\r\n5\r\n> 2\r\n");
    },
  );
}

Deno.test("client --crlf ends each line with CR LF, once", async () => {
  await using server = await serveLightly("tcp://:0");
  const client = ["client", `tcp://:${server.port}`, "--crlf"];
  const { stdout } = await runCli(client, "a\n\nb\r\nc");
  assertEquals(stdout, "a\r\n\r\nb\r\nc");
});

Deno.test("client --crlf takes a CR LF in two pieces for one", async () => {
  await using server = await serveLightly("tcp://:0");
  await using client = cli("client", `tcp://:${server.port}`, "--crlf");
  await client.type("a\r");
  await client.stdout.until(/^a\r$/);
  await client.type("\nb\n");
  await client.stdout.until(/^a\r\nb\r\n$/);
  await client.endInput();
  assertEquals(await client.code(), 0);
});

Deno.test("client closes its half at the end of the input, and hears all", async () => {
  // Answers nothing before its input has ended
  await using server = await serveLightly("tcp://:0", "--exec", "sort");
  const client = ["client", `tcp://:${server.port}`];
  const { code, stdout } = await runCli(client, "c\na\nb\n");
  assertEquals({ code, stdout }, { code: 0, stdout: "a\nb\nc\n" });
});

Deno.test("client --tls talks TLS, with the authority of --ca", async () => {
  const tls = ["--cert", `${PEM}cert.pem`, "--key", `${PEM}key.pem`];
  await using server = await serveLightly("tcp://:0", ...tls);
  const client = ["client", `tcp://localhost:${server.port}`, "--tls"];
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
  await using server = await serveLightly("tcp://:0");
  const client = ["client", `tcp://localhost:${server.port}`, "--tls"];
  const { code, stderr } = await runCli(client, "hello\n");
  assertEquals(code, 1);
  assertMatch(stderr, /^error: Cannot connect to .*; leave --tls out if .*\n$/);
});
