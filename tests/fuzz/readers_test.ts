/**
 * Messages of hostile replicas, threads and processes, read in this thread: no
 * message takes long, and one that breaks the rules is an error of its reader.
 */

import { assert, assertEquals } from "@std/assert";
import { EchoHandler, Lock, SharedQueue, TCPServer } from "../../mod.ts";
import type { BaseServer } from "../../server/base_server.ts";
import { Monitor } from "../../server/replicas/monitor.ts";
import { Replica, type ReplicaOwner } from "../../server/replicas/replica.ts";
import { decode, encode } from "../../workers/codec/codec.ts";
import { exportObject } from "../../workers/codec/share.ts";
import { RunnerDecoder } from "../../workers/line/dialect.ts";
import { MESSAGE_LIMITS, type Sender } from "../../workers/line/socket_line.ts";
import { ShareHost } from "../../workers/queue/_shares.ts";
import type { Runner } from "../../workers/runner/runner.ts";
import { Ending } from "../../workers/threads/_activity_base.ts";
import {
  createDice,
  type Dice,
  frameKind,
  lie,
  lieOfChild,
  lieOfRelay,
  lieOfReplica,
  pick,
} from "./_lies.ts";
import { processorTime } from "./_time.ts";

/** `deno task fuzz:hostile` runs more. */
const SEEDS = Number(Deno.env.get("FUZZ_SEEDS") ?? 12);
const MESSAGES = 40;
/** The longest that a message may take, in milliseconds of processor time. */
const MOST = 10;
/** A pause of the garbage collector is not the message's: it is tried again. */
const TRIES = 5;

/** The parent's end, to which hostile code speaks. */
interface Reader {
  /** Takes a message; throws what ends the other end. */
  take(message: unknown): void;
  end(): void;
}

/** A message as it crosses; `null` if it can't. */
function cross(kind: Runner["kind"], message: unknown, from: Sender) {
  try {
    if (kind === "thread") return [structuredClone(message)];
    const bytes = encode(message);
    return [decode(bytes, 0, bytes.length, MESSAGE_LIMITS[from])];
  } catch {
    return null;
  }
}

function openReplica(kind: Runner["kind"]): Reader {
  const server = new TCPServer({ port: 0 }, EchoHandler, {
    bindAndActivate: false,
  }) as unknown as BaseServer;
  server.on("error", () => {});
  const monitor = new Monitor(server, kind);
  let failure: unknown = null;
  const exited = Promise.withResolvers<never>();
  const runner: Partial<Runner> = {
    kind,
    onmessage: null,
    post() {},
    terminate() {},
    kill() {},
    fail: (error) => failure = error,
    ready: Promise.resolve(),
    exited: exited.promise,
  };
  const owner: ReplicaOwner = {
    server,
    options: {},
    stallTimeout: Infinity,
    othersStay: true,
    stats: (own) => own,
    finished() {},
    wasCut() {},
    observed: (name, details) => monitor.observed(name, details),
    exceeded() {},
    leaving() {},
    ended() {},
  };
  const replica = new Replica(1, runner as Runner, null, owner);
  const send = () => Promise.resolve(1);
  const from: Deno.Addr = { transport: "udp", hostname: "::1", port: 1 };
  for (let i = 0; i < 2; i++) {
    replica.relay.relayPacket(new Uint8Array(1), from, false, send)
      .catch(() => {});
  }
  return {
    take(message) {
      runner.onmessage!(message);
      if (failure !== null) throw failure;
    },
    end: () => replica.life.terminate("has told lies"),
  };
}

function openRunner(): Reader {
  const decoder = new RunnerDecoder({
    message: (message) => ending.receive(message),
    ready() {},
    hello() {},
    leave: ({ reason, error }) => {
      ending.end({ code: 1, reason, ...(error && { error }) }, "a liar");
    },
  });
  const ending = new Ending();
  return {
    take: (message) => decoder.receive(...message as [number, unknown]),
    end() {},
  };
}

function openShares(): Reader {
  const host = new ShareHost(() => {}, () => 0, "confined");
  return {
    take: (message) => host.receive(message),
    end: () => host.end(false),
  };
}

const lock = new Lock();
const queue = new SharedQueue<unknown>();

/** The parts of a seed: the sender, its messages and their reader. */
interface Play {
  from: Sender;
  kind: Runner["kind"];
  open(): Reader;
  say(dice: Dice): unknown;
}

const PLAYS: Record<string, Play> = {
  "a replica in a process": {
    from: "replica",
    kind: "process",
    open: () => openReplica("process"),
    say: (dice) => dice(5) === 0 ? lieOfRelay(dice) : lieOfReplica(dice),
  },
  "a replica in a thread": {
    from: "trusted",
    kind: "thread",
    open: () => openReplica("thread"),
    say: (dice) => dice(5) === 0 ? lieOfRelay(dice) : lieOfReplica(dice),
  },
  "a process": {
    from: "confined",
    kind: "process",
    open: openRunner,
    say: (dice) => [frameKind(dice), lie(dice)],
  },
  "a thread": {
    from: "trusted",
    kind: "thread",
    open: openRunner,
    say: (dice) => [frameKind(dice), lie(dice)],
  },
  "a process with shared objects": {
    from: "confined",
    kind: "process",
    open: openShares,
    say: (dice) =>
      lieOfChild(dice, exportObject(pick(dice, [lock, queue])), encode),
  },
};

/** Plays a seed; returns how long each message took. */
function play({ from, kind, open, say }: Play, seed: number): number[] {
  const dice = createDice(seed);
  let reader = open();
  const times: number[] = [];
  for (let number = 0; number < MESSAGES; number++) {
    const crossed = cross(kind, say(dice), from);
    if (crossed === null) continue;
    const before = processorTime();
    try {
      reader.take(crossed[0]);
    } catch (error) {
      assert(error instanceof Error, `It threw ${Deno.inspect(error)}`);
      reader.end();
      reader = open();
    }
    times.push(processorTime() - before);
  }
  reader.end();
  return times;
}

for (const [who, about] of Object.entries(PLAYS)) {
  Deno.test(`what ${who} says takes its parent at most ${MOST} ms a message`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      let slow = play(about, seed);
      for (let tries = 1; slow.some((time) => time > MOST); tries++) {
        assert(tries < TRIES, `Seed ${seed}: ${Math.max(...slow)} ms`);
        const again = play(about, seed);
        slow = slow.map((time, number) => Math.min(time, again[number]!));
      }
      // Its calls go on in later turns
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertEquals(await lock.acquire({ timeout: 1_000 }), true);
    lock.release();
  });
}
