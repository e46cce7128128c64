/**
 * Shared memory in which a thread reports on its tasks and small results.
 *
 * @module
 */

import { ByteWriter } from "../codec/byte_writer.ts";
import { decode, encodeInto } from "../codec/codec.ts";
import {
  type Answer,
  isPlain,
  SLOTS,
  type Status,
  type TaskSlotsMemory,
} from "./_protocol.ts";

/** How many bytes a small answer may have. */
const AREA = 256;

/** How far a thread has come with a task. */
const STATE = {
  /** It waits. */
  waiting: 0,
  /** The thread has begun with it. */
  begun: 1,
  /** The pool has taken it back. */
  recalled: 2,
  /** Its answer lies here. */
  answered: 3,
} as const;

/** Whether the pool was told to look. */
const CALLED = SLOTS;
/** How many messages the pool has posted. */
const POSTED = SLOTS + 1;

/**
 * Memory that a pool and a thread have in common, with a place for each task:
 * the pool can take back what has not begun, sees what a dead thread had begun
 * with, and gets small answers while the thread is already busy with the next
 * task, even where that one blocks. Many answers take one call.
 */
export class TaskSlots {
  #memory: TaskSlotsMemory;
  #writer = new ByteWriter(AREA);
  #local = new Uint8Array(AREA);

  /**
   * Constructs one end.
   *
   * @param memory The memory, the same at both ends.
   */
  constructor(memory: TaskSlotsMemory) {
    this.#memory = memory;
  }

  /** Makes the memory. */
  static memory(): TaskSlotsMemory {
    return {
      states: new Int32Array(new SharedArrayBuffer(4 * (SLOTS + 2))),
      heads: new Int32Array(new SharedArrayBuffer(8 * SLOTS)),
      times: new Float64Array(new SharedArrayBuffer(8 * SLOTS)),
      bytes: new Uint8Array(new SharedArrayBuffer(AREA * SLOTS)),
    };
  }

  /**
   * Makes a place ready for a task.
   *
   * @param slot The place.
   */
  reset(slot: number): void {
    Atomics.store(this.#memory.states, slot, STATE.waiting);
  }

  /**
   * Begins with a task, in the thread.
   *
   * @param slot Its place.
   * @returns Whether the pool has left it there.
   */
  begin(slot: number): boolean {
    return this.#change(slot, STATE.begun);
  }

  /**
   * Takes a task back, in the pool. A thread that was given up does not begin
   * with it either, should it wake up.
   *
   * @param slot Its place.
   * @returns Whether the thread had not begun with it.
   */
  recall(slot: number): boolean {
    return this.#change(slot, STATE.recalled);
  }

  /**
   * Leaves an answer, in the thread.
   *
   * @param slot The task's place.
   * @param status What became of it.
   * @param value The value that goes with it.
   * @param time How long it ran.
   * @returns Whether it was small enough; otherwise it must be posted.
   */
  answer(slot: number, status: Status, value: unknown, time: number): boolean {
    if (!isPlain(value)) return false;
    const writer = this.#writer;
    const { states, heads, times, bytes } = this.#memory;
    writer.length = 0;
    encodeInto(writer, value);
    const { length } = writer;
    if (length > AREA) return false;
    const from = slot * AREA;
    for (let at = 0; at < length; at++) bytes[from + at] = writer.bytes[at]!;
    heads[2 * slot] = status;
    heads[2 * slot + 1] = length;
    times[slot] = time;
    Atomics.store(states, slot, STATE.answered);
    return true;
  }

  /**
   * Looks for an answer, in the pool.
   *
   * @param slot The task's place.
   * @returns The answer, or `null` if there is none here.
   */
  take(slot: number): Answer | null {
    const { states, heads, times, bytes } = this.#memory;
    if (Atomics.load(states, slot) !== STATE.answered) return null;
    const length = heads[2 * slot + 1]!;
    const from = slot * AREA;
    // A message's bytes can't be read where they are: TextDecoder refuses.
    for (let at = 0; at < length; at++) this.#local[at] = bytes[from + at]!;
    return {
      status: heads[2 * slot] as Status,
      value: decode(this.#local, 0, length),
      time: times[slot]!,
    };
  }

  /**
   * Notes, in the thread, that the pool is to look.
   *
   * @returns Whether it must be called; otherwise it was already.
   */
  call(): boolean {
    return Atomics.exchange(this.#memory.states, CALLED, 1) === 0;
  }

  /** Notes, in the pool, that it looks. */
  look(): void {
    Atomics.store(this.#memory.states, CALLED, 0);
  }

  /** Notes, in the pool, that it posts a message. */
  announce(): void {
    Atomics.add(this.#memory.states, POSTED, 1);
  }

  /** Counts, in the thread, the messages that the pool has posted. */
  get posted(): number {
    return Atomics.load(this.#memory.states, POSTED);
  }

  #change(slot: number, state: number): boolean {
    const { states } = this.#memory;
    const was = Atomics.compareExchange(states, slot, STATE.waiting, state);
    return was === STATE.waiting;
  }
}
