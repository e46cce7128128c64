/** The relay's two ends without sockets: windows, order, what is not begun. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { ByteQueue } from "../../workers/base/bytes.ts";
import {
  BUDGET,
  MIN_WINDOW,
  NotBegunError,
  Op,
  WINDOW,
} from "../../workers/relay/frames.ts";
import { RelayHub } from "../../workers/relay/hub.ts";
import { RelayLink } from "../../workers/relay/flow.ts";
import type { RelayedConn } from "../../workers/relay/relayed_conn.ts";
import { pause, within } from "../support/waiting.ts";
import { StallBefore, StallClient } from "../support/stall.ts";
import { CLIENT, FakeConn, Pair, tell, turns } from "./_relay_pair.ts";

const encoder = new TextEncoder();
const MANY = 400;
/** The number of kinds of frames. */
const OPS = Object.keys(Op).length;
const LOST = new Error("the replica died");

/** What a read that had begun may bring. */
const READ_SIZE = 32_768;
/** What many connections may have under way, and what was on the way to it. */
const MOST = BUDGET + WINDOW + MANY * MIN_WINDOW;

function carryMany(pair: Pair, kind: "isFlood" | "isDeaf"): FakeConn[] {
  return Array.from({ length: MANY }, () => {
    const conn = new FakeConn();
    conn[kind] = true;
    pair.hub.relay(conn.conn).catch(() => {});
    return conn;
  });
}

/** Waits until the port has begun `count` connections: a few in each turn. */
async function allBegun(pair: Pair, count: number): Promise<void> {
  while (pair.conns.length < count) await turns(1);
}

/** Writes until nothing is taken; counts what was. */
async function flood(conn: RelayedConn, counts: number[]): Promise<void> {
  const chunk = new Uint8Array(65_536);
  for (;;) counts.push(await conn.write(chunk));
}

function sum(counts: number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function closeAll(conns: FakeConn[]): void {
  for (const conn of conns) if (!conn.closed) conn.close();
}

Deno.test("relay: 400 clients before a busy replica hold no more than its budget", async () => {
  for (const begun of [true, false]) {
    const pair = new Pair();
    pair.isBusy = !begun;
    const conns = carryMany(pair, "isFlood");
    await turns(1);
    pair.isBusy = true;
    for (let before = -1; pair.toPort !== before;) {
      before = pair.toPort;
      await turns(50);
    }
    const { backlog } = pair.hub;
    const most = begun ? MOST + MANY * READ_SIZE : MANY * (MIN_WINDOW + 1_000);
    assert(backlog <= most, `${backlog} of ${most} bytes`);
    pair.hub.fail(LOST, Infinity);
    assertEquals(pair.hub.backlog, 0);
    closeAll(conns);
  }
});

Deno.test("relay: a loop of small reads lets timers fire", async () => {
  const pair = new Pair();
  const conn = new FakeConn();
  const relayed = pair.hub.relay(conn.conn);
  conn.arrive(new Uint8Array(10_000));
  await turns(10);
  let fired = 0;
  const timer = setInterval(() => fired++, 0);
  for (let i = 0; i < 10_000; i++) {
    assertEquals(await pair.conns[0]!.read(new Uint8Array(1)), 1);
  }
  clearInterval(timer);
  assert(fired > 0);
  pair.end();
  await relayed;
  conn.close();
});

Deno.test("relay: 400 handlers that write to deaf clients hold no more than their budget", async () => {
  const pair = new Pair();
  const conns = carryMany(pair, "isDeaf");
  await allBegun(pair, MANY);
  const counts: number[] = [];
  for (const conn of pair.conns) flood(conn, counts).catch(() => {});
  await turns(20);
  const held = sum(counts);
  assert(held > BUDGET && held <= MOST, `${held} bytes are held`);
  // A handler that has ended leaves its answer with the parent, and it counts
  pair.end();
  await turns();
  const more = carryMany(pair, "isDeaf");
  await allBegun(pair, MANY * 2);
  for (const conn of pair.conns.slice(MANY)) {
    flood(conn, counts).catch(() => {});
  }
  await turns(20);
  const added = sum(counts) - held;
  assert(added > 0 && added <= MANY * MIN_WINDOW, `${added} bytes are added`);
  assertEquals(pair.broken, []);
  closeAll([...conns, ...more]);
  await turns();
  pair.end();
  await turns();
  assertEquals(pair.hub.size, 0);
});

Deno.test("relay: writes that begin beside a waiting one follow it, and so does the end", async () => {
  const pair = new Pair();
  const held = new FakeConn();
  held.isDeaf = true;
  pair.hub.relay(held.conn).catch(() => {});
  await allBegun(pair, 1);
  const [conn] = pair.conns as [RelayedConn];
  const PARTS = WINDOW / MIN_WINDOW + 3;
  const writes = Array.from(
    { length: PARTS },
    (_, part) => conn.write(new Uint8Array(MIN_WINDOW).fill(part)),
  );
  const ended = conn.closeWrite();
  await turns();
  held.listen();
  const counts = await Promise.all(writes);
  await ended;
  await turns();
  const expected = counts.flatMap((count, part) => new Array(count).fill(part));
  assert(
    held.written.join() === expected.join(),
    `${held.written.length} of ${expected.length} bytes, or out of order`,
  );
  await assertRejects(
    () => conn.write(new Uint8Array(1)),
    Deno.errors.BrokenPipe,
  );
  assertEquals(pair.broken, []);
  pair.end();
  await turns();
  closeAll([held]);
});

Deno.test("relay: what a write that nobody awaited still held is not sent after its request", async () => {
  const pair = new Pair();
  const conns = carryMany(pair, "isDeaf");
  await allBegun(pair, MANY);
  for (const conn of pair.conns) flood(conn, []).catch(() => {});
  await turns();
  for (const conn of pair.conns) conn.leave();
  pair.end();
  for (const conn of conns) conn.listen();
  await turns(50);
  assertEquals(pair.broken, []);
  closeAll(conns);
});

Deno.test("relay: small parts of large messages hold little more than themselves", () => {
  const queue = new ByteQueue();
  let bytes = 0;
  for (let i = 0; i < 20_000; i++) {
    const message = new Uint8Array(1_000);
    queue.push(message.subarray(0, 1 + i % 9));
    bytes += 1 + i % 9;
  }
  assertEquals(queue.length, bytes);
  let held = 0;
  let taken = 0;
  for (let part; (part = queue.shift()) !== null;) {
    held += part.buffer.byteLength;
    taken += part.length;
  }
  assert(held < bytes * 2, `${held} bytes hold ${bytes}`);
  assertEquals(taken, bytes);
});

Deno.test("relay: writes of one byte wait for the parent before long", async () => {
  const pair = new Pair();
  const conn = new FakeConn();
  conn.isDeaf = true;
  const relayed = pair.hub.relay(conn.conn);
  await turns();
  let written = 0;
  const writing = (async () => {
    for (;;) {
      await pair.conns[0]!.write(new Uint8Array(1));
      written++;
    }
  })().catch(() => {});
  await turns(1);
  // The frames are more than what they carry
  assert(written < WINDOW / 10, `${written} bytes were taken`);
  for (let before = -1; written !== before;) {
    before = written;
    await turns(20);
  }
  assert(written <= WINDOW, `${written} bytes are held`);
  conn.listen();
  await turns(20);
  assert(conn.written.length > written / 2);
  pair.end();
  await relayed;
  await writing;
});

Deno.test("relay: socket.send() waits until the parent has sent, within a window", async () => {
  const pair = new Pair();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  let sent = 0;
  const relayed = pair.hub.relayPacket(
    new Uint8Array(1),
    CLIENT,
    false,
    async (packet) => {
      await gate;
      sent++;
      return packet.length;
    },
  );
  await turns();
  const { reply, end } = pair.packets[0]!;
  const packet = new Uint8Array(1_000);
  let settled = 0;
  const replies = Array.from({ length: 12_000 }, async () => {
    assertEquals(await reply(packet, null), 1_000);
    settled++;
  });
  await turns(20);
  assertEquals(settled, 0);
  assert(pair.toHub < WINDOW * 1.02, `${pair.toHub} bytes went over`);
  // What is sent without waiting for it is sent all the same
  end();
  open();
  await Promise.all(replies);
  await relayed;
  assertEquals([settled, sent], [12_000, 12_000]);
});

Deno.test("relay: a loop of awaited sends lets timers fire", async () => {
  const pair = new Pair();
  const relayed = pair.hub.relayPacket(
    new Uint8Array(1),
    CLIENT,
    false,
    (packet) => Promise.resolve(packet.length),
  );
  await turns();
  const { reply, end } = pair.packets[0]!;
  let fired = 0;
  const timer = setInterval(() => fired++, 0);
  for (let i = 0; i < 2_000; i++) await reply(new Uint8Array(10), null);
  clearInterval(timer);
  assert(fired > 0);
  end();
  await relayed;
});

Deno.test("relay: a reply fails with the class of the parent's error", async () => {
  const pair = new Pair();
  const relayed = pair.hub.relayPacket(
    new Uint8Array(1),
    CLIENT,
    false,
    () => Promise.reject(new Deno.errors.AddrNotAvailable("not here")),
  );
  await turns();
  const { reply, end } = pair.packets[0]!;
  await assertRejects(
    () => reply(new Uint8Array(1), null),
    Deno.errors.AddrNotAvailable,
    "not here",
  );
  end();
  await relayed;
  await assertRejects(
    () => reply(new Uint8Array(1), null),
    Deno.errors.BadResource,
  );
});

Deno.test("relay: the hub sends to the client alone where handlers are confined", async () => {
  const pair = new Pair(true);
  const sentTo: Deno.Addr[] = [];
  const relayed = pair.hub.relayPacket(
    new Uint8Array(1),
    CLIENT,
    false,
    (packet, to) => {
      sentTo.push(to);
      return Promise.resolve(packet.length);
    },
  );
  await turns();
  const { reply, end } = pair.packets[0]!;
  for (
    const other of [
      { ...CLIENT, port: 3 },
      { ...CLIENT, hostname: "127.0.0.2" },
      { transport: "unixpacket", path: "/tmp/x" } as const,
    ]
  ) {
    await assertRejects(
      () => reply(new Uint8Array(1), other),
      Deno.errors.NotCapable,
    );
  }
  assertEquals(await reply(new Uint8Array(1), { ...CLIENT }), 1);
  end();
  await relayed;
  assertEquals(sentTo, [CLIENT]);
});

Deno.test("relay: a connection that was not begun is carried by another hub, with what came", async () => {
  const [first, second] = [new Pair(), new Pair()];
  first.isBusy = true;
  const conn = new FakeConn();
  const relayed = first.hub.relay(conn.conn);
  conn.arrive(encoder.encode("one "));
  await turns();
  first.hub.fail(LOST, 1_000);
  const error = await assertRejects(() => relayed, NotBegunError);
  assertEquals(error.cause, LOST);
  conn.arrive(encoder.encode("two "));
  await turns();
  assertEquals(conn.closed, false);
  // One more hub that ends, and one that does not take it at all
  const third = new Pair();
  third.isBusy = true;
  const again = third.hub.relay(conn.conn);
  third.hub.fail(LOST, 1_000);
  await assertRejects(() => again, NotBegunError);
  await assertRejects(() => third.hub.relay(conn.conn), NotBegunError);
  const served = second.hub.relay(conn.conn);
  conn.arrive(encoder.encode("three"));
  conn.arrive(null);
  await turns();
  const [relayedConn] = second.conns;
  let text = "";
  const into = new Uint8Array(100);
  for (let n; (n = await relayedConn!.read(into)) !== null;) {
    text += new TextDecoder().decode(into.subarray(0, n));
  }
  assertEquals(text, "one two three");
  second.end();
  await served;
});

Deno.test("relay: a client that left before its connection began is lost in the next hub as well", async () => {
  const [first, second] = [new Pair(), new Pair()];
  first.isBusy = true;
  const conn = new FakeConn();
  const relayed = first.hub.relay(conn.conn);
  conn.arrive(new Deno.errors.ConnectionReset("gone"));
  await turns();
  first.hub.fail(LOST, 1_000);
  await assertRejects(() => relayed, NotBegunError);
  const served = second.hub.relay(conn.conn);
  await turns();
  await assertRejects(
    () => second.conns[0]!.read(new Uint8Array(1)),
    Deno.errors.ConnectionReset,
    "gone",
  );
  second.end();
  await served;
});

Deno.test("relay: a packet that was not begun is carried by another hub", async () => {
  const [first, second] = [new Pair(), new Pair()];
  first.isBusy = true;
  const packet = encoder.encode("a packet");
  const send = () => Promise.resolve(0);
  const relayed = first.hub.relayPacket(packet, CLIENT, false, send);
  first.hub.fail(LOST, 1_000);
  await assertRejects(() => relayed, NotBegunError);
  const served = second.hub.relayPacket(packet, CLIENT, false, send);
  await turns();
  assertEquals(second.packets[0]!.packet, packet);
  second.packets[0]!.end();
  await served;
});

Deno.test("relay: what a handler wrote is delivered after its runner ended, or cut in time", async () => {
  for (const listens of [true, false]) {
    for (const ends of [true, false]) {
      const pair = new Pair();
      const conn = new FakeConn();
      conn.isDeaf = true;
      const relayed = pair.hub.relay(conn.conn);
      await turns();
      await pair.conns[0]!.write(new Uint8Array(1_000));
      await pair.conns[0]!.write(new Uint8Array(1_000));
      await turns();
      if (ends) pair.end();
      await turns();
      pair.hub.fail(LOST, 20);
      assertEquals([pair.hub.size, pair.hub.load], [1, 0]);
      if (listens) conn.listen();
      const error = await relayed.catch((error) => error);
      assertEquals(conn.written.length, listens ? 2_000 : 0);
      assertEquals(conn.closed, !listens);
      if (!ends) assertEquals(error, LOST);
      else if (listens) assertEquals(error, 0);
      else assertInstanceOf(error, Deno.errors.TimedOut);
    }
  }
});

Deno.test("relay: a packet that was cut is not ended again by its answer", async () => {
  const pair = new Pair();
  const sending = Promise.withResolvers<number>();
  const send = () => sending.promise;
  const relayed = pair.hub.relayPacket(new Uint8Array(1), CLIENT, false, send);
  await turns();
  void pair.packets[0]!.reply(new Uint8Array(1), null);
  await turns();
  pair.hub.fail(LOST, 1);
  assertEquals(await relayed.catch((error) => error), LOST);
  sending.resolve(1);
  await turns();
  assertEquals(pair.hub.size, 0);
});

Deno.test("relay: a request that is done settles, although its message is broken off", async () => {
  const broken: Error[] = [];
  const hub = new RelayHub({ post: () => {} });
  const conn = new FakeConn();
  const send = () => Promise.resolve(1);
  const relayed = [
    hub.relayPacket(new Uint8Array(1), CLIENT, false, send),
    hub.relay(conn.conn),
  ];
  const link = new RelayLink(tell(hub, broken));
  for (const id of [1, 2]) {
    link.send(Op.began, id);
    link.send(Op.done, id);
  }
  link.send(Op.began, 9);
  link.flush();
  assertEquals(broken.length, 1);
  hub.fail(LOST, Infinity);
  assertEquals(hub.size, 0);
  await Promise.all(relayed);
  conn.close();
  await turns(1);
});

Deno.test("relay: closing a carried connection ends its handler's read and write", async () => {
  const pair = new Pair();
  const conn = new FakeConn();
  const relayed = pair.hub.relay(conn.conn);
  await turns();
  const read = pair.conns[0]!.read(new Uint8Array(1));
  conn.close();
  await assertRejects(() => read, Deno.errors.ConnectionAborted);
  await assertRejects(
    () => pair.conns[0]!.write(new Uint8Array(1)),
    Deno.errors.ConnectionAborted,
  );
  pair.end();
  await relayed;
});

/** Frames that may not come, by the steps that lead to them. */
const BAD: Record<string, [op: number, bytes?: Uint8Array][]> = {
  "an unknown code": [[99]],
  "a frame of a request that is not there": [],
  "data before it began": [[Op.data, new Uint8Array(1)]],
  "began twice": [[Op.began], [Op.began]],
  "no data": [[Op.began], [Op.data]],
  "data after the end": [[Op.began], [Op.end], [Op.data, new Uint8Array(1)]],
  "data after the close": [[Op.began], [Op.close], [
    Op.data,
    new Uint8Array(1),
  ]],
  "an end after the end": [[Op.began], [Op.end], [Op.end]],
  "an option after the close": [[Op.began], [Op.close], [
    Op.option,
    Uint8Array.of(0, 1),
  ]],
  "a stop after the close": [[Op.began], [Op.close], [
    Op.stop,
    new Uint8Array(4),
  ]],
  "a stop without a number": [[Op.began], [Op.stop]],
  "an unknown option": [[Op.began], [Op.option, Uint8Array.of(9, 1)]],
  "done before it began": [[Op.done]],
  "a cut before it began": [[Op.cut]],
  "a cut after the end of all": [[Op.began], [Op.done], [Op.cut]],
  "done twice": [[Op.began], [Op.done], [Op.done]],
  "credit that nobody owes": [[Op.began], [
    Op.credit,
    Uint8Array.of(0, 0, 9, 9),
  ]],
  "credit of no number": [[Op.began], [Op.credit, Uint8Array.of(1)]],
  "more than a window": [[Op.began], [Op.data, new Uint8Array(WINDOW)]],
  "a packet for a connection": [[Op.began], [Op.packet, new Uint8Array(6)]],
  "what only the parent says": [[Op.began], [Op.open]],
};

Deno.test("relay: what may not come ends the runner, once, and nothing else", async (t) => {
  for (const [name, frames] of Object.entries(BAD)) {
    await t.step(name, async () => {
      const broken: Error[] = [];
      const hub = new RelayHub({ post: () => {} });
      const conn = new FakeConn();
      conn.isDeaf = true;
      const relayed = hub.relay(conn.conn);
      const link = new RelayLink(tell(hub, broken));
      for (const [op, bytes] of frames) {
        link.send(op as typeof Op.data, 1, bytes);
        link.flush();
      }
      if (frames.length === 0) link.send(Op.began, 7);
      link.flush();
      assertEquals(broken.length, 1, String(broken));
      link.send(Op.began, 9);
      link.flush();
      assertEquals(broken.length, 1);
      await turns(1);
      hub.fail(LOST, 0);
      await relayed.catch(() => {});
      if (!conn.closed) conn.close();
      await turns(1);
    });
  }
});

Deno.test("RelayHub.fail() gives back what the runner has not counted as begun", async () => {
  const begun = new Int32Array(1);
  const hub = new RelayHub({ post: () => {}, begun });
  const conns = [new FakeConn(), new FakeConn()];
  const relayed = conns.map(({ conn }) => hub.relay(conn));
  const send = () => Promise.resolve(1);
  relayed.push(hub.relayPacket(new Uint8Array(1), CLIENT, false, send));
  Atomics.add(begun, 0, 1);
  hub.fail(LOST, 0);
  const results = await Promise.allSettled(relayed);
  const reasons = results.map((result) => "reason" in result && result.reason);
  assertEquals(reasons[0], LOST);
  assert(reasons[1] instanceof NotBegunError);
  assert(reasons[2] instanceof NotBegunError);
  for (const conn of conns) conn.close();
  await turns(1);
});

const BAD_PACKETS: Record<string, Uint8Array> = {
  "too short": new Uint8Array(5),
  "an address that is cut off": Uint8Array.of(0, 0, 0, 1, 0, 9, 1),
  "an address that is no JSON": Uint8Array.of(0, 0, 0, 1, 0, 1, 123),
  "an address that is none": Uint8Array.of(0, 0, 0, 1, 0, 2, 123, 125),
  "more than a window": new Uint8Array(WINDOW),
};

Deno.test("relay: a packet that may not come ends the runner, once, and nothing else", async () => {
  for (const [name, bytes] of Object.entries(BAD_PACKETS)) {
    const broken: Error[] = [];
    const hub = new RelayHub({ post: () => {} });
    const send = () => Promise.resolve(1);
    const relayed = hub.relayPacket(new Uint8Array(1), CLIENT, false, send);
    const link = new RelayLink(tell(hub, broken));
    link.send(Op.began, 1);
    link.send(Op.packet, 1, bytes);
    link.flush();
    assertEquals(broken.length, 1, name);
    hub.fail(LOST, 0);
    await relayed.catch(() => {});
    await turns(1);
  }
});

Deno.test("relay: messages of any bytes are refused at most once, and requests end", async () => {
  let seed = 1;
  const random = (below: number) => {
    seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0;
    return (seed >>> 8) % below;
  };
  for (let run = 0; run < 500; run++) {
    const broken: Error[] = [];
    const hub = new RelayHub({ post: () => {} });
    const conns = [new FakeConn(), new FakeConn()];
    const relayed = conns.map(({ conn }) => hub.relay(conn).catch(() => {}));
    const link = new RelayLink((message) => {
      // Now and then one byte is another
      if (random(3) === 0) message[random(message.length)] = random(256);
      tell(hub, broken)(message);
    });
    for (let i = 0; i < 20; i++) {
      const op = (i < 2 ? Op.began : 1 + random(OPS)) as typeof Op.data;
      const id = i < 2 ? i + 1 : 1 + random(2);
      const bytes = Uint8Array.from({ length: random(8) }, () => random(256));
      link.send(op, id, bytes);
      if (random(2) === 0) link.flush();
    }
    link.flush();
    assert(broken.length <= 1);
    await turns(1);
    hub.fail(LOST, 0);
    await Promise.all(relayed);
    closeAll(conns);
  }
  await turns();
});

/** A runner that has read what came asks for no more, and reads on. */
async function askToStop() {
  const pair = new Pair();
  const held = new FakeConn();
  const carried = pair.hub.relay(held.conn);
  held.arrive(Uint8Array.of(1, 2));
  await turns();
  const conn = pair.conns[0]!;
  const into = new Uint8Array(8);
  assertEquals(await conn.read(into), 2);
  const reading = conn.read(into);
  conn.stopReading();
  return { pair, held, carried, conn, into, reading };
}

Deno.test("relay: a connection whose runner wants no more ends, for the runner alone", async () => {
  const { pair, held, carried, conn, into, reading } = await askToStop();
  assertEquals(await within("the end", reading), null);
  assertEquals(conn.isStopped, true);
  await conn.write(Uint8Array.of(3));
  held.arrive(Uint8Array.of(4)); // after the end nobody reads it
  await turns();
  assertEquals(await conn.read(into), null);
  conn.close();
  pair.end();
  await within("its end", carried);
  assertEquals(held.written, [3]);
});

Deno.test("relay: bytes that are on their way to a runner that wants no more come, and no end", async () => {
  const { pair, held, carried, conn, into, reading } = await askToStop();
  held.arrive(Uint8Array.of(3));
  assertEquals(await within("the bytes", reading), 1);
  await pause(50);
  held.arrive(null);
  assertEquals(await within("the client's end", conn.read(into)), null);
  assertEquals(conn.isStopped, false);
  conn.close();
  pair.end();
  await within("its end", carried);
});

/** A real connection that is relayed, whose client can stop the event loop. */
async function relayStallable() {
  using listener = Deno.listen({ port: 0 });
  const pair = new Pair();
  const client = new StallClient();
  const accepted = listener.accept();
  await client.connect(listener.addr.port);
  const conn = await accepted;
  const relayed = pair.hub.relay(conn);
  await allBegun(pair, 1);
  return { pair, client, conn, relayed };
}

Deno.test("a stop ends no connection whose bytes arrived while the event loop stood still", async () => {
  for (const stall of [1, 8, 60]) {
    const { pair, client, conn, relayed } = await relayStallable();
    using _client = client;
    const into = new Uint8Array(16);
    const reading = pair.conns[0]!.read(into);
    const paused = pause(8); // it ends before the stop's 10 ms, which begin later
    pair.conns[0]!.stopReading();
    pair.port.flush();
    await paused;
    client.stall(stall);
    assertEquals(await within("the bytes", reading), 5, `${stall} ms`);
    pair.end();
    await within("the end", relayed);
    conn.close();
  }
});

Deno.test("relay: bytes that wait for their turn are no reason to end their connection", async () => {
  const pair = new Pair();
  // Of those that arrive in one turn, the last must wait for another
  const conns = Array.from({ length: 40 }, () => new FakeConn());
  const relayed = conns.map(({ conn }) => pair.hub.relay(conn));
  await allBegun(pair, conns.length);
  await turns();
  const into = new Uint8Array(8);
  const reads = pair.conns.map((conn) => conn.read(into));
  let isRead = false;
  const last = reads.at(-1)!.finally(() => isRead = true);
  const before = pair.toPort;
  for (const held of conns) held.arrive(Uint8Array.of(1));
  while (pair.toPort === before) await turns(1);
  assertEquals(isRead, false);
  const conn = pair.conns.at(-1)!;
  conn.stopReading();
  assertEquals(await last, 1);
  await pause(50);
  conns.at(-1)!.arrive(Uint8Array.of(2)); // the rest of its request
  assertEquals(await within("the rest", conn.read(into)), 1);
  pair.end();
  await Promise.all(relayed);
  closeAll(conns);
});

Deno.test("relay: what was on its way to a connection that its handler closed leaves room for others", async () => {
  const pair = new Pair();
  const conns = carryMany(pair, "isFlood");
  await allBegun(pair, MANY);
  await turns();
  assert(pair.hub.backlog >= BUDGET);
  for (const conn of pair.conns) conn.close();
  await turns();
  assertEquals(pair.hub.backlog, 0);
  assertEquals([pair.hub.load, pair.broken], [MANY, []]);
  pair.end();
  await turns();
  closeAll(conns);
});

Deno.test("a stop looks for bytes again if the event loop stood still before its last look", async () => {
  const { pair, client, conn, relayed } = await relayStallable();
  using _client = client;
  const reading = pair.conns[0]!.read(new Uint8Array(16));
  using _stall = new StallBefore(1, () => client.stall(12));
  pair.conns[0]!.stopReading();
  pair.port.flush();
  assertEquals(await within("the bytes", reading), 5);
  pair.end();
  await within("the end", relayed);
  conn.close();
});
