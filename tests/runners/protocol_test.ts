import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { type RunnerExit, RunnerExitError } from "../../workers/base/errors.ts";
import { encode } from "../../workers/codec/codec.ts";
import { ThreadPool } from "../../workers/pool/pool.ts";
import {
  Channel,
  type ChannelConn,
  type Sender,
} from "../../workers/line/socket_line.ts";
import {
  FRAME,
  RunnerDecoder,
  toErrorRecord,
} from "../../workers/line/dialect.ts";
import { startRunner } from "../../workers/runner/supervisor.ts";
import { Process } from "../../workers/threads/process.ts";
import { Thread } from "../../workers/threads/thread.ts";

const module = new URL("./hostile_module.ts", import.meta.url).href;

const FUZZ_RUNS = Number(Deno.env.get("FUZZ_RUNS") ?? 4_000);

/** Numbers in [0, 1) that are the same in each run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A connection that reads what it was given, in pieces, and then ends. */
function connOf(bytes: Uint8Array, random: () => number): ChannelConn {
  let offset = 0;
  return {
    read(into) {
      if (offset === bytes.length) return Promise.resolve(null);
      assert(into.length > 0);
      const most = Math.min(into.length, bytes.length - offset);
      const count = Math.ceil(random() * most);
      into.set(bytes.subarray(offset, offset + count));
      offset += count;
      return Promise.resolve(count);
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close() {},
    ref() {},
    unref() {},
  };
}

function frame(kind: number, body: Uint8Array, length = body.length) {
  const bytes = new Uint8Array(5 + body.length);
  bytes[0] = kind;
  new DataView(bytes.buffer).setUint32(1, length, true);
  bytes.set(body, 5);
  return bytes;
}

/** Feeds bytes to the owner's end of a channel, as a child would. */
async function feed(
  bytes: Uint8Array,
  random: () => number,
  from: Sender = "trusted",
): Promise<{ messages: unknown[]; exit: RunnerExit | null }> {
  const messages: unknown[] = [];
  let exit: RunnerExit | null = null;
  const decoder = new RunnerDecoder({
    message: (message) => messages.push(message),
    ready() {},
    leave: (left) => exit = left,
  });
  const channel: Channel = new Channel({
    receive: (kind, value) => decoder.receive(kind, value),
    fail: (error) => decoder.fail(error),
    end() {},
  }, from);
  await channel.run(connOf(bytes, random));
  return { messages, exit };
}

Deno.test("Thread's result can't be forged by what its code posts", async () => {
  for (const permissions of ["inherit", "none"] as const) {
    const thread = new Thread({
      target: "forge",
      args: ["mine"],
      module,
      permissions,
    });
    thread.start();
    // Each forgery was heard by both listeners of the module, and nothing else
    assertEquals(await thread.result, ["mine", 18]);
    await thread.join();
  }
});

Deno.test("ThreadPool's results can't be forged by what a task posts", async () => {
  await using pool = new ThreadPool({ module, workers: 1 });
  assertEquals(await pool.submit("forge", "first"), ["first", 18]);
  assertEquals(await pool.submit("forge", "second"), ["second", 36]);
});

Deno.test("a malformed frame ends its runner for a protocol error", async () => {
  const bodies: Record<string, Uint8Array[]> = {
    "an unknown kind": [frame(9, encode(1))],
    "a second ready": [
      frame(FRAME.ready, encode(undefined)),
      frame(FRAME.ready, encode(undefined)),
    ],
    "a hello": [frame(FRAME.hello, encode(undefined))],
    "an exit that is none": [frame(FRAME.exit, encode("gone"))],
    "an exit whose error is none": [
      frame(
        FRAME.exit,
        encode({ code: 1, reason: "error", error: { name: 1 } }),
      ),
    ],
    "an impossible length": [frame(0, new Uint8Array(), 0xffff_ffff)],
    "an empty frame": [frame(0, new Uint8Array())],
    "an unknown tag": [frame(0, new Uint8Array([99]))],
    "a text that is too short": [frame(0, new Uint8Array([6, 255, 0]))],
    "bytes that V8 does not know": [frame(0, new Uint8Array([10, 1, 2]))],
  };
  for (const [what, frames] of Object.entries(bodies)) {
    const bytes = new Uint8Array(frames.flatMap((frame) => [...frame]));
    const { messages, exit } = await feed(bytes, () => 1);
    assertEquals([messages, exit?.reason], [[], "protocol"], what);
  }
});

Deno.test("a message over the limits of its sender ends it for a protocol error", async () => {
  const long = new Uint8Array(2 ** 23 + 10);
  const many = Array.from({ length: 200_000 }, (_, index) => index);
  const map = new Map([["x".repeat(70_000), 1]]);
  const cases: [Sender, unknown, boolean][] = [
    ["replica", long, false],
    ["replica", long.subarray(0, 2 ** 23 - 100).slice(), true],
    ["replica", many, false],
    ["replica", map, false],
    ["confined", long, true],
    ["confined", many, true],
    ["confined", Array.from({ length: 2 ** 20 }, () => 0), false],
    ["confined", map, false],
    ["trusted", map, true],
    ["trusted", Array.from({ length: 2 ** 20 }, () => 0), true],
  ];
  for (const [from, value, isTaken] of cases) {
    const { messages, exit } = await feed(
      frame(0, encode(value)),
      () => 1,
      from,
    );
    const what = `${from} ${typeof value}`;
    assertEquals(messages.length, isTaken ? 1 : 0, what);
    assertEquals(exit?.reason, isTaken ? undefined : "protocol", what);
    if (!isTaken) assertMatch(exit!.error!.message, /at most|more values/);
  }
});

Deno.test("Process with permissions of its own tells the limit of what it returns", async () => {
  for (const what of ["numbers", "map"] as const) {
    const process = new Process({
      target: "returnMuch",
      args: [what],
      module,
      permissions: "none",
    });
    process.start();
    await assertRejects(
      () => process.result,
      Error,
      "can cross at once from one with permissions of its own; send it in parts",
    );
    await process.join();
  }
});

Deno.test("an error's name, message and stack cross as far as anybody reads them", () => {
  const error = Object.assign(new Error("x".repeat(1e6)), {
    name: "n".repeat(1e6),
  });
  const { name, message, stack } = toErrorRecord(error);
  assertEquals(
    [name.length, message.length, stack!.length],
    [2 ** 16, 2 ** 16, 2 ** 16],
  );
  assertEquals(toErrorRecord("y".repeat(1e6)).message.length, 2 ** 16);
  const rows = new Array(100).fill(new Array(100).fill("z".repeat(100)));
  assertEquals(toErrorRecord(rows).message.length, 2 ** 16);
});

Deno.test("a process that sends malformed frames ends, and its parent goes on", async () => {
  const process = new Process({
    target: "sendRaw",
    args: [[...frame(9, encode(1))]],
    module,
    permissions: "none",
  });
  process.start();
  const error = await assertRejects(
    () => process.result,
    RunnerExitError,
    "was ended for a protocol error: ",
  );
  assertEquals(error.exit.reason, "protocol");
  await process.join();
});

Deno.test("a runner whose messages its owner can't handle ends with that error", async () => {
  const main = new URL("./obedient_main.ts", import.meta.url).href;
  for (const kind of ["thread", "process"] as const) {
    const runner = startRunner(kind, { main });
    await runner.ready;
    runner.onmessage = () => {
      throw new RangeError("not what was agreed");
    };
    const exit = await runner.exited;
    assertEquals(exit.reason, "protocol");
    assertInstanceOf(exit.error, RangeError);
    const failing = startRunner(kind, { main });
    await failing.ready;
    failing.fail(new TypeError("found out later"));
    assertMatch(String((await failing.exited).error), /found out later/);
  }
});

Deno.test("Channel survives random and damaged streams, and so does RunnerDecoder", async () => {
  const random = createRandom(7);
  const values = [
    { a: 1, b: [1, 2, "x", new Uint8Array(9)] },
    new Map<unknown, unknown>([[1, new Set([2])], ["e", new Error("x")]]),
    { code: 1, reason: "error", error: { name: "E", message: "m" } },
    ["é".repeat(100), 10n ** 40n, /a/g, new Date(0), new Float64Array(10)],
    undefined,
  ];
  const streams = values.map((value) =>
    new Uint8Array([0, 3, 0, 4].flatMap((kind) => [
      ...frame(kind, encode(value)),
    ]))
  );
  let failed = 0;
  for (let round = 0; round < FUZZ_RUNS; round++) {
    let bytes = streams[Math.floor(random() * streams.length)]!.slice();
    if (random() < 0.2) bytes = bytes.map(() => random() * 256);
    for (let damage = random() * 4; damage > 0; damage--) {
      bytes[Math.floor(random() * bytes.length)] = random() * 256;
    }
    const { exit } = await feed(bytes, random);
    if (exit?.reason === "protocol") failed++;
  }
  assert(failed > FUZZ_RUNS / 2, `Only ${failed} failed`);
});

Deno.test("Channel holds no more memory than has come, whatever a header claims", async () => {
  const claimed = frame(0, new Uint8Array(100_000), 2 ** 30);
  const before = Deno.memoryUsage().external;
  let most = 0;
  const conn = connOf(claimed, () => 1);
  const { read } = conn;
  conn.read = (into) => {
    most = Math.max(most, Deno.memoryUsage().external - before);
    return read(into);
  };
  const channel = new Channel({ receive() {}, fail() {}, end() {} });
  await channel.run(conn);
  assert(most < 2 ** 25, `It took ${most} bytes`);
});

Deno.test("Channel delivers a frame of 3 MB between small ones, in any pieces", async () => {
  const large = new Uint8Array(3_000_000).map((_, index) => index);
  const bytes = new Uint8Array(
    await new Blob([
      frame(0, encode("first")),
      frame(0, encode(large)),
      frame(0, encode("last")),
    ]).arrayBuffer(),
  );
  const { messages, exit } = await feed(bytes, createRandom(1));
  assertEquals(messages, ["first", large, "last"]);
  assertEquals(exit, null);
});

Deno.test("Channel lets the event loop turn while the frames of one read are handled", async () => {
  const one = frame(0, encode(null));
  const bytes = new Uint8Array(2_000 * one.length);
  for (let at = 0; at < bytes.length; at += one.length) bytes.set(one, at);
  let turns = 0;
  let received = 0;
  const channel: Channel = new Channel({
    receive() {
      received++;
      const end = performance.now() + 0.05;
      while (performance.now() < end);
    },
    fail() {},
    end() {},
  });
  const running = channel.run(connOf(bytes, () => 1));
  while (received < 2_000) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  await running;
  assert(turns > 5, `${turns} turns`);
});

Deno.test("Channel.backlog counts what is not sent, and Channel.flushed() waits for it", async () => {
  const { promise: written, resolve: write } = Promise.withResolvers<void>();
  const { promise: ended, resolve: end } = Promise.withResolvers<null>();
  const conn: ChannelConn = {
    ...connOf(new Uint8Array(), () => 1),
    read: () => ended,
    write: ({ length }) => written.then(() => length),
  };
  const channel = new Channel({ receive() {}, fail() {}, end() {} });
  channel.send(0, "before it runs");
  assert(channel.backlog > 0);
  const running = channel.run(conn);
  for (let index = 0; index < 10; index++) {
    channel.send(0, new Uint8Array(100_000));
  }
  assert(channel.backlog > 1_000_000, `It is ${channel.backlog}`);
  const flushed = channel.flushed();
  write();
  await flushed;
  assertEquals(channel.backlog, 0);
  end(null);
  await running;
});

Deno.test("Channel reads no more of a confined process that leaves its answers unread", async () => {
  const one = frame(0, encode("more"));
  const answer = new Uint8Array(2 ** 20);
  const written = Promise.withResolvers<number>();
  let asked = 0;
  let isOver = false;
  const conn: ChannelConn = {
    ...connOf(new Uint8Array(), () => 1),
    async read(into) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isOver || asked === 500) return null;
      into.set(one);
      return one.length;
    },
    write: () => written.promise,
    close: () => written.reject(new Deno.errors.BadResource("closed")),
  };
  const channel: Channel = new Channel(
    {
      receive() {
        asked++;
        channel.send(0, answer);
      },
      fail() {},
      end() {},
    },
    "confined",
  );
  const running = channel.run(conn);
  while (channel.backlog <= 2 ** 26 && asked < 500) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const seen = asked;
  for (let turn = 0; turn < 20; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assertEquals([asked, seen < 100], [seen, true]);
  isOver = true;
  channel.close();
  await running;
});
