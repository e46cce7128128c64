/**
 * The limits of bytes in transit, which bound the memory of a relay.
 *
 * A sender counts each frame until the receiver has passed it on and credits
 * it. One connection may have {@linkcode WINDOW} bytes in transit, all of a
 * runner together {@linkcode BUDGET}. Beyond that, each may still have
 * {@linkcode MIN_WINDOW}, so that stalled connections don't block others, plus
 * the bytes of a read that began before.
 *
 * @module
 */

import { RelayProtocolError } from "./frames.ts";
import { NO_REQUEST, Op } from "./frames.ts";
import type { RelayLink } from "./relay_link.ts";

/**
 * The size that a frame counts in addition to its payload: its header and
 * objects. It bounds the number of small frames.
 */
export const FRAME_COST = 64;
/** Most bytes of one connection in transit in one direction. */
export const WINDOW = 262_144;
/** Most bytes of one connection when the budget is used up. */
export const MIN_WINDOW = 16_384;
/** Most bytes of all connections of a runner in one direction. */
export const BUDGET = 8_388_608;
/** Credits are sent for this many bytes: half of the smallest window. */
const CREDIT_AFTER = MIN_WINDOW / 2;

/** The bytes in transit from one end to the other, of all requests. */
export class Budget {
  used = 0;
  readonly waiting: Set<SendWindow> = new Set();

  /** Counts bytes that have arrived. */
  credit(count: number): void {
    const wasUsedUp = this.used >= BUDGET;
    this.used -= count;
    if (!wasUsedUp || this.used >= BUDGET) return;
    for (const window of [...this.waiting]) window.wake();
  }
}

/** The bytes of one request in transit to the other end. */
export class SendWindow {
  #budget: Budget;
  #used = 0;
  #wake: (() => void) | null = null;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** The longest payload of the next frame; 0 or less if none. */
  get room(): number {
    const limit = this.#budget.used < BUDGET ? WINDOW : MIN_WINDOW;
    return limit - this.#used - FRAME_COST;
  }

  /** The same, as if the budget were used up. */
  get minRoom(): number {
    return MIN_WINDOW - this.#used - FRAME_COST;
  }

  /** Counts a frame that is sent. */
  take(length: number): void {
    this.#used += FRAME_COST + length;
    this.#budget.used += FRAME_COST + length;
  }

  /** Counts bytes that the other end has passed on. */
  credit(count: number): void {
    if (count > this.#used) {
      throw new RelayProtocolError(
        `Cannot credit ${count} bytes: ${this.#used} are under way`,
      );
    }
    this.#used -= count;
    this.#budget.credit(count);
    this.wake();
  }

  /** Calls back, once, when there is room. */
  whenRoom(wake: () => void): void {
    this.#wake = wake;
    this.#budget.waiting.add(this);
  }

  /** Calls back the waiter, if there is room. */
  wake(): void {
    if (this.#wake === null || this.room <= 0) return;
    const wake = this.#wake;
    this.leave();
    wake();
  }

  /** Ends all waits. */
  leave(): void {
    this.#wake = null;
    this.#budget.waiting.delete(this);
  }

  /** Uncounts everything: the other end is gone, or has dropped it. */
  clear(): void {
    this.leave();
    this.#budget.credit(this.#used);
    this.#used = 0;
  }
}

/** The bytes that one end has received and not passed on, of all requests. */
export class Intake {
  /** The number of these bytes. */
  held = 0;
  readonly link: RelayLink;
  #owed = 0;

  constructor(link: RelayLink) {
    this.link = link;
  }

  /** Credits bytes of requests that the other end is done with. */
  credit(count: number): void {
    this.#owed += count;
    if (this.#owed < MIN_WINDOW) return;
    this.link.sendNumber(Op.credit, NO_REQUEST, this.#owed);
    this.#owed = 0;
  }
}

/** One end of a relay, as its requests see it. */
export class RelaySide {
  readonly link: RelayLink;
  /** The bytes in transit to the other end. */
  readonly budget: Budget = new Budget();
  /** The bytes from the other end that were not passed on. */
  readonly intake: Intake;

  constructor(link: RelayLink) {
    this.link = link;
    this.intake = new Intake(link);
  }
}

/** The bytes of one request that were received and not passed on. */
export class ReceiveWindow {
  #intake: Intake;
  #id: number;
  /** The bytes that the other end counts as in transit. */
  #open = 0;
  #owed = 0;
  #detached = false;

  constructor(intake: Intake, id: number) {
    this.#intake = intake;
    this.#id = id;
  }

  /** Counts a received frame. */
  take(length: number): void {
    if (length === 0 || this.#open + FRAME_COST + length > WINDOW) {
      throw new RelayProtocolError(
        `Cannot take ${length} bytes: ${this.#open} are under way`,
      );
    }
    this.#open += FRAME_COST + length;
    this.#intake.held += FRAME_COST + length;
    this.release(FRAME_COST);
  }

  /** Counts bytes that were passed on, and credits them soon. */
  release(count: number): void {
    this.#intake.held -= count;
    if (this.#detached) {
      this.#open -= count;
      return this.#intake.credit(count);
    }
    this.#owed += count;
    if (this.#owed < CREDIT_AFTER) return;
    this.#intake.link.sendNumber(Op.credit, this.#id, this.#owed);
    this.#open -= this.#owed;
    this.#owed = 0;
  }

  /** The other end is done: what is still held is its runner's to count. */
  detach(): void {
    this.#detached = true;
    this.#intake.credit(this.#owed);
    this.#open -= this.#owed;
    this.#owed = 0;
  }

  /** Stops passing on: the bytes were dropped. */
  clear(): void {
    this.release(this.#open - this.#owed);
  }
}
