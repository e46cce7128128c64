/**
 * A queue of waiters of all threads, in the order in which they came.
 *
 * Each waiter has a slot with its ticket. Waking a waiter empties its slot and
 * notifies it, so freeing a slot never depends on its waiter. Waking hands over
 * nothing: the woken waiter tries again. Until it has tried, a few newcomers
 * may overtake it. If it then fails, it returns with its old ticket, and later
 * waiters get nothing before it. So a lost wake-up (in a thread that has ended
 * or is busy) only delays the others by some ticks, and none waits forever.
 *
 * The memory has a fixed size: growable memory costs two mappings and a
 * megabyte of addresses. When all slots are taken, waiters use the overflow
 * slots that all queues of the creating thread share.
 *
 * @module
 */
import type { WaitSlot } from "./_sleep.ts";
import { Overflow } from "./_overflow.ts";

const ENROLLED = 0;
const NAME = 1;
const RESERVED = 2;
const ALLOWANCE = 3;
const BEATS = 4;
const SLOTS = 5;

const OWN_SLOTS = 16;

/** The first word that the owner of a queue may use for itself. */
export const OWN = SLOTS + OWN_SLOTS;

/** The size of a queue in bytes. */
export const QUEUE_BYTES = 4 * OWN;

// The lowest bit of a ticket marks a waiter that blocks its thread. Such a
// waiter may be woken between enrolling and sleeping, and is alive
// nevertheless.
const SYNC = 1;

/** How many newcomers may overtake a woken waiter that has not tried yet. */
const MAY_OVERTAKE = 8;

/** The memory of a queue, as other threads receive it. */
export interface WaitRecord {
  /** The queue's words, and its owner's. */
  memory: SharedArrayBuffer;
  /** The slots beyond its own. */
  overflow: SharedArrayBuffer;
}

/**
 * Makes the memory of queues.
 *
 * @param bytes The bytes for them and their owner.
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
   * @param from The number of words for the owner, or the memory of a queue.
   * @param fair Whether one waiter's success is another's failure, so that
   * overtaking must be limited.
   * @param at Its offset in the memory in bytes.
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

  /** The number of waiters. */
  get size(): number {
    return Atomics.load(this.words, ENROLLED);
  }

  /** The ticket of the waiter whose turn is next, or `0`. */
  get reserved(): number {
    return Atomics.load(this.words, RESERVED);
  }

  /** How often the next waiter has reported that it is alive. */
  get beats(): number {
    return Atomics.load(this.words, BEATS);
  }

  /** Reports that the next waiter is alive. */
  beat(): void {
    Atomics.add(this.words, BEATS, 1);
  }

  /** Whether a newcomer may try. Uses up the permission. */
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
    const ticket = this.#overflow.takeTicket();
    return sync ? ticket | SYNC : ticket;
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
      return { words, index, ticket };
    }
    try {
      return this.#overflow.enrol(this.#nameQueue(), ticket);
    } catch (error) {
      Atomics.sub(words, ENROLLED, 1);
      throw error;
    }
  }

  /**
   * Frees a slot.
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
   * Wakes the oldest waiters. Waiters of ended threads don't count.
   *
   * @param count The number of waiters to wake.
   * @returns The number of woken waiters.
   */
  wake(count: number): number {
    let woken = 0;
    while (woken < count && this.size > 0) {
      const slots = this.#waiting();
      if (slots.length === 0) break;
      for (const slot of oldestFirst(slots, count - woken)) {
        if (this.#wakeSlot(slot, count === 1)) woken++;
      }
    }
    return woken;
  }

  /**
   * Makes later waiters wait until this one has tried.
   *
   * @param ticket The waiter's ticket.
   * @param allowance How many newcomers may overtake it.
   * @returns Whether it is next now.
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
   * @param ticket The ticket of the next waiter.
   * @returns Whether it was that one.
   */
  unreserve(ticket: number): boolean {
    return ticket !== 0 && this.reserved === ticket &&
      Atomics.compareExchange(this.words, RESERVED, ticket, 0) === ticket;
  }

  /** The queue's name in the overflow, which only few queues need. */
  #nameQueue(): number {
    if (this.#name === 0) {
      const name = this.#overflow.takeTicket();
      Atomics.compareExchange(this.words, NAME, 0, name);
    }
    return this.#name;
  }

  get #name(): number {
    return Atomics.load(this.words, NAME);
  }

  #wakeSlot(slot: WaitSlot, alone: boolean): boolean {
    const { words, index, ticket } = slot;
    // Before it is woken: after that it may already be done.
    const reserved = alone && this.reserved === 0 &&
      this.reserve(ticket, MAY_OVERTAKE);
    const woken = this.#free(slot) &&
      (Atomics.notify(words, index) > 0 || (ticket & SYNC) !== 0);
    if (reserved && !woken) this.unreserve(ticket);
    return woken;
  }

  #free(slot: WaitSlot): boolean {
    const { words, index, ticket } = slot;
    if (Atomics.compareExchange(words, index, ticket, 0) !== ticket) {
      return false;
    }
    if (words !== this.words) this.#overflow.free(slot);
    Atomics.sub(this.words, ENROLLED, 1);
    return true;
  }

  #waiting(): WaitSlot[] {
    const { words, size } = this;
    const slots: WaitSlot[] = [];
    for (let index = SLOTS; index < OWN; index++) {
      // A plain read suffices: whoever wakes the waiter verifies it.
      const ticket = words[index]!;
      if (ticket !== 0) slots.push({ words, index, ticket });
    }
    const others = size - slots.length;
    if (others <= 0 || this.#name === 0) return slots;
    return slots.concat(this.#overflow.find(this.#name, others));
  }
}

function isOlder(a: WaitSlot, b: WaitSlot): boolean {
  return (a.ticket - b.ticket | 0) < 0;
}

function oldestFirst(slots: WaitSlot[], count: number): WaitSlot[] {
  if (count === 1) return [slots.reduce((a, b) => isOlder(b, a) ? b : a)];
  return slots.sort((a, b) => isOlder(a, b) ? -1 : 1).slice(0, count);
}
