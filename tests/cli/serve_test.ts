import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { CLI, cli, makeDir, Program, runCli, serve, Talker } from "./_cli.ts";
import { needs } from "../support/programs.ts";
import { within } from "../support/waiting.ts";

const PYTHON_LINES = `
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
lines = client.makefile("rw", newline="\\n")
for word in ["one", "two", "three"]:
    lines.write(word + "\\n"); lines.flush()
    print(lines.readline(), end="")
`;
const PYTHON_STAYING = `
import socket, sys, time
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b"half a li")
print("connected", flush=True)
time.sleep(60)
`;

const HANDLER = `
import { RequestHandler } from "@socketserver/socketserver";
export class Upper extends RequestHandler {
  async handle() {
    for await (const line of this.rfile) {
      await this.wfile.write(line.toUpperCase() + "\\n");
    }
  }
}
`;

Deno.test(
  "serve answers a Python client and prints its connection",
  needs("python3"),
  async () => {
    await using server = await serve("--port", "0");
    const args = ["-c", PYTHON_LINES, String(server.port)];
    await using python = new Program("python3", args);
    assertEquals(await python.code(), 0, python.stderr.text);
    assertEquals(python.stdout.text, "one\ntwo\nthree\n");
    await server.program.stdout.until(/\nconnection from 127\.0\.0\.1:\d+\n/);
  },
);

Deno.test(
  "serve goes on after a client was killed in mid-connection",
  needs("python3"),
  async () => {
    await using server = await serve("--port", "0");
    const args = ["-c", PYTHON_STAYING, String(server.port)];
    await using killed = new Program("python3", args);
    await killed.stdout.until(/connected/);
    killed.kill("SIGKILL");
    await killed.code();
    using next = await Talker.connect(server.port);
    await next.say("still there?");
    assertEquals(await next.hear(), "still there?");
    assertEquals(server.program.stderr.text, "");
  },
);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`serve lets an open request finish after ${signal}`, async () => {
    await using server = await serve("--port", "0", "--handler", "sum");
    const { program } = server;
    using client = await Talker.connect(server.port);
    await client.say("1 1\n2 ");
    assertEquals(await client.hear(), "2\n");
    program.kill(signal);
    await program.stdout.until(/\nStopping: .*\n/);
    await client.say("3\n");
    assertEquals(await client.hear(), "5\n");
    assertEquals(await client.hear(), "");
    assertEquals(await program.code(), 0);
    assertMatch(
      program.stdout.text,
      /\nStopped: 1 open request finished, 0 cut off\n$/,
    );
  });
}

Deno.test("serve cuts off what outlasts --shutdown-timeout and names it", async () => {
  const args = ["--port", "0", "--handler", "sum", "--shutdown-timeout", "200"];
  await using server = await serve(...args);
  using client = await Talker.connect(server.port);
  await client.say("1 1\n2 ");
  await client.hear();
  server.program.kill("SIGTERM");
  assertEquals(await client.hear(), "");
  assertEquals(await server.program.code(), 3);
  const { port } = client.address as Deno.NetAddr;
  assertMatch(
    server.program.stdout.text,
    new RegExp(
      `\nStopped: 0 open requests finished, 1 cut off \\(127.0.0.1:${port}\\)\n$`,
    ),
  );
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`serve ends at once at a second ${signal} during a drain`, async () => {
    await using server = await serve("--port", "0", "--handler", "sum");
    const { program } = server;
    using client = await Talker.connect(server.port);
    await client.say("1 1\n2 ");
    await client.hear();
    program.kill(signal);
    await program.stdout.until(/\nStopping: .*\n/);
    program.kill(signal);
    assertEquals(await program.code(), code);
    assertNotMatch(program.stdout.text, /Stopped/);
  });
}

Deno.test("serve takes signals of one moment for one, as deno task hands them on", async () => {
  await using server = await serve("--port", "0", "--handler", "sum");
  const { program } = server;
  using client = await Talker.connect(server.port);
  await client.say("1 1\n2 ");
  await client.hear();
  program.kill("SIGINT");
  program.kill("SIGTERM");
  await program.stdout.until(/\nStopping: .*\n/);
  await client.say("3\n");
  assertEquals(await client.hear(), "5\n");
  assertEquals(await program.code(), 0);
});

Deno.test("serve ends at a signal while the handler's file is still being imported", async () => {
  await using dir = await makeDir();
  const file = `${dir.path}/slow.ts`;
  await Deno.writeTextFile(
    file,
    `console.log("importing");
    setInterval(() => {}, 1_000);
    await new Promise(() => {});`,
  );
  await using program = cli("serve", "tcp://:0", "--handler", `${file}#Slow`);
  await program.stdout.until(/importing/);
  program.kill("SIGTERM");
  assertEquals(await within("the end", program.code()), 143);
});

Deno.test("serve goes on when nobody reads its stdout any more", async () => {
  await using server = await serve("--port", "0");
  await server.program.stdout.cancel();
  for (let i = 0; i < 3; i++) {
    using client = await Talker.connect(server.port);
    await client.say("ping");
    assertEquals(await client.hear(), "ping");
  }
  server.program.kill("SIGTERM");
  assertEquals(await server.program.code(), 0);
});

Deno.test("serve --quiet prints no connections", async () => {
  await using server = await serve("--port", "0", "--quiet");
  using client = await Talker.connect(server.port);
  await client.say("ping");
  assertEquals(await client.hear(), "ping");
  server.program.kill("SIGTERM");
  assertEquals(await server.program.code(), 0);
  assertNotMatch(server.program.stdout.text, /connection from/);
});

Deno.test("serve finds a handler's file from the working directory", async () => {
  await using dir = await makeDir();
  await Deno.writeTextFile(`${dir.path}/upper.ts`, HANDLER);
  const args = ["serve", "--port", "0", "--handler", "upper.ts#Upper"];
  await using program = new Program(
    Deno.execPath(),
    ["run", "-A", CLI, ...args],
    { cwd: dir.path },
  );
  const ready =
    /^Serving upper\.ts#Upper on 127\.0\.0\.1:\d+ \(tcp, threading, shard\); press Ctrl-C to stop\n/;
  await program.stdout.until(ready);
});

Deno.test("serve --max-connections lets the next client wait for its turn", async () => {
  await using server = await serve("--port", "0", "--max-connections", "1");
  const first = await Talker.connect(server.port);
  await first.say("first");
  assertEquals(await first.hear(), "first");
  using second = await Talker.connect(server.port);
  await second.say("second");
  const answer = second.hear();
  let answered = false;
  answer.then(() => answered = true);
  await first.say("again");
  assertEquals(await first.hear(), "again");
  assertEquals(answered, false);
  first[Symbol.dispose]();
  assertEquals(await answer, "second");
});

Deno.test("serve --max-packet-size cuts longer packets", async () => {
  const udp = ["--transport", "udp", "--port"];
  await using server = await serve(...udp, "0", "--max-packet-size", "4");
  const client = ["client", ...udp, String(server.port)];
  assertEquals((await runCli(client, "12345678\n")).stdout, "1234\n");
  await server.program.stdout.until(/\npacket from 127\.0\.0\.1:\d+\n/);
});

Deno.test("serve needs no registry: a copy of what is published serves", async () => {
  await using dir = await makeDir();
  const root = new URL("../../", import.meta.url).pathname;
  const names = ["mod.ts", "deno.json", "server", "handlers", "workers"];
  await copy(root, dir.path, names);
  const args = ["--no-remote", "--no-npm", `${dir.path}/server/cli.ts`];
  await using program = new Program(Deno.execPath(), [
    "run",
    "-A",
    ...args,
    "serve",
    "--port",
    "0",
  ], { cwd: dir.path });
  const [, port] = await program.stdout.until(/127\.0\.0\.1:(\d+)/);
  using client = await Talker.connect(Number(port));
  await client.say("ping");
  assertEquals(await client.hear(), "ping");
});

async function copy(from: string, to: string, names: string[]): Promise<void> {
  for (const name of names) {
    const { isDirectory } = await Deno.stat(`${from}/${name}`);
    if (!isDirectory) {
      await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
      continue;
    }
    await Deno.mkdir(`${to}/${name}`);
    const inner = await list(`${from}/${name}`);
    await copy(`${from}/${name}`, `${to}/${name}`, inner);
  }
}

async function list(path: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
}
