/**
 * Extra slots for waiters that find none in their own queue. All queues that a
 * thread makes share this memory: most queues have few waiters, and memory for
 * thousands in each would cost kilobytes.
 *
 * @module
 */
import type { WaitSlot } from "./_sleep.ts";

const HIGH_WATER = 0;
const NEXT_STAMP = 1;
const NEXT_QUEUE = 2;
const FIRST = 3;

// The words of a slot. Its waiter sleeps on the stamp, which no other waiter
// has: tickets are the same in different queues.
const STAMP = 0;
const QUEUE = 1;
const TICKET = 2;
const SLOT_WORDS = 3;

/** Neither free nor ready to be found. */
const CLAIMED = -1;

/** Only used pages take memory. */
const MOST_SLOTS = 2 ** 18;
const END = FIRST + MOST_SLOTS * SLOT_WORDS;

/** How often the search for a free slot starts over. */
const SEARCHES = 1_024;

const known = new WeakMap<SharedArrayBuffer, Overflow>();
let own: Overflow | undefined;

/** The slots that some queues share. */
export class Overflow {
  /** The memory, to be shared. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  #searches = 0;
  #start = FIRST;

  /**
   * Joins slots; {@linkcode Overflow.over} does it once.
   *
   * @param memory The memory they are in.
   */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** The slots of the queues that this thread makes. */
  static get own(): Overflow {
    return own ??= Overflow.over(new SharedArrayBuffer(4 * END));
  }

  /**
   * The slots of queues that some thread has made.
   *
   * @param memory The memory they are in.
   * @returns One for the same memory.
   */
  static over(memory: SharedArrayBuffer): Overflow {
    let overflow = known.get(memory);
    if (overflow === undefined) {
      known.set(memory, overflow = new Overflow(memory));
    }
    return overflow;
  }

  /**
   * Numbers a new queue.
   *
   * @returns A number that no other queue over these slots has.
   */
  nameQueue(): number {
    return this.#next(NEXT_QUEUE);
  }

  /**
   * Puts a waiter into a slot.
   *
   * @param queue Its queue's number.
   * @param ticket Its ticket.
   * @returns The slot.
   * @throws {RangeError} If no slot is free.
   */
  enrol(queue: number, ticket: number): WaitSlot {
    const words = this.#words;
    // Other threads free slots, too.
    if (++this.#searches % SEARCHES === 0) this.#start = FIRST;
    for (let index = this.#start; index < END; index += SLOT_WORDS) {
      if (words[index + QUEUE] !== 0) continue;
      const before = Atomics.compareExchange(words, index + QUEUE, 0, CLAIMED);
      if (before !== 0) continue;
      this.#start = index;
      const stamp = this.#next(NEXT_STAMP);
      Atomics.store(words, index + TICKET, ticket);
      Atomics.store(words, index + STAMP, stamp);
      Atomics.store(words, index + QUEUE, queue);
      this.#raiseHighWater(index + SLOT_WORDS);
      return { words, index, value: stamp, ticket };
    }
    throw new RangeError(
      `Cannot wait: ${MOST_SLOTS} others wait for what the same thread made`,
    );
  }

  /**
   * Frees a slot whose stamp was removed.
   *
   * @param slot The slot.
   */
  free({ words, index }: WaitSlot): void {
    Atomics.store(words, index + QUEUE, 0);
    this.#start = Math.min(this.#start, index);
  }

  /**
   * Finds a queue's waiters.
   *
   * @param queue The queue's number.
   * @param count Their number.
   * @param found Called with each.
   */
  find(queue: number, count: number, found: (slot: WaitSlot) => void): void {
    const words = this.#words;
    const high = Atomics.load(words, HIGH_WATER);
    for (let index = FIRST; index < high && count > 0; index += SLOT_WORDS) {
      if (words[index + QUEUE] !== queue) continue;
      // An unchanged stamp proves that the rest belongs to one waiter.
      const value = Atomics.load(words, index + STAMP);
      if (value === 0 || Atomics.load(words, index + QUEUE) !== queue) continue;
      count--;
      found({ words, index, value, ticket: words[index + TICKET]! });
    }
  }

  #next(word: number): number {
    for (;;) {
      const next = Atomics.add(this.#words, word, 1) + 1 | 0;
      if (next !== 0 && next !== CLAIMED) return next;
    }
  }

  #raiseHighWater(to: number): void {
    for (;;) {
      const high = Atomics.load(this.#words, HIGH_WATER);
      if (high >= to) return;
      Atomics.compareExchange(this.#words, HIGH_WATER, high, to);
    }
  }
}
