/** The behaviour that CPython's test_socketserver checks, for threading and forking. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ServerClosedError } from "../../mod.ts";
import { ALL, exchange } from "../servers/_support.ts";
import { LineEcho } from "./handlers_fixture.ts";
import { CROSSED, MODES, statsWhen, test, testEach } from "./_support.ts";
import { isRunning } from "../support/system.ts";
import { within } from "../support/waiting.ts";

for (const kind of ALL) {
  test(`${kind.name} serves three clients in turn with the handler of all modes`, async () => {
    const server = kind.open(LineEcho);
    const served = server.serveForever();
    for (const line of ["one", "two", "three"]) {
      using client = await kind.connect(server);
      assertEquals(await exchange(client, line), line);
    }
    await server.shutdown();
    await served;
    await server.serverClose();
    assertEquals(server.fileno(), -1);
  });
}

testEach(
  MODES,
  "serves three clients in turn, then shuts down and closes",
  async (mode) => {
    const unrelated = new Deno.Command("sleep", { args: ["60"] }).spawn();
    const server = mode.openOne(LineEcho);
    const { serverAddress } = server;
    const served = server.serveForever();
    for (const line of ["one", "two", "three"]) {
      using client = await mode.connect(server);
      assertEquals(await exchange(client, line), line);
    }
    assertEquals((await server.stats()).dispatch, mode.dispatch);
    assertEquals(server.serverAddress, serverAddress);
    await server.shutdown();
    await served;
    assert(server.fileno() > 2);
    const { aborted } = await server.serverClose();
    assertEquals(aborted, []);
    assertEquals(server.fileno(), -1);
    await assertRejects(() => server.serveForever(), ServerClosedError);
    assert(isRunning(unrelated.pid), "the unrelated child was reaped");
    unrelated.kill();
    await unrelated.status;
  },
);

testEach(CROSSED, "closes with no request served", async (mode) => {
  const server = mode.openOne(LineEcho);
  const served = server.serveForever();
  const report = await within("the close", server.serverClose());
  await served;
  assertEquals(report, { completed: 0, aborted: [] });
});

testEach(
  CROSSED,
  "keeps no more replicas than it was told, after five requests",
  async (mode) => {
    await using server = mode.open(LineEcho);
    server.serveForever();
    for (let i = 0; i < 5; i++) {
      using client = await mode.connect(server);
      assertEquals(await exchange(client, `${i}`), `${i}`);
    }
    const { accepted, workers } = await statsWhen(
      server,
      ({ open, workers }) => open === 0 && workers! <= 2,
      "requests are open",
    );
    assertEquals([accepted, workers], [5, 2]);
  },
);
