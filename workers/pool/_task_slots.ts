/**
 * Shared memory in which a thread reports on its tasks and small results.
 *
 * @module
 */

import { ByteWriter, decode, encodeInto } from "../codec/codec.ts";
import {
  type Answer,
  isPlain,
  SLOTS,
  type Status,
  type TaskSlotsMemory,
} from "./_protocol.ts";

/** The size of the largest small answer in bytes. */
const AREA = 256;

/** The states of a task in a thread. */
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

/** Whether the pool was notified. */
const CALLED = SLOTS;
/** The number of messages that the pool has posted. */
const POSTED = SLOTS + 1;

/**
 * Memory that a pool shares with a thread, with a slot for each task. Through
 * it the pool can take back tasks that have not begun, and knows the tasks that
 * a dead thread had begun. It also gets small answers while the thread runs the
 * next task, even if that task blocks. One notification covers many answers.
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
   * Prepares a slot for a task.
   *
   * @param slot The slot.
   */
  reset(slot: number): void {
    Atomics.store(this.#memory.states, slot, STATE.waiting);
  }

  /**
   * Begins with a task, in the thread.
   *
   * @param slot Its slot.
   * @returns Whether the pool has not taken it back.
   */
  begin(slot: number): boolean {
    return this.#change(slot, STATE.begun);
  }

  /**
   * Takes a task back, in the pool. An abandoned thread that wakes up does not
   * begin it either.
   *
   * @param slot Its slot.
   * @returns Whether the thread had not begun it.
   */
  recall(slot: number): boolean {
    return this.#change(slot, STATE.recalled);
  }

  /**
   * Leaves an answer, in the thread.
   *
   * @param slot The task's slot.
   * @param status Its outcome.
   * @param value The value.
   * @param time Its run time in milliseconds.
   * @returns Whether it was small enough. Otherwise post it.
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
   * @param slot The task's slot.
   * @returns The answer, or `null` if there is none.
   */
  take(slot: number): Answer | null {
    const { states, heads, times, bytes } = this.#memory;
    if (Atomics.load(states, slot) !== STATE.answered) return null;
    const length = heads[2 * slot + 1]!;
    const from = slot * AREA;
    // TextDecoder refuses shared memory, so the bytes are copied.
    for (let at = 0; at < length; at++) this.#local[at] = bytes[from + at]!;
    return {
      status: heads[2 * slot] as Status,
      value: decode(this.#local, 0, length),
      time: times[slot]!,
    };
  }

  /**
   * Marks, in the thread, that there are answers.
   *
   * @returns Whether the pool must be notified. Otherwise it already was.
   */
  call(): boolean {
    return Atomics.exchange(this.#memory.states, CALLED, 1) === 0;
  }

  /** Marks, in the pool, that it looks. */
  look(): void {
    Atomics.store(this.#memory.states, CALLED, 0);
  }

  /** Counts, in the pool, a posted message. */
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
