/**
 * Extra slots for waiters that find none in their own queue. All queues that a
 * thread makes share this memory: most queues have few waiters, and memory for
 * thousands in each would cost kilobytes.
 *
 * @module
 */
import type { WaitSlot } from "./_sleep.ts";

const HIGH_WATER = 0;
const NEXT_TICKET = 1;
const FIRST = 2;

// The words of a slot. A waiter sleeps on its ticket.
const TICKET = 0;
const QUEUE = 1;
const SLOT_WORDS = 2;

/** Only used pages take memory. */
const MOST_SLOTS = 2 ** 18;
const END = FIRST + MOST_SLOTS * SLOT_WORDS;

/** How often the search for a free slot starts over. */
const SEARCHES = 1_024;

const known = new WeakMap<SharedArrayBuffer, Overflow>();
let own: Overflow | undefined;

/** The tickets of some queues, and the slots that they share. */
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
   * Draws a ticket.
   *
   * @returns An even number other than 0, which none of these queues has had.
   */
  takeTicket(): number {
    for (;;) {
      const ticket = Atomics.add(this.#words, NEXT_TICKET, 2) + 2 | 0;
      if (ticket !== 0) return ticket;
    }
  }

  /**
   * Puts a waiter into a slot.
   *
   * @param queue Its queue's name.
   * @param ticket Its ticket.
   * @returns The slot.
   * @throws {RangeError} If no slot is free.
   */
  enrol(queue: number, ticket: number): WaitSlot {
    const words = this.#words;
    // Other threads free slots, too.
    if (++this.#searches % SEARCHES === 0) this.#start = FIRST;
    for (let at = this.#start; at < END; at += SLOT_WORDS) {
      if (words[at + QUEUE] !== 0) continue;
      if (Atomics.compareExchange(words, at + QUEUE, 0, queue) !== 0) continue;
      this.#start = at;
      // From now on it can be found.
      Atomics.store(words, at + TICKET, ticket);
      this.#raiseHighWater(at + SLOT_WORDS);
      return { words, index: at + TICKET, ticket };
    }
    throw new RangeError(
      `Cannot wait: ${MOST_SLOTS} others wait for what the same thread made`,
    );
  }

  /**
   * Frees a slot whose ticket was removed.
   *
   * @param slot The slot.
   */
  free({ words, index }: WaitSlot): void {
    const at = index - TICKET;
    Atomics.store(words, at + QUEUE, 0);
    this.#start = Math.min(this.#start, at);
  }

  /**
   * Finds a queue's waiters.
   *
   * @param queue The queue's name.
   * @param count Their number.
   * @returns Their slots.
   */
  find(queue: number, count: number): WaitSlot[] {
    const words = this.#words;
    const slots: WaitSlot[] = [];
    const high = Atomics.load(words, HIGH_WATER);
    for (let at = FIRST; at < high && slots.length < count; at += SLOT_WORDS) {
      if (words[at + QUEUE] !== queue) continue;
      const index = at + TICKET;
      const ticket = Atomics.load(words, index);
      // Another queue's waiter may have got the slot meanwhile.
      if (ticket === 0 || Atomics.load(words, at + QUEUE) !== queue) continue;
      slots.push({ words, index, ticket });
    }
    return slots;
  }

  #raiseHighWater(to: number): void {
    for (;;) {
      const high = Atomics.load(this.#words, HIGH_WATER);
      if (high >= to) return;
      Atomics.compareExchange(this.#words, HIGH_WATER, high, to);
    }
  }
}
