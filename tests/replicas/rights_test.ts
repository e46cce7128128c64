/** Servers that give up the right to bind their port once they are bound. */

import { assert, assertEquals } from "@std/assert";
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

async function assertAnswersAll(server: LocalForking): Promise<void> {
  for (let i = 0; i < 10; i++) {
    using client = await kinds.tcp.connect(server);
    assertEquals(await within("an answer", exchange(client, "x")), "x");
  }
}

/** How many sockets listen at the server's port. */
function countListeners(server: LocalForking): number {
  const { port } = server.serverAddress as Deno.NetAddr;
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = Deno.readTextFileSync("/proc/net/tcp").trim().split("\n");
  return rows.map((row) => row.trim().split(/\s+/))
    .filter(([, local, , state]) => local!.endsWith(end) && state === "0A")
    .length;
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
      const before = performance.now();
      server.serveForever();
      await assertAnswersAll(server);
      if (isAside) return;
      await until(() => countListeners(server) === 1, "the replica leaves");
      // The connect of a client could have been under way
      assert(performance.now() - before > 900);
      await assertAnswersAll(server);
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
