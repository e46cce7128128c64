/** README's table of what clients and handlers can't do, in processes. */

import { assert, assertEquals } from "@std/assert";
import type { ReplicaOptions, TcpServerOptions } from "../../mod.ts";
import { until } from "../support/waiting.ts";
import { Mischief, Quiet } from "./_mischief_fixture.ts";
import { dial, readToEnd, test, writeAll } from "./_support.ts";

const MEGABYTE = 2 ** 20;

/** The memory of this file's isolate; that of the process is others', too. */
function held(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

interface Scene {
  server: Quiet;
  /** The errors that the parent was given. */
  errors: unknown[];
  /** Sends a line and reads up to the end, or the next line. */
  ask(line: string): Promise<string>;
}

type Row = [
  options: ReplicaOptions & TcpServerOptions,
  play: (scene: Scene) => Promise<void>,
];

/** Reads to the end, which may be a reset. */
async function readAll(conn: Deno.Conn): Promise<string> {
  return await readToEnd(conn).catch(() => "");
}

const ROWS: Record<string, Row> = {
  "open too many connections, or too fast": [
    { maxConnectionsPerClient: 1, overLimit: "refuse" },
    async ({ server }) => {
      using first = await dial(server);
      await writeAll(first, "hello\n");
      assertEquals(await first.read(new Uint8Array(9)), 6);
      using second = await dial(server);
      assertEquals(await readAll(second), "");
    },
  ],
  "send a byte a minute, or nothing": [
    { idleTimeout: 100 },
    async ({ server }) => {
      using silent = await dial(server);
      assertEquals(await readAll(silent), "");
    },
  ],
  "send an endless line": [{}, async ({ server }) => {
    using endless = await dial(server);
    await writeAll(endless, "x".repeat(70_000)).catch(() => {});
    assertEquals(await readAll(endless), "");
  }],
  "not read their answers": [{}, async ({ server, ask }) => {
    const before = held();
    using greedy = await dial(server);
    await writeAll(greedy, "flood\n");
    for (let i = 0; i < 20; i++) assertEquals(await ask("hello"), "hello\n");
    const more = (held() - before) / MEGABYTE;
    assert(more < 64, `${more} MB`);
  }],
  "throw, anywhere": [{}, async ({ ask }) => {
    assertEquals(await ask("throw"), "");
  }],
  "crash or loop forever": [
    { stallTimeout: 500 },
    async ({ ask, errors }) => {
      assertEquals(await ask("exit"), "");
      assertEquals(await ask("loop"), "");
      await until(() => errors.length === 2, "both are reported");
    },
  ],
  "read a file, open a socket, start a program": [{}, async ({ ask }) => {
    const refusal = "NotCapable,NotCapable,NotCapable\n";
    assertEquals(await ask("reach out"), refusal);
  }],
  "send forged or huge messages to the server": [
    {},
    async ({ ask, server }) => {
      const ends: string[] = [];
      server.on("replicaExit", ({ status }) => void ends.push(status));
      void ask("forge");
      await until(() => ends.length === 1, "the replica ends");
      assert(ends[0]!.includes("protocol error"), ends[0]);
    },
  ],
  "read stdin, ignore signals, take locks": [{}, async ({ ask }) => {
    assertEquals(await ask("take over"), "null 0\n");
  }],
};

test("README names what clients and handlers can't do, and each row is shown here", async () => {
  const readme = await Deno.readTextFile(
    new URL("../../README.md", import.meta.url),
  );
  const table = readme.slice(readme.indexOf("| they try to")).split("\n\n")[0]!;
  const rows = table.split("\n").slice(2).map((row) =>
    row.split("|")[1]!.trim()
  );
  assertEquals(rows, Object.keys(ROWS));
});

for (const [row, [options, play]] of Object.entries(ROWS)) {
  test(`README's table in processes: "${row}" harms nobody else`, async () => {
    await using server = new Quiet({ port: 0 }, Mischief, {
      workers: 1,
      permissions: "none",
      shutdownTimeout: 0,
      ...options,
    });
    const errors: unknown[] = [];
    server.handleError = (error) => void errors.push(error);
    server.serveForever();
    await server.ready;
    const open: Deno.Conn[] = [];
    async function ask(line: string): Promise<string> {
      const conn = await dial(server);
      open.push(conn);
      await writeAll(conn, `${line}\n`);
      const buffer = new Uint8Array(100);
      const length = await conn.read(buffer).catch(() => null);
      conn.close();
      return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
    }
    await play({ server, errors, ask });
    await until(async () => await ask("hello") === "hello\n", "an answer");
  });
}
