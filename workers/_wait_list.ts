/**
 * Who waits, in the order in which they came, across threads.
 *
 * Each waiter owns a slot that holds its ticket. Who wakes a waiter empties
 * its slot and notifies it, so that a slot never depends on its waiter to be
 * freed. Waking gives nothing away: the woken one tries again like anybody
 * else, and comes back with its old ticket if it was overtaken; from then on
 * newcomers queue up until it has had its turn. So no wake-up that gets lost
 * (in a thread that ended, or that is busy) can do more than delay the others,
 * to the next tick, and none of them waits for ever.
 *
 * @module
 */
import { FOREVER, type Limit } from "./_limit.ts";
import { type Bed, sleep, TICK } from "./_sleep.ts";

const NEXT_TICKET = 0;
const ENROLLED = 1;
const HIGH_WATER = 2;
const RESERVED = 3;

/** The first word that the owner of a list may use for itself. */
export const OWN = 4;

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

/** One waiter's turn, from its first failure to its end. */
class Turn {
  readonly #list: WaitList;
  readonly #attempt: () => boolean;
  readonly #ticket: number;
  #bed: Bed | null = null;
  #overtaken = false;
  #seen = 0;

  constructor(list: WaitList, attempt: () => boolean, sync: boolean) {
    this.#list = list;
    this.#attempt = attempt;
    this.#ticket = list.takeTicket(sync);
  }

  get bed(): Bed {
    return this.#bed!;
  }

  /** Tries, as one that was just woken or comes anew; queues up if it fails. */
  enter(): boolean {
    if (this.#bed !== null) {
      this.#bed = null;
      if (this.#attempt()) return true;
      this.#overtaken = true;
      this.#list.reserve(this.#ticket);
    }
    this.#bed = this.#list.enrol(this.#ticket);
    // What was given back before the slot was taken woke nobody.
    return (this.#overtaken || !this.#list.reserved) && this.#attempt();
  }

  /** Tries out of turn, where a wake-up seems to have been lost. */
  tick(): boolean {
    const reserved = this.#list.reserved;
    if (
      reserved !== 0 && reserved !== this.#ticket && reserved !== this.#seen
    ) {
      this.#seen = reserved;
      return false;
    }
    if (!this.#attempt()) return false;
    this.#list.unreserve(reserved);
    return true;
  }

  /** Tries a last time. */
  expire(): boolean {
    return this.#attempt();
  }

  /** Leaves nothing behind, and hands on a wake-up that was not needed. */
  leave(success: boolean): void {
    const surplus = this.#bed !== null && !this.#list.cancel(this.#bed);
    const released = this.#overtaken && this.#list.unreserve(this.#ticket);
    if (surplus || (released && !success)) this.#list.wake(1);
  }
}

/** Waiters of any thread, oldest first. */
export class WaitList {
  /** The list's memory. */
  readonly record: WaitRecord;
  /** The words of the list and, from `OWN` on, of its owner. */
  readonly words: Int32Array;
  readonly #slots: Int32Array;
  readonly #fair: boolean;

  /**
   * Makes a list, or joins one.
   *
   * @param from How many words the owner wants, or the memory of a list.
   * @param fair Whether one waiter's success is another's failure, so that
   * newcomers must not overtake for ever.
   */
  constructor(from: number | WaitRecord, fair = true) {
    this.#fair = fair;
    this.record = typeof from !== "number" ? from : {
      words: new SharedArrayBuffer(4 * (OWN + from)),
      slots: new SharedArrayBuffer(4 * FIRST_SLOTS, {
        maxByteLength: 4 * MOST_SLOTS,
      }),
    };
    this.words = new Int32Array(this.record.words);
    this.#slots = new Int32Array(this.record.slots);
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

  enrol(ticket: number): Bed {
    const slots = this.#slots;
    Atomics.add(this.words, ENROLLED, 1);
    for (let index = 0;; index++) {
      if (index === slots.length) this.#grow(index);
      if (Atomics.compareExchange(slots, index, 0, ticket) !== 0) continue;
      this.#raiseHighWater(index + 1);
      return { words: slots, index, value: ticket };
    }
  }

  /**
   * Gives a slot back.
   *
   * @param bed The slot.
   * @returns Whether the waiter was still in it; if not, it was woken.
   */
  cancel(bed: Bed): boolean {
    if (!this.#free(bed)) return false;
    // Ends the engine's own waiter, which would otherwise stay.
    Atomics.notify(bed.words, bed.index);
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
      const beds = count - woken === 1 ? this.#oldest() : this.#all();
      if (beds.length === 0) break;
      for (const bed of beds) {
        if (woken === count) break;
        if (!this.#free(bed)) continue;
        const alive = Atomics.notify(bed.words, bed.index) > 0 ||
          (bed.value & SYNC) !== 0;
        if (alive) woken++;
      }
    }
    return woken;
  }

  /** Keeps newcomers back until the holder of a ticket has had its turn. */
  reserve(ticket: number): void {
    if (!this.#fair) return;
    for (;;) {
      const reserved = this.reserved;
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

  unreserve(ticket: number): boolean {
    return ticket !== 0 &&
      Atomics.compareExchange(this.words, RESERVED, ticket, 0) === ticket;
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
    limit: Limit = FOREVER,
  ): Promise<boolean> {
    limit.signal?.throwIfAborted();
    const tryOnly = limit.deadline === -Infinity;
    if ((tryOnly || this.reserved === 0) && attempt()) return true;
    if (tryOnly) return false;
    const turn = new Turn(this, attempt, false);
    let success = false;
    try {
      success = turn.enter();
      while (!success) {
        const outcome = await sleep(turn.bed, limit, () => turn.tick());
        if (outcome === "timed-out") return success = turn.expire();
        success = outcome === "ticked" || turn.enter();
      }
      return success;
    } finally {
      turn.leave(success);
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
    const turn = new Turn(this, attempt, true);
    let success = false;
    try {
      success = turn.enter();
      while (!success) {
        const left = deadline - performance.now();
        if (left <= 0) return success = turn.expire();
        const { words, index, value } = turn.bed;
        Atomics.wait(words, index, value, Math.min(left, TICK));
        success = Atomics.load(words, index) === value
          ? turn.tick()
          : turn.enter();
      }
      return success;
    } finally {
      turn.leave(success);
    }
  }

  #free({ words, index, value }: Bed): boolean {
    if (Atomics.compareExchange(words, index, value, 0) !== value) return false;
    Atomics.sub(this.words, ENROLLED, 1);
    return true;
  }

  #all(): Bed[] {
    const beds: Bed[] = [];
    const enrolled = this.size;
    const high = Atomics.load(this.words, HIGH_WATER);
    for (let index = 0; index < high && beds.length < enrolled; index++) {
      const value = Atomics.load(this.#slots, index);
      if (value !== 0) beds.push({ words: this.#slots, index, value });
    }
    return beds.sort((a, b) => a.value - b.value | 0);
  }

  #oldest(): Bed[] {
    let oldest = 0;
    let at = 0;
    let seen = 0;
    const enrolled = this.size;
    const high = Atomics.load(this.words, HIGH_WATER);
    for (let index = 0; index < high && seen < enrolled; index++) {
      const value = Atomics.load(this.#slots, index);
      if (value === 0) continue;
      seen++;
      if (oldest !== 0 && (value - oldest | 0) > 0) continue;
      oldest = value;
      at = index;
    }
    return oldest === 0
      ? []
      : [{ words: this.#slots, index: at, value: oldest }];
  }

  #grow(slots: number): void {
    if (slots === MOST_SLOTS) {
      throw new RangeError(
        `Cannot wait: ${MOST_SLOTS} others wait for the same already`,
      );
    }
    try {
      this.record.slots.grow(8 * slots);
    } catch {
      // Another thread has grown it further meanwhile.
    }
  }

  #raiseHighWater(to: number): void {
    for (;;) {
      const high = Atomics.load(this.words, HIGH_WATER);
      if (high >= to) return;
      Atomics.compareExchange(this.words, HIGH_WATER, high, to);
    }
  }
}
