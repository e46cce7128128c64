/** What a server and its replicas may say to each other, and when. */

import { assert, assertEquals } from "@std/assert";
import { type ReplicaOptions, RunnerExitError } from "../../mod.ts";
import { COUNTS } from "../../server/core/faults.ts";
import {
  assertEchoes,
  collectErrors,
  exchange,
  kinds,
} from "../servers/_support.ts";
import { LocalRunner } from "./_local_runner.ts";
import { LineEcho } from "./handlers_fixture.ts";
import { LocalForking, LocalServer, started } from "./local_fixture.ts";
import { test } from "./_support.ts";
import { LINUX_ONLY } from "../support/system.ts";
import { pause, until, within } from "../support/waiting.ts";

const ADDRESS = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;
const NONE = COUNTS.map(() => 0);

function open(options: ReplicaOptions = {}): LocalServer {
  started.length = 0;
  return new LocalServer({ port: 0 }, LineEcho, { workers: 2, ...options });
}

for (const dispatch of ["shard", "relay", "isolate"] as const) {
  test(`a server serves by replicas in its own isolate, by ${dispatch}`, async () => {
    await using server = open({ dispatch });
    server.serveForever();
    for (let i = 0; i < 4; i++) await assertEchoes(kinds.tcp, server);
    await server.reload();
    await assertEchoes(kinds.tcp, server);
    assertEquals((await server.stats()).dispatch, dispatch);
    assertEquals((await server.stats()).accepted, 5);
  });
}

test("a replica that is told to end just when it is ready is replaced", async () => {
  await using server = open({ workers: 1, dispatch: "relay" });
  LocalRunner.firstWords.push(["leaving"]);
  server.serveForever();
  await server.ready;
  const { reason } = await within("its end", started[0]!.exited);
  assertEquals(reason, "returned");
  await assertEchoes(kinds.tcp, server);
  assertEquals(started.length, 2);
});

test("serverClose() waits for the exit of a replica that was given up", async () => {
  const server = open({ workers: 1, dispatch: "relay", stallTimeout: 50 });
  const stalled = Promise.withResolvers<void>();
  server.on("replicaStall", () => stalled.resolve());
  const serving = server.serveForever();
  await server.ready;
  const [runner] = started as [LocalRunner];
  let exits = 0;
  runner.exited.then(() => exits++);
  // As a process, that lives on for a moment after a SIGKILL
  runner.kill = () => void setTimeout(() => runner.terminate(), 200);
  runner.passes = () => false;
  await stalled.promise;
  await server.serverClose();
  await serving;
  assertEquals(exits, 1);
});

const WRONG: [what: string, message: unknown][] = [
  ["null", null],
  ["a text", "done"],
  ["an empty list", []],
  ["an unknown name", ["constructor"]],
  ["too much", ["pong", 1, 1]],
  ["an answer to no command", ["done"]],
  ["an answer to no close", ["closed"]],
  ["an answer to no ping", ["pong", 1]],
  ["a request out of turn", ["opened", 7, ADDRESS]],
  ["a request of nowhere", ["opened", 1, { transport: "tcp" }]],
  ["the end of no request", ["ended", [5], NONE, [1], [0]]],
  ["the cut of no request", ["cut", 5]],
  ["counts that are none", ["ended", [], [1, 2], [], []]],
  ["counts below zero", ["ended", [], COUNTS.map(() => -1), [], []]],
  ["a duration of no request", ["ended", [], NONE, [1], []]],
  ["an ending of no request", ["ended", [], NONE, [], [0]]],
  ["a duration that is none", ["ended", [], NONE, [NaN], []]],
  ["an event of no name", ["event", "drainEnd", { clientAddress: null }]],
  ["an event of nothing", ["event", "connection", null]],
  ["an event of nobody", ["event", "connection", { clientAddress: 1 }]],
  ["an error that is none", [
    "event",
    "error",
    { clientAddress: null, error: { name: 1 } },
  ]],
  ["a question out of numbers", ["ask", -1, "stats"]],
  ["an unknown question", ["ask", 1, "context"]],
  ["bytes that are no frames", new Uint8Array([1, 2, 3])],
];

for (const [what, message] of WRONG) {
  test(`a replica that says ${what} is ended, its server serves on`, async () => {
    await using server = open();
    const errors = collectErrors(server);
    server.serveForever();
    await server.ready;
    started[0]!.say(message);
    const { reason } = await started[0]!.exited;
    assertEquals(reason, "protocol");
    await until(() => errors.length === 1, "the error");
    assert(errors[0] instanceof RunnerExitError, String(errors[0]));
    await assertEchoes(kinds.tcp, server);
  });
}

test("counts that go down end their replica", async () => {
  await using server = open({ dispatch: "relay" });
  collectErrors(server);
  server.serveForever();
  await server.ready;
  started[0]!.say(["ended", [], COUNTS.map(() => 3), [], []]);
  started[0]!.say(["ended", [], COUNTS.map(() => 2), [], []]);
  assertEquals((await started[0]!.exited).reason, "protocol");
  // And what it had counted stays
  assertEquals((await server.stats()).rejected, 3);
});

const WRONG_TO_REPLICA: [what: string, messages: unknown[]][] = [
  ["something unknown", [["restart"]]],
  ["two commands at once", [["pause"], ["resume"]]],
  ["a time below zero", [["close", -1]]],
  ["to watch what there is not", [["watch", ["drainEnd"]]]],
];

for (const [what, messages] of WRONG_TO_REPLICA) {
  test(`a replica that is told ${what} ends by an error`, async () => {
    await using server = open();
    collectErrors(server);
    server.serveForever();
    await server.ready;
    for (const message of messages) started[0]!.deliver(message);
    assertEquals((await started[0]!.exited).reason, "error");
  });
}

const COMMANDS = ["resume", "pause", "leave", "close", "done", "closed"];

function names(messages: unknown[]): unknown[] {
  return messages.map((message) => (message as unknown[])[0])
    .filter((name) => COMMANDS.includes(name as string));
}

/** Keeps the next command of a name from a replica; settles when it was sent. */
function hold(runner: LocalRunner, name: string): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  runner.passes = (message) => {
    if (!Array.isArray(message) || message[0] !== name) return true;
    resolve(message);
    return false;
  };
  return promise;
}

test("shutdown() while a replica resumes: the pause waits for the resume", async () => {
  await using server = open({ workers: 1 });
  const first = server.serveForever();
  await server.ready;
  await server.shutdown();
  await first;
  const runner = started[0]!;
  const held = hold(runner, "resume");
  const second = server.serveForever();
  const resume = await within("the resume", held);
  await server.shutdown();
  await second;
  assertEquals(names(runner.toReplica).at(-1), "resume");
  runner.passes = () => true;
  runner.deliver(resume);
  await until(
    () => names(runner.fromReplica).length === names(runner.toReplica).length,
    "answers to all commands",
  );
  assertEquals(names(runner.toReplica), ["resume", "leave", "resume", "leave"]);
  using client = await kinds.tcp.connect(server);
  let served = false;
  const answer = exchange(client, "late").finally(() => served = true);
  await pause(50);
  assertEquals(served, false);
  server.serveForever();
  assertEquals(await within("an answer", answer), "late");
  assertEquals(started.length, 1);
});

test(
  "a replica that leaves its port for handleRequest() waits for no more clients",
  async () => {
    await using server = new LocalForking({ port: 0 }, LineEcho, {
      workers: 1,
    });
    server.timeout = 1;
    server.serveForever();
    await server.ready;
    await server.shutdown();
    await within("handleRequest()", server.handleRequest());
    const { toReplica } = started.at(-1)!;
    assertEquals(names(toReplica), ["resume", "pause", "leave"]);
    const [, othersStay] = toReplica.find((message) =>
      (message as unknown[])[0] === "leave"
    ) as unknown[];
    assertEquals(othersStay, false);
  },
  LINUX_ONLY,
);

test("serverClose() ends a replica that never answers a command", async () => {
  const server = open({ workers: 1, shutdownTimeout: 50 });
  server.serveForever();
  await server.ready;
  started[0]!.passes = () => false;
  const { aborted } = await within("the close", server.serverClose());
  assertEquals(aborted, []);
  assertEquals((await started[0]!.exited).reason, "terminated");
});

test("serverClose() counts a request that ends before its replica has begun to close", async () => {
  const server = open({ workers: 1, dispatch: "shard" });
  server.serveForever();
  await server.ready;
  using client = await kinds.tcp.connect(server);
  assertEquals(await exchange(client, "here"), "here");
  const runner = started[0]!;
  const held = hold(runner, "close");
  const closing = server.serverClose();
  assertEquals(await client.receive(), null);
  const close = await within("the command", held);
  await until(
    async () => (await server.stats()).open === 0,
    "the request has ended",
  );
  runner.deliver(close);
  assertEquals(await closing, { completed: 1, aborted: [] });
});

test("a request that was accepted by a replica that ends is told, once, with its client", async () => {
  await using server = open({ workers: 1, dispatch: "shard" });
  const clients: (Deno.Addr | null)[] = [];
  server.handleError = (_error, _request, client) => void clients.push(client);
  server.serveForever();
  await server.ready;
  using client = await kinds.tcp.connect(server);
  assertEquals(await exchange(client, "here"), "here");
  started[0]!.kill();
  await until(() => clients.length > 0, "the error");
  assertEquals(clients.length, 1);
  assertEquals(clients[0]?.transport, "tcp");
});

test("a request that a replica tells of after it was given up, and before its exit, is told and counted", async () => {
  await using server = open({
    workers: 1,
    dispatch: "shard",
    stallTimeout: 40,
  });
  const clients: (Deno.Addr | null)[] = [];
  server.handleError = (_error, _request, client) => void clients.push(client);
  server.serveForever();
  await server.ready;
  const runner = started[0]!;
  const givenUp = Promise.withResolvers<void>();
  runner.kill = givenUp.resolve;
  runner.passes = () => false;
  await within("the end of a replica that answers no ping", givenUp.promise);
  runner.say(["opened", 1, ADDRESS]);
  runner.say(["opened", 2, { ...ADDRESS, port: 2 }]);
  runner.say(["ended", [2], NONE.with(0, 2), [1], [0]]);
  assertEquals(clients, []);
  assertEquals((await server.stats()).accepted, 2);
  runner.terminate();
  await until(() => clients.length > 0, "the error");
  assertEquals(clients, [ADDRESS]);
  assertEquals((await server.stats()).accepted, 2);
});
