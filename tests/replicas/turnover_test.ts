/** What reload() waits for while replicas leave for other reasons as well. */

import { assertEquals } from "@std/assert";
import type { ReplicaOptions } from "../../mod.ts";
import { exchange, kinds } from "../servers/_support.ts";
import { LocalRunner } from "./_local_runner.ts";
import { LineEcho } from "./handlers_fixture.ts";
import { LocalServer, started } from "./local_fixture.ts";
import { test } from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

/** A server that shares its port with a replica of this isolate. */
function open(options: ReplicaOptions = {}): LocalServer {
  started.length = 0;
  return new LocalServer({ port: 0 }, LineEcho, { workers: 1, ...options });
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
