/** Servers whose code changes while they serve. */

import { assertEquals, assertRejects } from "@std/assert";
import { ModuleImportError } from "../../mod.ts";
import { Code } from "./_code.ts";
import { collectErrors } from "../servers/_support.ts";
import { allReady, CROSSED_STREAMS, type Mode, testEach } from "./_support.ts";
import { within } from "../support/waiting.ts";

const MODES = CROSSED_STREAMS.filter(({ dispatch }) => dispatch !== "isolate");

async function greeting(
  mode: Mode,
  server: ReturnType<Mode["open"]>,
): Promise<string | null> {
  using client = await mode.connect(server as never);
  return await within("a greeting", client.receive());
}

testEach(
  MODES,
  "reload() serves new clients by new code, and finishes open requests on the old",
  async (mode) => {
    await using code = new Code();
    await code.say("old");
    await using server = mode.open(await code.load());
    server.serveForever();
    await allReady(server);
    using open = await mode.connect(server);
    assertEquals(await open.receive(), "old");
    await code.say("new");
    const reloading = server.reload();
    while (await greeting(mode, server) !== "new");
    await within("reload()", reloading);
    for (let i = 0; i < 4; i++) {
      assertEquals(await greeting(mode, server), "new");
    }
    await open.send("x");
    assertEquals(await open.receive(), "old");
    assertEquals((await server.stats()).restarts, 0);
  },
);

testEach(
  MODES,
  "reload() to code that does not load rejects, and the old code serves on",
  async (mode) => {
    await using code = new Code();
    await code.say("old");
    await using server = mode.open(await code.load());
    server.serveForever();
    await allReady(server);
    for (const text of ["export const", "throw new Error('no');", ""]) {
      await code.write(text);
      await assertRejects(
        () => within("reload()", server.reload()),
        ModuleImportError,
      );
      for (let i = 0; i < 4; i++) {
        assertEquals(await greeting(mode, server), "old");
      }
    }
    const { restarts, workers } = await server.stats();
    assertEquals([restarts, workers], [0, 2]);
  },
);

testEach(
  MODES,
  "reload() tells while all replicas have ended whether the code loads, and puts it to work",
  async (mode) => {
    await using code = new Code();
    await code.write("export const word = { toString: () => Deno.exit(1) };");
    await using server = mode.open(await code.load(), { workers: 1 });
    collectErrors(server);
    const ended = new Promise((resolve) => server.on("replicaExit", resolve));
    server.serveForever();
    await allReady(server);
    await code.write("throw new Error('no');");
    using _client = await mode.connect(server);
    await within("the end of the replica", ended);
    await new Promise((resolve) => setTimeout(resolve)); // it is no member now
    await assertRejects(
      () => within("reload()", server.reload()),
      ModuleImportError,
    );
    await code.say("new");
    await within("reload()", server.reload());
    assertEquals(await greeting(mode, server), "new");
  },
);
