/** Requests that a killed process cuts: each is told. */

import { assert, assertEquals } from "@std/assert";
import { RunnerExitError } from "../../mod.ts";
import { Program } from "../support/programs.ts";
import { Abrupt } from "./handlers_fixture.ts";
import { modeOf, TAKES_ALL, test } from "./_support.ts";
import { until } from "../support/waiting.ts";

const CUTS = TAKES_ALL ? 200 : 50;
const BUSY_MS = 1_000;
const CROWD = new URL("./_crowd_program.ts", import.meta.url).pathname;

function startCrowd(port: number): Program {
  return new Program(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", CROWD, String(port)],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }),
  );
}

/** Keeps this thread busy: nothing that a replica sends is read. */
function beBusy(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
}

test(`ForkingTCPServer by shard tells each of ${CUTS} requests that a SIGKILL cuts, also while it is busy`, async () => {
  for (let seen = 0; seen < CUTS;) {
    const mode = modeOf("ForkingTCPServer by shard");
    await using server = mode.open(Abrupt, { workers: 1, shutdownTimeout: 0 });
    const told: number[] = [];
    server.handleError = (error, _request, clientAddress) => {
      assert(error instanceof RunnerExitError, String(error));
      told.push((clientAddress as Deno.NetAddr).port);
    };
    server.serveForever();
    await server.ready;
    const { serverAddress } = server as unknown as {
      serverAddress: Deno.NetAddr;
    };
    await using crowd = startCrowd(serverAddress.port);
    await until(
      async () => (await server.stats()).accepted > 0,
      "the crowd has come",
    );
    beBusy();
    await until(
      async () => (await server.stats()).restarts! > 0,
      "the child is replaced",
    );
    const { aborted } = await server.serverClose();
    told.push(...aborted.map((address) => (address as Deno.NetAddr).port));
    const cut: number[] = JSON.parse((await crowd.readLine())!);
    seen += cut.length;
    assertEquals(cut.filter((port) => !told.includes(port)), []);
  }
});
