/** Single replicas replaced at a limit: maxRequests and maxMemory. */

import { assert, assertEquals } from "@std/assert";
import { exchange } from "../servers/_support.ts";
import { Hoarding, Lasting, LineEcho } from "./handlers_fixture.ts";
import {
  allReady,
  CROSSED,
  type Mode,
  type ReplicaServer,
  testEach,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const CLIENTS = 4;
const REQUESTS = 300;
/** Of these, where each replica has a queue of its own. */
const MOST_LOST = 30;

const LASTING = CROSSED.filter(({ dispatch }) => dispatch !== "isolate");
const LASTING_STREAMS = LASTING.filter(({ isStream }) => isStream);

/** Follows how many replicas there were, each time that one was to leave. */
function watch(server: ReplicaServer): { reasons: string[]; fewest: number } {
  const seen = { reasons: [] as string[], fewest: Infinity };
  let capacity = 0;
  server.on("replicaStart", () => void capacity++);
  server.on("replicaReplace", ({ reason }) => {
    seen.reasons.push(reason);
    seen.fewest = Math.min(seen.fewest, --capacity);
  });
  return seen;
}

/** Asks for echoes, each in a connection or packet of its own. */
async function askOn(mode: Mode, server: ReplicaServer) {
  const result = { served: 0, lost: [] as string[] };
  let begun = 0;
  async function ask(): Promise<void> {
    while (begun < REQUESTS) {
      const word = `word ${++begun}`;
      try {
        using client = await mode.connect(server);
        const answer = await within(word, exchange(client, word));
        if (answer === word) result.served++;
        else result.lost.push(String(answer));
      } catch (error) {
        result.lost.push(String(error));
      }
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, ask));
  return result;
}

testEach(
  LASTING,
  "replaces replicas after maxRequests, loses none, and there are never fewer",
  async (mode) => {
    const maxRequests = 40;
    const maxRequestsJitter = 10;
    await using server = mode.open(LineEcho, {
      maxRequests,
      maxRequestsJitter,
    });
    const seen = watch(server);
    server.serveForever();
    await allReady(server);
    const { served, lost } = await askOn(mode, server);
    const ownQueues = mode.dispatch === "shard" && mode.runner === "process";
    if (ownQueues) assert(lost.length <= MOST_LOST, lost.join());
    else assertEquals(lost, [], Deno.inspect([await server.stats(), seen]));
    assertEquals(served + lost.length, REQUESTS);
    await until(() => seen.reasons.length >= 2, "two are replaced");
    assert(seen.reasons.every((reason) => reason === "maxRequests"));
    assert(seen.fewest >= 2, `there were ${seen.fewest}`);
    const { restarts, replaced, errors } = await server.stats();
    assertEquals([restarts, errors], [0, 0]);
    assertEquals(replaced, seen.reasons.length);
  },
);

testEach(
  LASTING_STREAMS,
  "lets the open requests of a replica that had maxRequests finish",
  async (mode) => {
    await using server = mode.open(Lasting, { workers: 1, maxRequests: 2 });
    const seen = watch(server);
    server.serveForever();
    await allReady(server);
    using stack = new DisposableStack();
    const connect = async () => stack.use(await mode.connect(server));
    const clients = [await connect(), await connect()];
    const replica = await clients[0]!.receive();
    assertEquals(await clients[1]!.receive(), replica);
    await until(() => seen.reasons.length === 1, "it is replaced");
    // A shard may still serve who comes while it leaves
    do clients.push(await connect()); while (
      await clients.at(-1)!.receive() === replica
    );
    if (mode.dispatch !== "shard") assertEquals(clients.length, 3);
    for (const client of clients) {
      await client.send("go");
      assertEquals(await within("done", client.receive()), "done");
    }
    const { restarts, replaced } = await server.stats();
    assertEquals([restarts, replaced], [0, 1]);
  },
);

testEach(
  LASTING_STREAMS,
  "replaces a replica that holds more than maxMemory",
  async (mode) => {
    await using server = mode.open(Hoarding, {
      workers: 1,
      maxMemory: 300_000_000,
      stallTimeout: 1_000,
    });
    const seen = watch(server);
    server.serveForever();
    await allReady(server);
    const replicas = new Map<string, number>();
    while (replicas.size < 2) {
      using client = await mode.connect(server);
      const answer = await within("an answer", client.receive());
      const [replica = "", count] = answer!.split(" ");
      replicas.set(replica, Number(count));
      // The first grows no further once it is too large
      if (Number(count) > 36) {
        await until(() => seen.reasons.length === 1, "it is replaced");
      }
    }
    assertEquals(seen.reasons, ["maxMemory"]);
    const { restarts, replaced, errors } = await server.stats();
    assertEquals([restarts, replaced, errors], [0, 1, 0]);
  },
);

testEach(
  LASTING_STREAMS.slice(0, 2),
  "replaces no replica below its limits",
  async (mode) => {
    await using server = mode.open(LineEcho, {
      maxRequests: REQUESTS + 1,
      maxMemory: 1_000_000_000,
      stallTimeout: 500,
    });
    const seen = watch(server);
    server.serveForever();
    await allReady(server);
    assertEquals((await askOn(mode, server)).served, REQUESTS);
    await pause(600); // each has told its memory twice
    assertEquals(seen.reasons, []);
  },
);
