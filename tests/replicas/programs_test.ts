/** What can only be seen from outside of the program that serves. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Client, exchange } from "../servers/_support.ts";
import { chooseModes, type Mode, modeOf, test, testEach } from "./_support.ts";
import { type ServerProgram, startServer } from "./_programs.ts";
import { isRunning, LINUX_ONLY, listDescendants } from "../support/system.ts";
import { until, within } from "../support/waiting.ts";

const NAMES = [
  "ThreadingTCPServer by shard",
  "ThreadingTCPServer by relay",
  "ForkingTCPServer by shard",
  "ForkingTCPServer by relay",
  "ForkingUnixStreamServer by isolate",
  "ThreadingUnixStreamServer by isolate",
];
const MODES = NAMES.map(modeOf);

async function connect(mode: Mode, program: ServerProgram): Promise<Client> {
  const client = await mode.connect(program);
  await within("a greeting", client.receive());
  return client;
}

async function assertServes(mode: Mode, program: ServerProgram): Promise<void> {
  using client = await connect(mode, program);
  assertEquals(
    await within("an echo", exchange(client, "echo")),
    "alive",
  );
}

testEach(
  MODES,
  "ends an endless loop or sets it aside, replaces the replica and tells it; the others serve on",
  async (mode) => {
    await using program = await startServer(mode.name, {
      workers: 2,
      stallTimeout: 1_000,
      shutdownTimeout: 500,
    });
    using other = await connect(mode, program);
    using looping = await mode.connect(program);
    const pid = Number(await within("a greeting", looping.receive()));
    await looping.send("loop\n");
    const line = await within("the report", program.readLine());
    assertStringIncludes(line!, "error RunnerExitError: The ");
    assertStringIncludes(line!, "did not answer for 1000 ms");
    // What waited in the queue of its own that it had under SO_REUSEPORT is lost
    if (mode.runner === "process") {
      await until(() => !isRunning(pid), "the child that loops is there");
    }
    for (const _ of Array(6)) await assertServes(mode, program);
    if (mode.dispatch !== "shard") {
      assertEquals(await exchange(other, "echo"), "alive");
    }
    program.child.kill("SIGTERM");
    // With a shared socket the other client may have been in that replica
    const end = await within("the end", program.readLine());
    if (mode.dispatch !== "shard" || !end!.startsWith("error")) {
      assertEquals(end, "served");
    } else assertEquals(await program.readLine(), "served");
    await program.readLine();
    const stats = JSON.parse((await program.readLine())!);
    assertEquals([stats.restarts, stats.workers], [1, 0]);
    assertEquals((await program.child.status).code, 0);
  },
);

testEach(
  MODES,
  "drains at SIGTERM, and the program ends",
  async (mode) => {
    await using program = await startServer(mode.name, { workers: 1 });
    using client = await connect(mode, program);
    await client.send("wait\n");
    program.child.kill("SIGTERM");
    assertEquals(await within("served", program.readLine()), "served");
    await client.send("x");
    await client.end();
    const report = JSON.parse(
      (await within("a report", program.readLine()))!,
    );
    // Completed it may have been before the close began
    assertEquals(report.aborted, []);
    assertEquals((await program.child.status).code, 0);
  },
);

for (
  const name of ["ThreadingTCPServer by relay", "ForkingTCPServer by relay"]
) {
  test(`${name}: a second SIGTERM ends a program that drains, and its children`, async () => {
    const mode = modeOf(name);
    await using program = await startServer(name, { workers: 1 });
    const children = listDescendants(program.child.pid);
    using client = await connect(mode, program);
    await client.send("wait\n");
    program.child.kill("SIGTERM");
    assertEquals(await within("served", program.readLine()), "served");
    program.child.kill("SIGTERM");
    const { signal } = await within("the end", program.child.status);
    assertEquals(signal, "SIGTERM");
    await until(
      () => !children.some(({ pid }) => isRunning(pid)),
      "children are left",
    );
  });
}

for (
  const name of [
    "ForkingTCPServer by relay",
    "ForkingUnixStreamServer by isolate",
  ]
) {
  test(
    `${name}: SIGKILL of the parent leaves no child, not even one in an endless loop`,
    async () => {
      const mode = modeOf(name);
      await using program = await startServer(name, { workers: 2 });
      using waiting = await connect(mode, program);
      await waiting.send("wait\n");
      using looping = await connect(mode, program);
      await looping.send("loop\n");
      const children = listDescendants(program.child.pid);
      assert(children.length >= 2);
      program.child.kill("SIGKILL");
      await until(
        () => !children.some(({ pid }) => isRunning(pid)),
        "children are left",
      );
    },
    LINUX_ONLY,
  );
}

test("ForkingTCPServer by shard: a SIGHUP to the whole group reloads, and ends no child with a request", async () => {
  const name = "ForkingTCPServer by shard";
  const mode = modeOf(name);
  await using program = await startServer(name, { workers: 2 });
  using client = await connect(mode, program);
  await client.send("wait\n");
  Deno.kill(-program.child.pid, "SIGHUP");
  assertEquals(await program.readLine(), "reloading");
  await client.send("x");
  await client.end();
  const line = await within("reload()", program.readLine());
  assertEquals(line, "reloaded");
  program.child.kill("SIGTERM");
  assertEquals(await program.readLine(), "served");
  await program.readLine();
  const stats = JSON.parse((await program.readLine())!);
  assertEquals([stats.restarts, stats.errors], [0, 0]);
});

for (
  const [flagged, expected] of [[true, "shard"], [false, "relay"]] as const
) {
  test(`a forking server shares its port or relays, as Deno's flags allow: by ${expected}`, async () => {
    const name = "ForkingTCPServer by shard";
    await using program = await startServer(
      name,
      { workers: 1, dispatch: "auto" },
      flagged ? undefined : "",
    );
    assertEquals(program.stats.dispatch, expected);
    await assertServes(modeOf(name), program);
  });
}

test("a threading server shares its port without flags", async () => {
  const name = "ThreadingTCPServer by shard";
  await using program = await startServer(name, { workers: 1 }, "");
  assertEquals(program.stats.dispatch, "shard");
  await assertServes(modeOf(name), program);
});

const TCP_MODES = MODES.filter(({ transport }) => transport === "tcp");
for (const { name } of chooseModes(TCP_MODES, "are refused")) {
  test(`servers are refused the port of a ${name} of another program`, async () => {
    await using program = await startServer(name, { workers: 1 });
    const { port } = program.serverAddress as Deno.NetAddr;
    for (const other of ["ThreadingTCPServer", "ForkingTCPServer"]) {
      assertRefused(modeOf(`${other} by shard`), port);
    }
  });
}

function assertRefused(mode: Mode, port: number): void {
  try {
    mode.openAt(port).serverClose();
  } catch (error) {
    assert(error instanceof Deno.errors.AddrInUse, String(error));
    assertStringIncludes(error.message, `${port}`);
    return;
  }
  throw new Error("Two programs listen on one port");
}
