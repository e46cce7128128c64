/** Servers that give up the right to bind their port once they are bound. */

import { assertEquals } from "@std/assert";
import { mayBind } from "../../server/replicas/port_sharing.ts";
import { collectErrors, exchange, kinds } from "../servers/_support.ts";
import { LineEcho } from "./handlers_fixture.ts";
import { LocalForking, started } from "./local_fixture.ts";
import { test } from "./_support.ts";
import { LINUX_ONLY } from "../support/system.ts";
import { until, within } from "../support/waiting.ts";

const LAST_PRIVILEGED = 1_023;

const options = { ignore: !mayBind(LAST_PRIVILEGED) || LINUX_ONLY.ignore };

/** Opens a server at a port that only root may bind, and that is free. */
function open(): LocalForking {
  for (;;) {
    const port = 1 + Math.floor(Math.random() * LAST_PRIVILEGED);
    try {
      const address = { hostname: "127.0.0.1", port };
      return new LocalForking(address, LineEcho, { workers: 1 });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** As for a program that began as root and is another user by now. */
class WithoutRights implements Disposable {
  #listen = Deno.listen;

  constructor() {
    Deno.listen = ((options: Deno.TcpListenOptions) => {
      if (options.port! > LAST_PRIVILEGED) return this.#listen(options);
      throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
    }) as typeof Deno.listen;
  }

  [Symbol.dispose](): void {
    Deno.listen = this.#listen;
  }
}

/** Whose connect is under way while a replica leaves the port may be reset. */
async function assertAnswersAll(server: LocalForking, resets = 0) {
  for (let i = 0; i < 10; i++) {
    using client = await kinds.tcp.connect(server);
    const answer = exchange(client, "x").catch((error) => {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      return null;
    });
    const got = await within("an answer", answer);
    if (got !== null || resets-- === 0) assertEquals(got, "x");
  }
}

for (const isAside of [true, false]) {
  const what = isAside ? "have the port alone" : "share the port";
  test(
    `replicas that ${what} serve on after a pause in which the right to bind it was given up`,
    async () => {
      started.length = 0;
      await using server = open();
      server.serveForever();
      await server.ready;
      if (isAside) {
        await until(() => server.socket === null, "the server leaves the port");
      }
      await server.shutdown();
      using _ = new WithoutRights();
      server.serveForever();
      await assertAnswersAll(server, isAside ? 0 : 1);
      if (isAside) return;
      collectErrors(server);
      // Those to come can't listen
      started[0]!.kill();
      await assertAnswersAll(server);
      assertEquals((await server.stats()).dispatch, "relay");
    },
    options,
  );
}

test(
  "a server that has given up the right to bind its port before it serves relays",
  async () => {
    await using server = open();
    using _ = new WithoutRights();
    server.serveForever();
    await assertAnswersAll(server);
    assertEquals((await server.stats()).dispatch, "relay");
  },
  options,
);
