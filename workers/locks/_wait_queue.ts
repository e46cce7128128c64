/**
 * Who waits, in the order in which they came, across threads.
 *
 * Each waiter owns a slot that holds its ticket. Who wakes a waiter empties
 * its slot and notifies it, so that a slot never depends on its waiter to be
 * freed. Waking gives nothing away: the woken one tries again like anybody
 * else, and comes back with its old ticket if it was overtaken; from then on
 * nobody who came later gets anything until it has had its waiter. So no wake-up that gets lost
 * (in a thread that ended, or that is busy) can do more than delay the others,
 * to the next tick, and none of them waits for ever.
 *
 * @module
 */
import { type Deadline, FOREVER } from "./_deadline.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { sleep, TICK, type WaitSlot } from "./_async_wait.ts";
import { Waiter } from "./_waiter.ts";

const NEXT_TICKET = 0;
const ENROLLED = 1;
const HIGH_WATER = 2;
const RESERVED = 3;
const BEATS = 4;

/** The first word that the owner of a list may use for itself. */
export const OWN = 5;

// The lowest bit of a ticket tells a waiter that blocks its thread: it may be
// between enrolling and sleeping when it is woken, and is alive nevertheless.
const SYNC = 1;
const TICKET_STEP = 2;

const FIRST_SLOTS = 64;
const MOST_SLOTS = 2 ** 18;

/** The memory of a list, as it crosses to other threads. */
export interface WaitRecord {
  /** The list's counters and its owner's words. */
  words: SharedArrayBuffer;
  /** The slots; grows. */
  slots: SharedArrayBuffer;
}

/** A view that follows the buffer's growth would be 30 times slower to read. */
function viewOf(slots: SharedArrayBuffer): Int32Array {
  return new Int32Array(slots, 0, slots.byteLength / 4);
}

/** Waiters of any thread, oldest first. */
export class WaitQueue {
  /** The list's memory. */
  readonly record: WaitRecord;
  /** The words of the list and, from `OWN` on, of its owner. */
  readonly words: Int32Array;
  #view: Int32Array;
  /** Whether one waiter's success is another's failure. */
  readonly fair: boolean;

  /**
   * Makes a list, or joins one.
   *
   * @param from How many words the owner wants, or the memory of a list.
   * @param fair Whether one waiter's success is another's failure, so that
   * newcomers must not overtake for ever.
   */
  constructor(from: number | WaitRecord, fair = true) {
    this.fair = fair;
    this.record = typeof from !== "number" ? from : {
      words: new SharedArrayBuffer(4 * (OWN + from)),
      slots: new SharedArrayBuffer(4 * FIRST_SLOTS, {
        maxByteLength: 4 * MOST_SLOTS,
      }),
    };
    this.words = new Int32Array(this.record.words);
    this.#view = viewOf(this.record.slots);
  }

  /** How many wait. */
  get size(): number {
    return Atomics.load(this.words, ENROLLED);
  }

  /** The ticket of the one who was overtaken and comes next, or `0`. */
  get reserved(): number {
    return Atomics.load(this.words, RESERVED);
  }

  takeTicket(sync: boolean): number {
    for (;;) {
      const ticket = Atomics.add(this.words, NEXT_TICKET, TICKET_STEP) +
          TICKET_STEP | 0;
      if (ticket !== 0) return sync ? ticket | SYNC : ticket;
    }
  }

  enrol(ticket: number): WaitSlot {
    Atomics.add(this.words, ENROLLED, 1);
    let words = this.#slots;
    for (let index = 0;; index++) {
      if (index === words.length) words = this.#grow(index);
      if (words[index] !== 0) continue;
      if (Atomics.compareExchange(words, index, 0, ticket) !== 0) continue;
      this.#raiseHighWater(index + 1);
      return { words, index, value: ticket };
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
        if (!this.#free(slot)) continue;
        const alive = Atomics.notify(slot.words, slot.index) > 0 ||
          (slot.value & SYNC) !== 0;
        if (alive) woken++;
      }
    }
    return woken;
  }

  /** Keeps those who came later back until a waiter has had its waiter. */
  reserve(ticket: number): void {
    if (!this.fair) return;
    for (;;) {
      const { reserved } = this;
      if (reserved !== 0 && (reserved - ticket | 0) <= 0) return;
      const before = Atomics.compareExchange(
        this.words,
        RESERVED,
        reserved,
        ticket,
      );
      if (before === reserved) return;
    }
  }

  /** How often the one who comes next has told that it is alive. */
  get beats(): number {
    return Atomics.load(this.words, BEATS);
  }

  /** Tells that the one who comes next is alive. */
  beat(): void {
    Atomics.add(this.words, BEATS, 1);
  }

  unreserve(ticket: number): boolean {
    return ticket !== 0 &&
      Atomics.compareExchange(this.words, RESERVED, ticket, 0) === ticket;
  }

  /**
   * Tries at once, unless others come first or the event loop must turn.
   *
   * @param attempt Takes what is waited for, or returns `false`.
   * @param limit When to give up.
   * @param takes Whether a success is something that a thread could be
   * terminated with; if not, the caller lets the event loop turn afterwards.
   * @returns Whether it succeeded; if not, go on with `until()`.
   */
  tryNow(
    attempt: () => boolean,
    limit: Deadline = FOREVER,
    takes: boolean = this.fair,
  ): boolean {
    limit.signal?.throwIfAborted();
    if (this.reserved !== 0 && limit.deadline !== -Infinity) return false;
    return !(takes && checkpointDue()) && attempt();
  }

  /**
   * Waits on the event loop until an attempt succeeds.
   *
   * @param attempt Takes what is waited for, or returns `false`.
   * @param limit When to give up.
   * @returns Whether an attempt succeeded.
   */
  async until(
    attempt: () => boolean,
    limit: Deadline = FOREVER,
  ): Promise<boolean> {
    if (limit.deadline === -Infinity) {
      if (checkpointDue()) await checkpoint();
      limit.signal?.throwIfAborted();
      return attempt();
    }
    limit.signal?.throwIfAborted();
    const waiter = new Waiter(this, attempt, false);
    let success = false;
    try {
      success = waiter.enter();
      while (!success) {
        const outcome = await sleep(waiter.slot, limit, () => waiter.tick());
        if (outcome === "timed-out") return success = waiter.expire();
        success = outcome === "ticked" || waiter.enter();
      }
      return success;
    } finally {
      waiter.leave(success);
    }
  }

  /**
   * Waits until an attempt succeeds, and blocks the thread meanwhile.
   *
   * @param attempt Takes what is waited for, or returns `false`.
   * @param deadline When to give up.
   * @returns Whether an attempt succeeded.
   */
  untilSync(attempt: () => boolean, deadline: number = Infinity): boolean {
    const tryOnly = deadline === -Infinity;
    if ((tryOnly || this.reserved === 0) && attempt()) return true;
    if (tryOnly) return false;
    const waiter = new Waiter(this, attempt, true);
    let success = false;
    try {
      success = waiter.enter();
      while (!success) {
        const left = deadline - performance.now();
        if (left <= 0) return success = waiter.expire();
        const { words, index, value } = waiter.slot;
        Atomics.wait(words, index, value, Math.min(left, TICK));
        success = Atomics.load(words, index) === value
          ? waiter.tick()
          : waiter.enter();
      }
      return success;
    } finally {
      waiter.leave(success);
    }
  }

  /** The slots, of which other threads may have made more. */
  get #slots(): Int32Array {
    if (Atomics.load(this.words, HIGH_WATER) > this.#view.length) {
      this.#view = viewOf(this.record.slots);
    }
    return this.#view;
  }

  #free({ words, index, value }: WaitSlot): boolean {
    if (Atomics.compareExchange(words, index, value, 0) !== value) return false;
    Atomics.sub(this.words, ENROLLED, 1);
    return true;
  }

  // Plain reads will do from here on: an atomic one comes before them, and
  // what they find is only believed by a compare-and-exchange.

  #all(): WaitSlot[] {
    const slots: WaitSlot[] = [];
    const enrolled = this.size;
    const words = this.#slots;
    const high = Atomics.load(this.words, HIGH_WATER);
    for (let index = 0; index < high && slots.length < enrolled; index++) {
      const value = words[index];
      if (value) slots.push({ words, index, value });
    }
    return slots.sort((a, b) => a.value - b.value | 0);
  }

  #oldest(): WaitSlot[] {
    let oldest = 0;
    let at = 0;
    let seen = 0;
    const enrolled = this.size;
    const words = this.#slots;
    const high = Atomics.load(this.words, HIGH_WATER);
    for (let index = 0; index < high && seen < enrolled; index++) {
      const value = words[index];
      if (!value) continue;
      seen++;
      if (oldest !== 0 && (value - oldest | 0) > 0) continue;
      oldest = value;
      at = index;
    }
    return oldest === 0 ? [] : [{ words, index: at, value: oldest }];
  }

  #grow(slots: number): Int32Array {
    if (slots >= MOST_SLOTS) {
      throw new RangeError(
        `Cannot wait: ${MOST_SLOTS} others wait for the same already`,
      );
    }
    try {
      this.record.slots.grow(8 * slots);
    } catch {
      // Another thread has made it larger still.
    }
    return this.#view = viewOf(this.record.slots);
  }

  #raiseHighWater(to: number): void {
    for (;;) {
      const high = Atomics.load(this.words, HIGH_WATER);
      if (high >= to) return;
      Atomics.compareExchange(this.words, HIGH_WATER, high, to);
    }
  }
}
