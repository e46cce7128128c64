/** The relay when replicas end, clients are slow and handlers are careless. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type BaseServer, DiscardHandler, RunnerExitError } from "../../mod.ts";
import {
  collectErrors,
  dial,
  exchange,
  readToEnd,
  unixSocket,
  writeAll,
} from "../servers/_support.ts";
import { Deadly } from "./handlers_fixture.ts";
import {
  ANSWER_SIZE,
  Answering,
  Fatal,
  Looping,
  OptionsLate,
  Reading,
  Sender,
} from "./relay_fixture.ts";
import {
  CROSSED,
  CROSSED_STREAMS,
  modeOf,
  type ReplicaServer,
  statsWhen,
  testEach,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const RELAYED = CROSSED_STREAMS.filter(({ dispatch }) => dispatch === "relay");
const DATAGRAMS = CROSSED.filter(({ isStream, dispatch }) =>
  !isStream && dispatch === "relay"
);

/** Holds what is written to the first client back, as if it did not read. */
function hold(server: ReplicaServer): { held: number; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const gate = { held: 0, release: resolve };
  const any = server as unknown as BaseServer<Deno.Conn>;
  let isFirst = true;
  any.verifyRequest = (conn) => {
    if (!isFirst) return true;
    isFirst = false;
    const write = conn.write.bind(conn);
    const close = conn.close.bind(conn);
    const closed = Promise.withResolvers<never>();
    closed.promise.catch(() => {});
    conn.write = async (bytes) => {
      gate.held++;
      await Promise.race([promise, closed.promise]);
      return await write(bytes);
    };
    conn.close = () => {
      closed.reject(new Deno.errors.Interrupted("Operation canceled"));
      close();
    };
    return true;
  };
  return gate;
}

/** A client that has not got anything yet of what its handler wrote. */
async function unanswered(server: ReplicaServer, word = "answer") {
  const gate = hold(server);
  server.serveForever();
  const client = await dial(server);
  await writeAll(client, `${word}\n`);
  await until(() => gate.held > 0, "the first bytes to reach the parent");
  // What another is answered comes behind the rest, and the handler's end
  using other = await dial(server);
  await writeAll(other, "answer\n");
  assertEquals((await readToEnd(other)).length, ANSWER_SIZE);
  await statsWhen(server, ({ open }) => open === 1, "the other has ended");
  return { gate, client };
}

testEach(
  RELAYED,
  "delivers what a finished handler wrote when the server closes",
  async (mode) => {
    await using server = mode.openOne(Answering);
    const { gate, client } = await unanswered(server);
    using _client = client;
    const closing = server.serverClose();
    const reading = readToEnd(client);
    await pause(300); // all that the replicas need to leave
    gate.release();
    assertEquals((await reading).length, ANSWER_SIZE);
    assertEquals(await closing, { completed: 1, aborted: [] });
  },
);

testEach(
  RELAYED,
  "reports an answer that can't be delivered before the deadline as aborted",
  async (mode) => {
    await using server = mode.openOne(Answering, { shutdownTimeout: 300 });
    const { gate, client } = await unanswered(server);
    using _client = client;
    const { completed, aborted } = await server.serverClose();
    assertEquals(completed, 0);
    assertEquals(aborted.length, 1);
    gate.release();
    assert((await readToEnd(client)).length < ANSWER_SIZE);
  },
);

testEach(
  RELAYED,
  "delivers what a finished handler wrote when its replica is reloaded",
  async (mode) => {
    await using server = mode.openOne(Answering);
    const errors = collectErrors(server);
    const { gate, client } = await unanswered(server);
    using _client = client;
    await server.reload();
    gate.release();
    assertEquals((await readToEnd(client)).length, ANSWER_SIZE);
    assertEquals(errors, []);
  },
);

for (const word of ["answer", "part"]) {
  testEach(
    RELAYED,
    `delivers what a handler wrote when its replica dies (${word})`,
    async (mode) => {
      await using server = mode.openOne(Answering);
      const errors = collectErrors(server);
      const { gate, client } = await unanswered(server, word);
      using _client = client;
      using deadly = await dial(server);
      await writeAll(deadly, "exit\n");
      // Its own request, and what was not finished in it
      await statsWhen(server, ({ restarts }) => restarts === 1, "a restart");
      gate.release();
      assertEquals((await readToEnd(client)).length, ANSWER_SIZE);
      const lost = word === "part" ? 2 : 1;
      await until(() => errors.length === lost, "errors");
      for (const error of errors) assert(error instanceof RunnerExitError);
    },
  );
}

testEach(
  RELAYED,
  "ends the read of a handler whose connection the parent closes",
  async (mode) => {
    await using server = mode.openOne(Reading);
    const any = server as unknown as BaseServer<Deno.Conn>;
    const conns: Deno.Conn[] = [];
    any.verifyRequest = (conn) => conns.push(conn) > 0;
    server.serveForever();
    using client = await dial(server);
    await client.read(new Uint8Array(10));
    conns[0]!.close();
    const { errors } = await statsWhen(
      server,
      ({ open }) => open === 0,
      "the handler to end",
    );
    assertEquals(errors, 0);
  },
);

testEach(
  RELAYED,
  "gives a request that was lost in its first moment to no other replica",
  async (mode) => {
    await using server = mode.openOne(Fatal);
    const errors = collectErrors(server);
    server.serveForever();
    using client = await dial(server);
    await readToEnd(client).catch(() => {});
    const { restarts } = await statsWhen(
      server,
      ({ open }) => open === 0,
      "the request to end",
    );
    assertEquals(restarts, 1);
    assertEquals(errors.length, 1);
    assert(errors[0] instanceof RunnerExitError, String(errors[0]));
  },
);

testEach(
  [modeOf("ForkingTCPServer by relay")],
  "gives a connection that its replica never began to another",
  async (mode) => {
    await using server = mode.open(Deadly, { workers: 1, stallTimeout: 1_000 });
    const errors = collectErrors(server);
    server.serveForever();
    using looping = await mode.connect(server);
    await looping.receive();
    await looping.send("loop\n");
    assertEquals(await looping.receive(), "looping");
    using client = await mode.connect(server);
    await client.send("echo\n");
    await within("a process id", client.receive());
    assertEquals(await client.receive(), "alive");
    assertEquals(errors.length, 1, String(errors));
  },
);

testEach(
  DATAGRAMS.filter(({ runner }) => runner === "process"),
  "gives a packet that its replica never began to another",
  async (mode) => {
    await using server = mode.open(Looping, {
      workers: 1,
      stallTimeout: 1_000,
    });
    const errors = collectErrors(server);
    server.serveForever();
    await server.ready;
    using looping = await mode.connect(server);
    await looping.send("loop");
    assertEquals(await looping.receive(), "loop");
    using client = await mode.connect(server);
    await client.send("echo");
    assertEquals(await within("the echo", client.receive()), "echo");
    assertEquals(errors.length, 1, String(errors));
  },
);

testEach(
  [modeOf("ForkingUnixDatagramServer by relay")],
  "leaves packets in its socket while a busy replica has 8 MiB of them",
  async (mode) => {
    await using server = mode.open(Looping, {
      workers: 1,
      stallTimeout: Infinity,
      shutdownTimeout: 100,
    });
    collectErrors(server);
    server.serveForever();
    await server.ready;
    const client = unixSocket();
    const packet = new Uint8Array(60_000);
    await client.send(new TextEncoder().encode("loop"), server.serverAddress);
    let sent = 0;
    const sending = (async () => {
      for (;; sent++) await client.send(packet, server.serverAddress);
    })().catch(() => {});
    await until(() => sent * packet.length > 4_000_000, "4 MB are taken");
    for (let before = -1; before !== sent;) {
      before = sent;
      await pause(300);
    }
    const bytes = sent * packet.length;
    assert(bytes < 10_000_000, `${bytes} bytes`);
    // A send that waits ends no sooner than the socket it waits for
    await server.serverClose();
    await sending;
    client.close();
  },
);

const TCP = ["ThreadingTCPServer by relay", "ForkingTCPServer by relay"];
testEach(
  TCP.map(modeOf),
  "refuses an option of a closed connection",
  async (mode) => {
    await using server = mode.openOne(OptionsLate);
    server.serveForever();
    for (let i = 0; i < 3; i++) {
      using client = await dial(server);
      await client.closeWrite();
      assertEquals(await readToEnd(client), "");
    }
    const { restarts } = await statsWhen(
      server,
      ({ disconnects }) => disconnects === 3,
      "an error of each",
    );
    assertEquals(restarts, 0);
  },
);

testEach(
  DATAGRAMS,
  "refuses to send what is no packet, or to no address",
  async (mode) => {
    await using server = mode.openOne(Sender);
    server.serveForever();
    using client = await mode.connect(server);
    const address = server.serverAddress;
    for (
      const [words, expected] of [
        [{ packet: [1], address: null }, "TypeError: "],
        [{ packet: [1], address: { transport: "udp", port: "x" } }, "TypeErr"],
        [{ packet: null, address }, "TypeError: "],
      ] as const
    ) {
      const answer = await exchange(client, JSON.stringify(words));
      assertStringIncludes(answer, expected);
    }
    assertEquals((await server.stats()).restarts, 0);
  },
);

for (const permissions of ["none", "inherit"] as const) {
  testEach(
    DATAGRAMS,
    `with permissions "${permissions}" sends to ${
      permissions === "none" ? "its client alone" : "anybody"
    }`,
    async (mode) => {
      await using server = mode.openOne(Sender, { permissions });
      server.serveForever();
      await using other = mode.openOne(DiscardHandler);
      other.serveForever();
      using client = await mode.connect(server);
      const words = { packet: [1], address: other.serverAddress };
      const answer = await exchange(client, JSON.stringify(words));
      const { accepted } = permissions === "none"
        ? await other.stats()
        : await statsWhen(other, (s) => s.accepted > 0, "the packet");
      if (permissions === "inherit") {
        assertEquals([answer, accepted], ["sent", 1]);
      } else {
        assertStringIncludes(answer, "NotCapable: Cannot send a packet to");
        assertEquals(accepted, 0);
      }
    },
  );
}
