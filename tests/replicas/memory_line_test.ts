/** Messages through memory that two threads share. */

import { ProtocolError } from "../../workers/line/dialect.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Line,
  MemoryLine,
  newRelayMemory,
} from "../../workers/line/shared_line.ts";

/** A message of this number: its first bytes hold it. */
function message(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(number & 255);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function numberOf(message: unknown): number {
  if (!(message instanceof Uint8Array)) return message as number;
  const { buffer, byteOffset } = message;
  const number = new DataView(buffer, byteOffset).getUint32(0);
  if (message.length > 4) assertEquals(message.at(-1), number & 255);
  return number;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A port whose messages arrive when the test wants it. */
class SlowPort implements Line {
  readonly backlog = 0;
  onmessage: Line["onmessage"] = null;
  readonly posted: unknown[] = [];

  post(message: unknown): void {
    this.posted.push(message);
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }
}

/** A line that reads, and the port of what it reads. */
function reader(
  incoming: SharedArrayBuffer,
  take: (message: unknown) => void,
  broken: (error: unknown) => void = (error) => {
    throw error;
  },
): [line: MemoryLine, port: SlowPort] {
  const port = new SlowPort();
  const unused = newRelayMemory().toRunner;
  const line = new MemoryLine(port, incoming, unused, broken);
  line.onmessage = take;
  return [line, port];
}

/** A line that writes, and the port of what it writes. */
function writer(outgoing: SharedArrayBuffer): [MemoryLine, SlowPort] {
  const port = new SlowPort();
  const line = new MemoryLine(
    port,
    newRelayMemory().toRunner,
    outgoing,
    () => {},
  );
  return [line, port];
}

Deno.test("MemoryLine delivers messages of all kinds and sizes in order", async () => {
  const memory = newRelayMemory().toRunner;
  const taken: number[] = [];
  const [to, toPort] = reader(memory, (one) => void taken.push(numberOf(one)));
  const [from, { posted }] = writer(memory);
  let count = 0;
  let byPort = 0;
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < round % 12; i++) {
      const length = 4 + Math.imul(count, 7_919) % 250_000;
      from.post(message(count++, length));
      if (i % 5 === 4) from.post(count++);
    }
    byPort += posted.length;
    // Messages of the port come later, and others may be written meanwhile
    if (round % 4 === 0) await turn();
    from.post(message(count++, 9));
    for (const one of posted.splice(0)) toPort.onmessage!(one);
  }
  to.stop();
  from.stop();
  assertEquals(taken, Array.from({ length: count }, (_, i) => i));
  assert(byPort > 0 && byPort < count, `${byPort} of ${count} by the port`);
  await turn();
});

Deno.test("MemoryLine lets no bytes overtake a message that was posted before them", () => {
  const memory = newRelayMemory().fromRunner;
  const taken: unknown[] = [];
  const [to, toPort] = reader(memory, (one) => void taken.push(one));
  const [from, { posted }] = writer(memory);
  from.post("first");
  from.post(message(1, 8));
  from.post("last");
  assertEquals(posted, ["first", "last"]);
  to.stop();
  assertEquals(taken, []);
  const [again, againPort] = reader(memory, (one) => void taken.push(one));
  for (const one of posted) againPort.onmessage!(one);
  assertEquals(taken, ["first", message(1, 8), "last"]);
  assert(toPort.posted.length === 0);
  again.stop();
  from.stop();
});

Deno.test("MemoryLine counts no message that can't be posted", () => {
  const memory = newRelayMemory().fromRunner;
  const taken: unknown[] = [];
  const [to] = reader(memory, (one) => void taken.push(one));
  const [from, port] = writer(memory);
  port.post = (message) => void structuredClone(message);
  assertThrows(() => from.post(() => {}), DOMException);
  from.post(message(1, 8));
  to.stop();
  from.stop();
  assertEquals(taken, [message(1, 8)]);
});

Deno.test("MemoryLine wakes for each message, until it is stopped", async () => {
  const memory = newRelayMemory().fromRunner;
  let taken: (number: number) => void = () => {};
  const [to] = reader(memory, (one) => taken(numberOf(one)));
  const [from] = writer(memory);
  for (let i = 0; i < 100; i++) {
    const { promise, resolve } = Promise.withResolvers<number>();
    taken = resolve;
    from.post(message(i, 64));
    const keepsAlive = setInterval(() => {}, 1_000);
    assertEquals(await promise, i);
    clearInterval(keepsAlive);
  }
  const rest: number[] = [];
  taken = (number) => rest.push(number);
  from.post(message(100, 64));
  to.stop();
  assertEquals(rest, [100]);
  from.post(message(101, 64));
  from.stop();
  await turn();
  assertEquals(rest, [100]);
});

Deno.test("MemoryLine tells once of memory that makes no sense, before it makes room, and takes no more", () => {
  const lengths = [-1, -8, 9, 2 ** 30];
  for (
    const length of [...lengths, 0, 2 ** 31 - 1, 2 ** 31 - 7, 2 ** 31 - 8]
  ) {
    const memory = newRelayMemory().fromRunner;
    const errors: unknown[] = [];
    const taken: unknown[] = [];
    const [line, port] = reader(
      memory,
      (one) => void taken.push(one),
      (error) => errors.push(error),
    );
    new Int32Array(memory)[2] = length;
    Atomics.store(new Int32Array(memory), 0, 16);
    port.onmessage!("posted");
    port.onmessage!("posted");
    assertEquals(errors.length, 1, `${length}`);
    assert(errors[0] instanceof ProtocolError, String(errors[0]));
    assertEquals(taken, ["posted", "posted"]);
    line.stop();
  }
});

Deno.test("MemoryLine takes nothing from the memory after a message that was refused", () => {
  const memory = newRelayMemory().fromRunner;
  const taken: unknown[] = [];
  const [to, toPort] = reader(memory, (one) => {
    taken.push(one);
    throw new Error("refused");
  });
  const [from] = writer(memory);
  let thrown: unknown;
  try {
    toPort.onmessage!("posted");
  } catch (error) {
    thrown = error;
  }
  assertEquals(String(thrown), "Error: refused");
  from.post(message(1, 8));
  to.stop();
  from.stop();
  assertEquals(taken, ["posted"]);
});

Deno.test("MemoryLine survives whatever is written while it reads", () => {
  let seed = 1;
  const random = (below: number) => {
    seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0;
    return (seed >>> 8) % below;
  };
  for (let run = 0; run < 200; run++) {
    const memory = newRelayMemory().fromRunner;
    const words = new Int32Array(memory);
    let errors = 0;
    let longest = 0;
    // A hostile thread also writes between the reading of two messages
    const scribble = () => {
      const length = random(3) === 0 ? random(2 ** 24) * 128 : random(64);
      words[2 + random(16) * 2] = length;
      words[3 + random(16) * 2] = random(4) - 2;
      if (random(4) === 0) words[1] = random(2 ** 24) * 256;
      words[0] = random(8) === 0 ? random(2 ** 24) * 256 : words[0]! + 8;
    };
    const take = (message: unknown) => {
      longest = Math.max(longest, (message as Uint8Array).length);
      scribble();
    };
    const [line, port] = reader(memory, take, () => errors++);
    for (let i = 0; i < 50; i++) {
      scribble();
      if (random(4) === 0) port.onmessage!(new Uint8Array(1));
    }
    line.stop();
    assert(errors <= 1, `${errors} errors`);
    assert(longest < memory.byteLength, `a message of ${longest} bytes`);
  }
});
