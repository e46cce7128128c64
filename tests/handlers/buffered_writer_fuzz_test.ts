/**
 * The writer, all its ways mixed, into sinks that are slow, take parts or fail.
 * What a sink has taken is always a beginning of what was written.
 */

import { assert, assertEquals } from "@std/assert";
import { BufferedWriter, type WriterSink } from "../../mod.ts";
import {
  abort,
  finish,
  release,
  sendHeld,
  takeReply,
} from "../../handlers/_internal.ts";
import { NOWHERE } from "../../handlers/io/_sender.ts";
import { type Dice, forSeeds } from "./_sources.ts";

const RUNS = 500;
const OPERATIONS = 40;
const TEXTS = [..."0123456789é€\u{1F600}", "\ud83d", "\ude00"];
const encoder = new TextEncoder();

/** Takes parts, at once or later; fails at some byte. */
class RoughSink implements WriterSink {
  readonly taken: number[] = [];
  failure: Error | null = null;
  #dice: Dice;
  #limit: number;
  #isBusy = false;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#limit = dice.pick([Infinity, 0, dice.below(300), dice.below(3_000)]);
  }

  write(bytes: Uint8Array): Promise<number> {
    assert(!this.#isBusy, "two writes at a time");
    assert(this.failure === null, "a write after the failure");
    assert(bytes.length > 0, "a write of nothing");
    if (this.taken.length >= this.#limit) {
      this.failure = new Deno.errors.BrokenPipe("gone");
      if (this.#dice.below(2) === 0) throw this.failure;
    }
    return this.#take(bytes);
  }

  async #take(bytes: Uint8Array): Promise<number> {
    this.#isBusy = true;
    await pause(this.#dice);
    this.#isBusy = false;
    if (this.failure !== null) throw this.failure;
    const most = this.#dice.pick([bytes.length, 1 + this.#dice.below(9)]);
    const part = bytes.subarray(0, Math.min(most, bytes.length));
    this.taken.push(...part);
    return part.length;
  }
}

/** Some microtasks, or turns of the event loop. */
async function pause(dice: Dice): Promise<void> {
  for (let turns = dice.pick([0, 0, 0, 0, 0, 0, 1, 3]); turns > 0; turns--) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  for (let turns = dice.below(4); turns > 0; turns--) await null;
}

function chooseData(dice: Dice): string | Uint8Array {
  const length = dice.below(dice.pick([2, 9, 150]));
  const text = Array.from({ length }, () => dice.pick(TEXTS)).join("");
  return dice.below(3) === 0 ? encoder.encode(text) : text;
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data.slice();
}

/** A writer, and what must have become of what was written. */
class Trial {
  readonly sink: RoughSink;
  readonly writer: BufferedWriter;
  readonly expected: number[] = [];
  readonly calls: Promise<void>[] = [];
  readonly #isBuffered: boolean;
  #reported = false;
  #reason: Error | null = null;

  constructor(dice: Dice) {
    this.sink = new RoughSink(dice);
    const bufferSize = dice.pick([0, 1, 7, 64, 1_000, 16_384]);
    const timeout = dice.pick([null, 100_000]);
    this.#isBuffered = bufferSize > 0;
    this.writer = new BufferedWriter(this.sink, { bufferSize, timeout });
  }

  get failure(): Error | null {
    return this.sink.failure ?? this.#reason;
  }

  operate(dice: Dice): void {
    switch (dice.below(50)) {
      case 0:
        this.#reason ??= new Error("aborted");
        return this.writer[abort](this.#reason);
      case 1:
      case 2:
      case 3:
        this.calls.push(this.#flush());
        return;
      case 4:
      case 5:
        return this.writer[sendHeld]();
      default:
        this.calls.push(this.#write(chooseData(dice)));
    }
  }

  async #write(data: string | Uint8Array): Promise<void> {
    this.expected.push(...bytesOf(data));
    const end = this.expected.length;
    try {
      assertEquals(await this.writer.write(data), data.length);
    } catch (error) {
      return this.#report(error);
    }
    // Now the caller may use the memory again
    if (typeof data !== "string") data.fill(33);
    if (!this.#isBuffered) this.#assertTaken(end);
  }

  async #flush(): Promise<void> {
    const end = this.expected.length;
    try {
      await this.writer.flush();
    } catch (error) {
      return this.#report(error);
    }
    this.#assertTaken(end);
  }

  /** What a handler does at its end. A failure is reported, and once. */
  async end(): Promise<void> {
    const wasReported = this.#reported;
    try {
      await this.writer[finish]();
      if (this.failure === null) this.#assertTaken(this.expected.length);
    } catch (error) {
      assert(!wasReported, "a failure is reported again");
      this.#report(error);
    }
    this.writer[release]();
    await Promise.all(this.calls);
    assertEquals(this.#reported, this.failure !== null);
  }

  #report(error: unknown): void {
    this.#reported = true;
    assert(error === this.sink.failure || error === this.#reason, `${error}`);
  }

  #assertTaken(end: number): void {
    assert(this.sink.taken.length >= end, "it settles before the sink took it");
  }

  assertBeginning(): void {
    const { taken } = this.sink;
    assertEquals(taken, this.expected.slice(0, taken.length));
  }
}

Deno.test(`BufferedWriter sends what was written, in order, or reports why not, in ${RUNS} random runs`, async () => {
  await forSeeds(RUNS, async (dice) => {
    const trial = new Trial(dice);
    const { writer, sink, expected, calls } = trial;
    for (let i = 0; i < OPERATIONS; i++) {
      trial.operate(dice);
      if (dice.below(3) === 0) await pause(dice);
      if (dice.below(9) === 0) await Promise.all(calls);
      if (trial.failure === null) {
        assert(writer.bufferedBytes >= expected.length - sink.taken.length);
      }
    }
    if (dice.below(2) === 0) await Promise.all(calls);
    await trial.end();
    trial.assertBeginning();
    if (trial.failure === null) assertEquals(writer.bufferedBytes, 0);
  });
});

Deno.test(`BufferedWriter sends all without a call, once the turn ends, in ${RUNS} random runs`, async () => {
  await forSeeds(RUNS, async (dice) => {
    const trial = new Trial(dice);
    for (let i = dice.below(9); i >= 0; i--) trial.operate(dice);
    await Promise.all(trial.calls);
    for (let turn = 0; trial.writer.bufferedBytes > 0; turn++) {
      assert(turn < 10_000, "it is never sent");
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (trial.failure === null) assertEquals(trial.sink.taken, trial.expected);
    trial.writer[release]();
  });
});

Deno.test(`BufferedWriter gathers a packet's reply in order, in ${RUNS} random runs`, async () => {
  await forSeeds(RUNS, async (dice) => {
    const bufferSize = Number.MAX_SAFE_INTEGER;
    const writer = new BufferedWriter(NOWHERE, { bufferSize });
    const expected: number[] = [];
    const count = dice.below(9);
    for (let i = 0; i < count; i++) {
      const data = chooseData(dice);
      expected.push(...bytesOf(data));
      const written = writer.write(data);
      if (typeof data !== "string") data.fill(33);
      if (dice.below(3) === 0) await written;
      if (dice.below(5) === 0) await writer.flush();
      assertEquals(writer.bufferedBytes, expected.length);
    }
    const reply = writer[takeReply]();
    assertEquals(reply && [...reply], count === 0 ? null : expected);
  });
});
