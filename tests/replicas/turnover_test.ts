/** What reload() waits for while replicas leave for other reasons as well. */

import { assert, assertEquals } from "@std/assert";
import type { ReplicaOptions, RequestHandlerClass } from "../../mod.ts";
import { type Client, exchange, kinds } from "../servers/_support.ts";
import { LocalRunner } from "./_local_runner.ts";
import { Lasting, LineEcho } from "./handlers_fixture.ts";
import { LocalServer, started } from "./local_fixture.ts";
import { allReady, test } from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

/** A server that shares its port with a replica of this isolate. */
function open(
  options: ReplicaOptions = {},
  handler: RequestHandlerClass<Deno.TcpConn> = LineEcho,
): LocalServer {
  started.length = 0;
  return new LocalServer({ port: 0 }, handler, { workers: 1, ...options });
}

/** Keeps a command from a replica. */
class Hold {
  readonly #name: string;
  #held: unknown;

  constructor(name: string) {
    this.#name = name;
  }

  passes = (message: unknown): boolean => {
    const isHeld = Array.isArray(message) && message[0] === this.#name;
    if (isHeld) this.#held = message;
    return !isHeld;
  };

  /** Delivers it, once it was sent. */
  async release(runner: LocalRunner): Promise<void> {
    await until(() => this.#held !== undefined, `"${this.#name}" is sent`);
    runner.passes = () => true;
    runner.deliver(this.#held);
  }
}

/** The runner of this number, as soon as it was started. */
async function nth(count: number): Promise<LocalRunner> {
  await until(() => started.length >= count, `runner ${count} starts`);
  return started[count - 1]!;
}

test("reload() waits for a replica that a signal told to leave, while it listens", async () => {
  await using server = open();
  server.serveForever();
  await server.ready;
  const first = await nth(1);
  const close = new Hold("close");
  first.passes = close.passes;
  first.say(["leaving"]);
  const second = await nth(2);
  await second.ready;
  let isOver = false;
  const reloaded = server.reload().then(() => isOver = true);
  await within("the second's end", second.exited);
  await pause(0);
  assertEquals(isOver, false);
  await close.release(first);
  await within("reload()", reloaded);
});

test("reload() waits for a replica over its limit, which serves until another does", async () => {
  await using server = open({ maxRequests: 1 });
  server.serveForever();
  await server.ready;
  const first = await nth(1);
  const close = new Hold("close");
  const resume = new Hold("resume");
  first.passes = close.passes;
  LocalRunner.nextPasses.push(resume.passes);
  using client = await kinds.tcp.connect(server);
  assertEquals(await exchange(client, "one"), "one");
  const second = await nth(2);
  let isOver = false;
  const reloaded = server.reload().then(() => isOver = true);
  await nth(3);
  await resume.release(second);
  await within("the second's end", second.exited);
  await pause(0);
  assertEquals(isOver, false);
  await close.release(first);
  await within("reload()", reloaded);
});

/** Clients whose requests are in a replica that has taken its last. */
async function occupy(server: LocalServer, count: number): Promise<Client[]> {
  server.serveForever();
  await allReady(server);
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    const client = await kinds.tcp.connect(server);
    assert(await client.receive() !== null);
    clients.push(client);
  }
  await within("reload()", server.reload());
  return clients;
}

for (const dispatch of ["shard", "relay"] as const) {
  test(`serverClose() cuts off in its own time what a replaced replica has more time for, by ${dispatch}`, async () => {
    const options = { dispatch, shutdownTimeout: 3_600_000 };
    const server = open(options, Lasting);
    const [client] = await occupy(server, 1);
    server.shutdownTimeout = 50;
    const report = await within("the close", server.serverClose());
    assertEquals([report.completed, report.aborted.length], [0, 1]);
    assertEquals((await started[0]!.exited).reason, "returned");
    client![Symbol.dispose]();
  });

  test(`serverClose() counts no request that a replaced replica ended before, by ${dispatch}`, async () => {
    const server = open({ dispatch }, Lasting);
    const clients = await occupy(server, 3);
    const isOpen = (count: number) => async () =>
      (await server.stats()).open === count;
    const end = async (client: Client) => {
      await client.send("go");
      assertEquals(await client.receive(), "done");
      client[Symbol.dispose]();
    };
    await end(clients[0]!);
    await until(isOpen(2), "it has ended");
    const closed = server.serverClose();
    await until(
      () =>
        started[0]!.toReplica.some((message) =>
          (message as unknown[])[0] === "drain"
        ),
      "the replica knows of the close",
    );
    await end(clients[1]!);
    await end(clients[2]!);
    assertEquals(await closed, { completed: 2, aborted: [] });
  });
}

test("a successor that is told to leave while it is held leaves when it is told again", async () => {
  await using server = open({ dispatch: "relay" });
  server.serveForever();
  await server.ready;
  LocalRunner.firstWords.push(["leaving"]);
  await within("reload()", server.reload());
  const second = await nth(2);
  await until(() => second.fromReplica.length > 0, "it has said so");
  second.say(["leaving"]);
  assertEquals((await within("its end", second.exited)).reason, "returned");
  assertEquals(started.length, 3);
});

test("a replica that is told of the server's close before it begins its own has only that time", async () => {
  const server = open({ dispatch: "relay", shutdownTimeout: 600_000 }, Lasting);
  let close: unknown;
  LocalRunner.nextPasses.push((message) => {
    const [name] = message as unknown[];
    if (name === "drain") started[0]!.deliver(close);
    else if (name === "close") close = message;
    return name !== "close";
  });
  const clients = await occupy(server, 1);
  await until(() => close !== undefined, "the replica is to leave");
  server.shutdownTimeout = 100;
  const closed = server.serverClose();
  const { aborted } = await within("the close", closed);
  assertEquals(aborted.length, 1);
  assertEquals((await started[0]!.exited).reason, "returned");
  clients[0]![Symbol.dispose]();
});
