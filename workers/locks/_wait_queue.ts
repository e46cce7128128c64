/**
 * Who waits, in the order in which they came, across threads.
 *
 * Each waiter is in a slot under its ticket. Whoever wakes a waiter empties
 * its slot and notifies it, so that a slot never depends on its waiter to be
 * freed. Waking gives nothing away: the woken one tries again like anybody
 * else. Until it has tried, a few newcomers may overtake it; if it then fails,
 * it comes back with its old ticket, and nobody who came later gets anything
 * before it. So a wake-up that gets lost (in a thread that ended, or that is
 * busy) only delays the others, by some ticks, and none of them waits for ever.
 *
 * The memory is of a fixed size: a growable one costs the process two mappings
 * and a megabyte of addresses. Those who find no slot get one in the memory
 * that all queues of the thread share that made this one.
 *
 * @module
 */
import type { WaitSlot } from "./_async_wait.ts";
import { Overflow } from "./_overflow.ts";

const NEXT_TICKET = 0;
const ENROLLED = 1;
const OVERFLOWED = 2;
const NAME = 3;
const RESERVED = 4;
const ALLOWANCE = 5;
const BEATS = 6;
const SLOTS = 7;

const OWN_SLOTS = 16;

/** The first word that the owner of a queue may use for itself. */
export const OWN = SLOTS + OWN_SLOTS;

/** How many bytes a queue takes. */
export const QUEUE_BYTES = 4 * OWN;

// The lowest bit of a ticket tells a waiter that blocks its thread: it may be
// between enrolling and sleeping when it is woken, and is alive nevertheless.
const SYNC = 1;
const TICKET_STEP = 2;

/** How many newcomers may overtake one that was woken and has yet to try. */
const MAY_OVERTAKE = 8;

/** The memory of a queue, as it crosses to other threads. */
export interface WaitRecord {
  /** The queue's words, and its owner's. */
  memory: SharedArrayBuffer;
  /** The slots beyond its own. */
  overflow: SharedArrayBuffer;
}

/**
 * Makes the memory of queues.
 *
 * @param bytes How many bytes they and their owner take.
 * @returns The memory.
 */
export function newWaitRecord(bytes: number): WaitRecord {
  const { memory: overflow } = Overflow.own;
  return { memory: new SharedArrayBuffer(bytes), overflow };
}

/** Waiters of any thread, oldest first. */
export class WaitQueue {
  /** The words of the queue and, from `OWN` on, of its owner. */
  readonly words: Int32Array;
  /** Whether one waiter's success is another's failure. */
  readonly fair: boolean;
  readonly #overflow: Overflow;

  /**
   * Makes a queue, or joins one.
   *
   * @param from How many words the owner wants, or the memory of a queue.
   * @param fair Whether one waiter's success is another's failure, so that
   * newcomers must not overtake for ever.
   * @param at Where in the memory it is, in bytes.
   */
  constructor(from: number | WaitRecord, fair = true, at = 0) {
    const record = typeof from === "number"
      ? newWaitRecord(QUEUE_BYTES + 4 * from)
      : from;
    const { memory } = record;
    this.words = new Int32Array(memory, at, memory.byteLength - at >> 2);
    this.fair = fair;
    this.#overflow = Overflow.over(record.overflow);
  }

  /** The queue's memory. */
  get record(): WaitRecord {
    return {
      memory: this.words.buffer as SharedArrayBuffer,
      overflow: this.#overflow.memory,
    };
  }

  /** How many wait. */
  get size(): number {
    return Atomics.load(this.words, ENROLLED);
  }

  /** The ticket of the one that comes next whoever else comes, or `0`. */
  get reserved(): number {
    return Atomics.load(this.words, RESERVED);
  }

  /** How often the one that comes next has told that it is alive. */
  get beats(): number {
    return Atomics.load(this.words, BEATS);
  }

  /** Tells that the one that comes next is alive. */
  beat(): void {
    Atomics.add(this.words, BEATS, 1);
  }

  /** Whether a newcomer may try; it uses the permission up. */
  mayOvertake(): boolean {
    return this.reserved === 0 ||
      Atomics.load(this.words, ALLOWANCE) > 0 &&
        Atomics.sub(this.words, ALLOWANCE, 1) > 0;
  }

  /**
   * Takes a ticket.
   *
   * @param sync Whether the waiter blocks its thread.
   * @returns The ticket.
   */
  takeTicket(sync: boolean): number {
    for (;;) {
      const ticket = Atomics.add(this.words, NEXT_TICKET, TICKET_STEP) +
          TICKET_STEP | 0;
      if (ticket !== 0) return sync ? ticket | SYNC : ticket;
    }
  }

  /**
   * Puts a waiter into a slot.
   *
   * @param ticket Its ticket.
   * @returns The slot.
   */
  enrol(ticket: number): WaitSlot {
    const { words } = this;
    Atomics.add(words, ENROLLED, 1);
    for (let index = SLOTS; index < OWN; index++) {
      if (words[index] !== 0) continue;
      if (Atomics.compareExchange(words, index, 0, ticket) !== 0) continue;
      return { words, index, value: ticket, ticket };
    }
    Atomics.add(words, OVERFLOWED, 1);
    try {
      return this.#overflow.enrol(this.#name, ticket);
    } catch (error) {
      Atomics.sub(words, OVERFLOWED, 1);
      Atomics.sub(words, ENROLLED, 1);
      throw error;
    }
  }

  /**
   * Gives a slot back.
   *
   * @param slot The slot.
   * @returns Whether the waiter was still in it; if not, it was woken.
   */
  cancel(slot: WaitSlot): boolean {
    if (!this.#free(slot)) return false;
    // Ends the engine's own waiter, which would otherwise stay.
    Atomics.notify(slot.words, slot.index);
    return true;
  }

  /**
   * Wakes the oldest waiters; those of threads that ended don't count.
   *
   * @param count How many.
   * @returns How many were woken.
   */
  wake(count: number): number {
    let woken = 0;
    while (woken < count && this.size > 0) {
      const slots = count - woken === 1 ? this.#oldest() : this.#all();
      if (slots.length === 0) break;
      for (const slot of slots) {
        if (woken === count) break;
        if (this.#wakeSlot(slot, count === 1)) woken++;
      }
    }
    return woken;
  }

  /**
   * Keeps those who came later back until a waiter has tried.
   *
   * @param ticket The waiter's ticket.
   * @param allowance How many newcomers may overtake it.
   * @returns Whether it comes next now.
   */
  reserve(ticket: number, allowance = 0): boolean {
    if (!this.fair) return false;
    for (;;) {
      const { reserved } = this;
      if (reserved !== 0 && (reserved - ticket | 0) < 0) return false;
      const before = Atomics.compareExchange(
        this.words,
        RESERVED,
        reserved,
        ticket,
      );
      if (before !== reserved) continue;
      Atomics.store(this.words, ALLOWANCE, allowance);
      return true;
    }
  }

  /**
   * Lets newcomers try again.
   *
   * @param ticket The ticket of the one that comes next.
   * @returns Whether it was that one.
   */
  unreserve(ticket: number): boolean {
    return ticket !== 0 && this.reserved === ticket &&
      Atomics.compareExchange(this.words, RESERVED, ticket, 0) === ticket;
  }

  /** The queue's number in the overflow. */
  get #name(): number {
    const name = Atomics.load(this.words, NAME);
    if (name !== 0) return name;
    Atomics.compareExchange(this.words, NAME, 0, this.#overflow.nameQueue());
    return Atomics.load(this.words, NAME);
  }

  #wakeSlot(slot: WaitSlot, alone: boolean): boolean {
    const { words, index, ticket } = slot;
    // Before it is woken: afterwards it may be done already.
    const reserved = alone && this.reserved === 0 &&
      this.reserve(ticket, MAY_OVERTAKE);
    const woken = this.#free(slot) &&
      (Atomics.notify(words, index) > 0 || (ticket & SYNC) !== 0);
    if (reserved && !woken) this.unreserve(ticket);
    return woken;
  }

  #free(slot: WaitSlot): boolean {
    const { words, index, value } = slot;
    if (Atomics.compareExchange(words, index, value, 0) !== value) return false;
    if (words !== this.words) {
      this.#overflow.free(slot);
      Atomics.sub(this.words, OVERFLOWED, 1);
    }
    Atomics.sub(this.words, ENROLLED, 1);
    return true;
  }

  // Plain reads will do from here on: an atomic one comes before them, and
  // what they find is only believed by a compare-and-exchange.

  #each(found: (slot: WaitSlot) => void): void {
    const { words } = this;
    const overflowed = Atomics.load(words, OVERFLOWED);
    for (let index = SLOTS; index < OWN; index++) {
      const value = words[index]!;
      if (value !== 0) found({ words, index, value, ticket: value });
    }
    if (overflowed > 0) this.#overflow.find(this.#name, overflowed, found);
  }

  #all(): WaitSlot[] {
    const slots: WaitSlot[] = [];
    this.#each((slot) => slots.push(slot));
    return slots.sort((a, b) => a.ticket - b.ticket | 0);
  }

  #oldest(): WaitSlot[] {
    let oldest: WaitSlot | undefined;
    this.#each((slot) => {
      if (oldest === undefined || (slot.ticket - oldest.ticket | 0) < 0) {
        oldest = slot;
      }
    });
    return oldest === undefined ? [] : [oldest];
  }
}
