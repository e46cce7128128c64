/** Replicas whose handlers compute are alive; one in an endless loop is not. */

import { assertEquals } from "@std/assert";
import { collectErrors, exchange } from "../servers/_support.ts";
import { Computing } from "./handlers_fixture.ts";
import { LASTING_MODES, testEach } from "./_support.ts";

const STALL_TIMEOUT = 1_000;

testEach(
  LASTING_MODES,
  "answers clients that come at once, each of which has it compute, and replaces no replica",
  async (mode) => {
    await using server = mode.openOne(Computing, {
      stallTimeout: STALL_TIMEOUT,
    });
    const errors = collectErrors(server);
    server.serveForever();
    await server.ready;
    // Two waves: one with the connections, one over connections that are open
    using stack = new DisposableStack();
    const clients = await Promise.all(
      Array.from({ length: 25 }, () => mode.connect(server)),
    );
    for (const client of clients) stack.use(client);
    for (const word of ["60", "61"]) {
      assertEquals(
        await Promise.all(clients.map((client) => exchange(client, word))),
        clients.map(() => word),
      );
    }
    assertEquals(errors, []);
    assertEquals((await server.stats()).restarts, 0);
  },
);
