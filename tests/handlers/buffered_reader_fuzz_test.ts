/** The reader, all methods mixed, against a model that holds all the bytes. */

import { assert, assertEquals } from "@std/assert";
import {
  BufferedReader,
  IncompleteReadError,
  LineTooLongError,
} from "../../mod.ts";
import { ChunkySource, type Dice, forSeeds } from "./_sources.ts";

const RUNS = 600;
const OPERATIONS = 30;
const ALPHABET = [97, 98, 44, 10, 10, 13, 0xc3, 0xa9, 0xff, 59];
const DELIMITERS = [",", ";;", "ab", "aab", "\n", "\r\n", "abab"];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What the reader should do, written to be read. */
class Model {
  #data: Uint8Array;
  #max: number;
  #source: ChunkySource | null;
  #at = 0;

  constructor(data: Uint8Array, max: number, source: ChunkySource | null) {
    this.#data = data;
    this.#max = max;
    this.#source = source;
  }

  get rest(): Uint8Array {
    return this.#data.subarray(this.#at);
  }

  /** What the reader got, and its user has not read. */
  get hasCome(): Uint8Array {
    return this.#data.subarray(this.#at, this.#source?.given);
  }

  get hasEnded(): boolean {
    return this.#source?.ended ?? true;
  }

  take(count: number): Uint8Array {
    const bytes = this.#data.slice(this.#at, this.#at + count);
    this.#at += bytes.length;
    return bytes;
  }

  line(): Uint8Array | null {
    const { rest } = this;
    if (rest.length === 0) return null;
    const at = rest.indexOf(10);
    const line = this.take(at < 0 ? rest.length : at + 1);
    const content = at < 0 ? line : line.subarray(0, -1);
    const length = content.length - (content.at(-1) === 13 ? 1 : 0);
    if (length > this.#max) throw new LineTooLongError(this.#max);
    return line;
  }

  until(delimiter: Uint8Array): Uint8Array {
    const { rest } = this;
    const at = find(rest, delimiter);
    const bytes = this.take(at < 0 ? rest.length : at + delimiter.length);
    // Without a delimiter its beginning may be the end of what came
    const allowed = this.#max + (at < 0 ? delimiter.length - 1 : 0);
    if ((at < 0 ? bytes.length : at) > allowed) {
      throw new LineTooLongError(this.#max);
    }
    if (at < 0) throw new IncompleteReadError("", bytes);
    return bytes;
  }

  exact(count: number): Uint8Array {
    const bytes = this.take(count);
    if (bytes.length < count) throw new IncompleteReadError("", bytes);
    return bytes;
  }

  /** What is there: a byte at least, unless at the end. */
  part(found: unknown, limit: number): Uint8Array | null {
    if (this.rest.length === 0) return null;
    assert(found instanceof Uint8Array);
    assert(found.length > 0 && found.length <= limit);
    return this.take(found.length);
  }
}

function find(bytes: Uint8Array, sought: Uint8Array): number {
  for (let at = 0; at + sought.length <= bytes.length; at++) {
    if (sought.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

function text(line: Uint8Array | null): string | null {
  if (line === null) return null;
  let end = line.length;
  if (line[end - 1] === 10) {
    end--;
    if (line[end - 1] === 13) end--;
  }
  return decoder.decode(line.subarray(0, end));
}

/** A result or an error in a form that can be compared. */
async function outcome(run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof IncompleteReadError) return ["partial", error.partial];
    if (error instanceof LineTooLongError) return ["long", error.maxLineLength];
    if (error instanceof TypeError) return REFUSED;
    throw error;
  }
}

const REFUSED = Symbol("another read is pending");

/** A way to read, and what it should give. */
interface Way {
  read(reader: BufferedReader): unknown;
  expect(model: Model, found: unknown): unknown;
  /** Of a way that never waits: whether the bytes that have come suffice. */
  isThere?(bytes: Uint8Array): boolean;
}

function chooseWay(dice: Dice): Way {
  const count = dice.below(dice.pick([30, 100]));
  const delimiter = dice.pick(DELIMITERS);
  const line = (model: Model) => text(model.line());
  const exactText = (model: Model) => decoder.decode(model.exact(count));
  return dice.pick<Way>([
    { read: (reader) => reader.readLine(), expect: line },
    {
      read: (reader) => reader.tryReadLine(),
      expect: line,
      isThere: (bytes) => bytes.includes(10),
    },
    { read: nextLine, expect: line },
    {
      read: (reader) => reader.readLineBytes(),
      expect: (model) => model.line(),
    },
    {
      read: (reader) => reader.readUntil(delimiter),
      expect: (model) => model.until(encoder.encode(delimiter)),
    },
    {
      read: (reader) => reader.readExact(count),
      expect: (model) => model.exact(count),
    },
    { read: (reader) => reader.readText(count), expect: exactText },
    {
      read: (reader) => reader.tryReadText(count),
      expect: exactText,
      isThere: (bytes) => bytes.length >= Math.max(1, count),
    },
    {
      read: (reader) => reader.read(),
      expect: (model, found) => model.part(found, Infinity),
    },
    {
      read: async (reader) => {
        const into = new Uint8Array(count + 1);
        const n = await reader.read(into);
        return n && into.slice(0, n);
      },
      expect: (model, found) => model.part(found, count + 1),
    },
  ]);
}

async function nextLine(reader: BufferedReader): Promise<string | null> {
  for await (const line of reader) return line;
  return null;
}

/** Reads once, or twice at a time: then the second may be refused. */
async function operate(
  reader: BufferedReader,
  model: Model,
  dice: Dice,
): Promise<void> {
  const ways = [chooseWay(dice)];
  if (dice.below(4) === 0) ways.push(chooseWay(dice));
  const hasCome = model.hasEnded || ways[0]!.isThere?.(model.hasCome);
  const results: Promise<unknown>[] = [];
  for (const way of ways) {
    results.push(outcome(() => way.read(reader)));
    for (let turns = dice.below(6); turns > 0; turns--) await null;
  }
  for (const [i, found] of (await Promise.all(results)).entries()) {
    const { expect, isThere } = ways[i]!;
    if (i === 1 && found === REFUSED) continue;
    const mayWait = isThere !== undefined && (i === 1 || !hasCome);
    if (mayWait && found === undefined) continue;
    assertEquals(found, await outcome(() => expect(model, found)));
  }
}

function randomBytes(dice: Dice): Uint8Array {
  const bytes = new Uint8Array(dice.below(300));
  for (let i = 0; i < bytes.length; i++) bytes[i] = dice.pick(ALPHABET);
  return bytes;
}

for (const kind of ["connection", "packet"]) {
  Deno.test(`BufferedReader over a ${kind} does what a plain model does, in ${RUNS} random runs`, async () => {
    await forSeeds(RUNS, async (dice) => {
      const data = randomBytes(dice);
      const maxLineLength = 1 + dice.below(40);
      const bufferSize = 1 + dice.below(64);
      const source = kind === "packet"
        ? null
        : new ChunkySource(data, dice, 1 + dice.below(100));
      const reader = source === null
        ? BufferedReader.from(data.slice(), { maxLineLength })
        : new BufferedReader(source, { bufferSize, maxLineLength });
      const model = new Model(data, maxLineLength, source);
      for (let i = 0; i < OPERATIONS; i++) await operate(reader, model, dice);
      assertEquals(await reader.readAll(), model.take(Infinity));
      assertEquals(await reader.readLine(), null);
    });
  });
}
