/** The reader, all methods mixed, against a model that holds all the bytes. */

import { assert, assertEquals } from "@std/assert";
import {
  BufferedReader,
  IncompleteReadError,
  LineTooLongError,
} from "../../mod.ts";
import { ChunkySource, type Dice, forSeeds } from "./_sources.ts";

const RUNS = 1_000;
const OPERATIONS = 30;
const ALPHABET = [97, 98, 44, 10, 10, 13, 0xc3, 0xa9, 0xff, 59];
const DELIMITERS = [",", ";;", "ab", "aab", "\n", "\r\n", "abab"];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What the reader should do, written to be read. */
class Model {
  #data: Uint8Array;
  #max: number;
  #at = 0;

  constructor(data: Uint8Array, max: number) {
    this.#data = data;
    this.#max = max;
  }

  get rest(): Uint8Array {
    return this.#data.subarray(this.#at);
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
    throw error;
  }
}

async function operate(
  reader: BufferedReader,
  model: Model,
  dice: Dice,
): Promise<void> {
  const count = dice.below(30);
  const delimiter = dice.pick(DELIMITERS);
  switch (dice.below(12)) {
    case 0:
    case 1:
    case 2:
      return assertEquals(
        await outcome(() => reader.readLine()),
        await outcome(() => text(model.line())),
      );
    case 3:
    case 4:
      return assertEquals(
        await outcome(() => reader.readLineBytes()),
        await outcome(() => model.line()),
      );
    case 5:
    case 6:
    case 7:
      return assertEquals(
        await outcome(() => reader.readUntil(delimiter)),
        await outcome(() => model.until(encoder.encode(delimiter))),
      );
    case 8:
    case 9:
      return assertEquals(
        await outcome(() => reader.readExact(count)),
        await outcome(() => model.exact(count)),
      );
    case 10:
      return assertPart(await reader.read(), model, Infinity);
    default: {
      const into = new Uint8Array(count + 1);
      const n = await reader.read(into);
      assertPart(n === null ? null : into.subarray(0, n), model, count + 1);
    }
  }
}

/** A read of what is there next gives one byte at least, unless at the end. */
function assertPart(
  bytes: Uint8Array | null,
  model: Model,
  limit: number,
): void {
  if (bytes === null) return assertEquals(model.rest.length, 0);
  assert(bytes.length > 0 && bytes.length <= limit);
  assertEquals(bytes.slice(), model.take(bytes.length));
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
      const model = new Model(data, maxLineLength);
      const reader = kind === "packet"
        ? BufferedReader.from(data.slice(), { maxLineLength })
        : new BufferedReader(
          new ChunkySource(data, dice, 1 + dice.below(100)),
          { bufferSize, maxLineLength },
        );
      for (let i = 0; i < OPERATIONS; i++) await operate(reader, model, dice);
      assertEquals(await reader.readAll(), model.take(Infinity));
      assertEquals(await reader.readLine(), null);
    });
  });
}
