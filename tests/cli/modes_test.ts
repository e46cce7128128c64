import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CLI, makeDir, Program, serve, type Served, Talker } from "./_cli.ts";
import { needs } from "../support/programs.ts";
import {
  type FoundProcess,
  isRunning,
  listDescendants,
} from "../support/system.ts";

/** Sends a line to each server, and prints the answers. */
const PYTHON_CLIENT = `
import os, socket, sys
for transport, at in zip(sys.argv[1::2], sys.argv[2::2]):
    is_unix = transport.startswith("unix")
    is_packet = transport in ("udp", "unix-datagram")
    client = socket.socket(
        socket.AF_UNIX if is_unix else socket.AF_INET,
        socket.SOCK_DGRAM if is_packet else socket.SOCK_STREAM)
    client.settimeout(20)
    if transport == "unix-datagram":
        client.bind(at + ".client")
    client.connect(at if is_unix else ("127.0.0.1", int(at)))
    client.sendall(b"hello\\n")
    print(client.recv(100).decode(), end="")
`;

/** Ends the lines with where they were handled. */
const HANDLER = `
import { RequestHandler } from "@socketserver/socketserver";
const inThread = "WorkerGlobalScope" in globalThis;
export class Where extends RequestHandler {
  async handle() {
    for await (const line of this.rfile) {
      await this.wfile.write(\`\${line} \${inThread} \${Deno.pid}\\n\`);
    }
  }
}
`;

const MODES = ["event-loop", "threading", "forking"] as const;
const TRANSPORTS = ["tcp", "udp", "unix", "unix-datagram"];
const TAKES_ALL = Deno.env.get("TEST_MODES") === "all";
const ROOT = new URL("../../", import.meta.url).pathname;
const IS_LINUX = Deno.build.os === "linux";

type Mode = typeof MODES[number];

/** The places of a mode that handlers have named. */
function placeOf(answer: string, pid: number): Mode | null {
  const match = answer.match(/^hello (true|false) (\d+)$/);
  if (match === null) return null;
  if (match[1] === "true") return "threading";
  return Number(match[2]) === pid ? "event-loop" : "forking";
}

/** Asks one server after the other, each by its transport and address. */
async function askFromPython(...addresses: string[]): Promise<string[]> {
  const args = ["-c", PYTHON_CLIENT, ...addresses];
  await using python = new Program("python3", args);
  assertEquals(await python.code(), 0, python.stderr.text);
  return python.stdout.text.trimEnd().split("\n");
}

/** Serves the handler in one of the twelve ways. */
async function serveWhere(
  dir: string,
  mode: Mode,
  transport: string,
): Promise<{ transport: string; at: string; server: Served }> {
  const path = `${dir}/${transport}-${mode}`;
  const isUnix = transport.startsWith("unix");
  const server = await serve(
    ...["--mode", mode, "--transport", transport],
    ...isUnix ? ["--path", path] : ["--port", "0"],
    ...["--handler", `${dir}/where.ts#Where`],
  );
  return { transport, at: isUnix ? path : String(server.port), server };
}

/** Has a request begun, and the rest of it missing. */
async function beginRequest(server: Served): Promise<Talker> {
  const client = await Talker.connect(server.port);
  await client.say("1 1\n2 ");
  assertEquals(await client.hear(), "2\n");
  return client;
}

async function endRequest(client: Talker): Promise<void> {
  await client.say("3\n");
  assertEquals(await client.hear(), "5\n");
  assertEquals(await client.hear(), "");
}

function assertNoneRuns(processes: FoundProcess[]): void {
  assertEquals(processes.filter(({ pid }) => isRunning(pid)), []);
}

Deno.test(
  "serve has one handler file answer a Python client by each of the twelve classes",
  needs("python3"),
  async (t) => {
    await using dir = await makeDir();
    await Deno.writeTextFile(`${dir.path}/where.ts`, HANDLER);
    for (const mode of MODES) {
      await t.step(mode, async () => {
        await using stack = new AsyncDisposableStack();
        const all = await Promise.all(TRANSPORTS.map(async (transport) => {
          const served = await serveWhere(dir.path, mode, transport);
          stack.use(served.server);
          return served;
        }));
        const answers = await askFromPython(
          ...all.flatMap(({ transport, at }) => [transport, at]),
        );
        for (const [index, { at, server: { program } }] of all.entries()) {
          const answer = answers[index]!;
          assertEquals(placeOf(answer, program.pid), mode, answer);
          await program.stdout.until(/\n(connection|packet) from .+\n/);
          program.kill("SIGTERM");
          assertEquals(await program.code(), 0);
          assertMatch(program.stdout.text, /\nStopped: .*, 0 cut off\n$/);
          assertEquals(program.stderr.text, "");
          if (at.includes("/")) await assertRejects(() => Deno.lstat(at));
        }
      });
    }
  },
);

for (const mode of ["threading", "forking"] as const) {
  const few = mode === "threading" ? ["shard", "isolate"] : ["relay"];
  for (const dispatch of TAKES_ALL ? ["shard", "relay", "isolate"] : few) {
    Deno.test(`serve --mode ${mode} --dispatch ${dispatch} prints connections, drains and leaves no child`, async () => {
      await using server = await serve(
        ...["--port", "0", "--handler", "sum", "--mode", mode],
        ...["--workers", "2", "--dispatch", dispatch],
      );
      const { program } = server;
      assertMatch(program.stdout.text, RegExp(`\\(tcp, ${mode}, ${dispatch}`));
      using client = await beginRequest(server);
      await program.stdout.until(/\nconnection from 127\.0\.0\.1:\d+\n/);
      const children = listDescendants(program.pid);
      if (IS_LINUX) assertEquals(children.length > 0, mode === "forking");
      program.kill("SIGINT");
      await program.stdout.until(/\nStopping: .*\n/);
      await endRequest(client);
      assertEquals(await program.code(), 0);
      assertMatch(
        program.stdout.text,
        /\nStopped: 1 open request finished, 0 cut off\n$/,
      );
      assertEquals(program.stderr.text, "");
      assertNoneRuns(children);
    });
  }

  Deno.test(`serve --mode ${mode} cuts off what outlasts --shutdown-timeout and names it`, async () => {
    const limit = ["--shutdown-timeout", "200", "--mode", mode];
    await using server = await serve(
      "--port",
      "0",
      "--handler",
      "sum",
      ...limit,
    );
    using client = await beginRequest(server);
    server.program.kill("SIGTERM");
    assertEquals(await client.hear(), "");
    assertEquals(await server.program.code(), 3);
    const { port } = client.address as Deno.NetAddr;
    assertMatch(
      server.program.stdout.text,
      RegExp(
        `\nStopped: 0 open requests finished, 1 cut off \\(127.0.0.1:${port}\\)\n$`,
      ),
    );
  });

  Deno.test(`serve --mode ${mode} ends at once at a second signal, with its children`, async () => {
    const args = ["--port", "0", "--handler", "sum", "--mode", mode];
    await using server = await serve(...args);
    const { program } = server;
    using _client = await beginRequest(server);
    const children = listDescendants(program.pid);
    program.kill("SIGINT");
    await program.stdout.until(/\nStopping: .*\n/);
    program.kill("SIGINT");
    assertEquals(await program.code(), 130);
    while (children.some(({ pid }) => isRunning(pid))) {
      // Children learn of it by the end of their channel
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
}

Deno.test("serve --dispatch auto serves by relay where there is no port to share", async () => {
  const args = ["--transport", "udp", "--port", "0", "--dispatch", "auto"];
  await using server = await serve(...args);
  assertMatch(server.program.stdout.text, /\(udp, threading, relay\)/);
});

Deno.test("a handler file that a replica can't run is reported in one line, with exit code 1", async () => {
  const dir = await Deno.makeTempDir();
  const file = `${dir}/where.ts`;
  const text = `
    if ("WorkerGlobalScope" in globalThis) throw new Error("no luck");
    ${HANDLER}`;
  await Deno.writeTextFile(file, text);
  const args = ["serve", "--port", "0", "--handler", `${file}#Where`];
  await using program = new Program(Deno.execPath(), [
    "run",
    "-A",
    CLI,
    ...args,
  ]);
  assertEquals(await program.code(), 1);
  assertEquals(program.stdout.text, "");
  assertMatch(program.stderr.text, /^error: [^\n]*no luck[^\n]*\n$/);
  await Deno.remove(dir, { recursive: true });
});

for (const mode of MODES) {
  Deno.test({
    name:
      `deno task serve --mode ${mode} drains at a Ctrl-C, which arrives twice`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      const command = ["task", "--cwd", ROOT, "serve", "--port", "0"];
      const args = [...command, "--handler", "sum", "--mode", mode];
      // A group of its own, as a terminal gives to a command
      await using program = new Program(Deno.execPath(), args, {
        detached: true,
      });
      const ready = await program.stdout.until(/Serving sum on \S+:(\d+) /);
      using client = await Talker.connect(Number(ready[1]));
      await client.say("1 1\n2 ");
      assertEquals(await client.hear(), "2\n");
      const children = listDescendants(program.pid);
      Deno.kill(-program.pid, "SIGINT");
      await program.stdout.until(/\nStopping: .*\n/);
      await endRequest(client);
      assertEquals(await program.code(), 0);
      assertMatch(
        program.stdout.text,
        /\nStopped: 1 open request finished, 0 cut off\n$/,
      );
      assertNoneRuns(children);
    },
  });
}
