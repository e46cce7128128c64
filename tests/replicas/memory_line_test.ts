/** Messages through memory that two threads share. */

import { assert, assertEquals } from "@std/assert";
import { RelayProtocolError } from "../../workers/relay/frames.ts";
import {
  LineReader,
  LineWriter,
  newRelayMemory,
} from "../../workers/relay/memory_line.ts";

/** A message of this number: its first bytes hold it. */
function message(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(number & 255);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function numberOf(bytes: Uint8Array): number {
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  if (bytes.length > 4) assertEquals(bytes.at(-1), number & 255);
  return number;
}

function fail(error: Error): void {
  throw error;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("LineReader takes messages of all sizes in order, by memory or by the port", async () => {
  const memory = newRelayMemory().toRunner;
  const taken: number[] = [];
  const take = (bytes: Uint8Array) => void taken.push(numberOf(bytes));
  const reader = new LineReader(memory, take, fail);
  const posted: Uint8Array[] = [];
  const writer = new LineWriter(memory, (bytes) => posted.push(bytes));
  let count = 0;
  let byPort = 0;
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < round % 12; i++) {
      const length = 4 + Math.imul(count, 7_919) % 250_000;
      writer.send(message(count++, length));
    }
    byPort += posted.length;
    // Messages of the port come later, and others may be written meanwhile
    if (round % 2 === 0) reader.drain();
    writer.send(message(count++, 9));
    for (const bytes of posted.splice(0)) reader.receive(bytes);
  }
  reader.stop();
  assertEquals(taken, Array.from({ length: count }, (_, i) => i));
  assert(byPort > 0 && byPort < count, `${byPort} of ${count} by the port`);
  await turn();
});

Deno.test("LineReader wakes for each message, until it is stopped", async () => {
  const memory = newRelayMemory().fromRunner;
  let taken: (number: number) => void = () => {};
  const take = (bytes: Uint8Array) => taken(numberOf(bytes));
  const reader = new LineReader(memory, take, fail);
  const writer = new LineWriter(memory, () => {});
  for (let i = 0; i < 100; i++) {
    const { promise, resolve } = Promise.withResolvers<number>();
    taken = resolve;
    writer.send(message(i, 64));
    const keepsAlive = setInterval(() => {}, 1_000);
    assertEquals(await promise, i);
    clearInterval(keepsAlive);
  }
  const rest: number[] = [];
  taken = (number) => rest.push(number);
  writer.send(message(100, 64));
  reader.stop();
  assertEquals(rest, [100]);
  writer.send(message(101, 64));
  await turn();
  assertEquals(rest, [100]);
});

Deno.test("LineReader tells once of memory that makes no sense, and takes no more", () => {
  for (const length of [-1, -8, 9, 2 ** 30]) {
    const memory = newRelayMemory().fromRunner;
    const errors: Error[] = [];
    const taken: Uint8Array[] = [];
    const reader = new LineReader(
      memory,
      (bytes) => void taken.push(bytes),
      (error) => errors.push(error),
    );
    new Int32Array(memory)[2] = length;
    Atomics.store(new Int32Array(memory), 0, 16);
    reader.drain();
    reader.drain();
    assertEquals(errors.length, 1, `${length}`);
    assertEquals(taken.length, 0);
    reader.stop();
  }
});

Deno.test("LineReader refuses a length that no message can have before it makes room", () => {
  for (const length of [0, 2 ** 31 - 1, 2 ** 31 - 7, 2 ** 31 - 8]) {
    const memory = newRelayMemory().fromRunner;
    const errors: Error[] = [];
    const taken: number[] = [];
    const reader = new LineReader(
      memory,
      (bytes) => void taken.push(bytes.length),
      (error) => errors.push(error),
    );
    new Int32Array(memory)[2] = length;
    Atomics.store(new Int32Array(memory), 0, 16);
    reader.drain();
    assertEquals(taken, []);
    assert(errors[0] instanceof RelayProtocolError, String(errors[0]));
    reader.stop();
  }
});

Deno.test("LineReader survives whatever is written while it reads", () => {
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
    const take = (bytes: Uint8Array) => {
      longest = Math.max(longest, bytes.length);
      scribble();
    };
    const reader = new LineReader(memory, take, () => errors++);
    for (let i = 0; i < 50; i++) {
      scribble();
      if (random(4) === 0) reader.receive(new Uint8Array(1));
      else reader.drain();
    }
    reader.stop();
    assert(errors <= 1, `${errors} errors`);
    assert(longest < memory.byteLength, `a message of ${longest} bytes`);
  }
});
