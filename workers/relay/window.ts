/**
 * How much may be under way: what bounds the memory of a relay.
 *
 * A sender counts each frame until the receiver has
 * passed it on and credits it. One connection may have {@linkcode WINDOW}
 * bytes under way, all of a runner together {@linkcode BUDGET}; beyond that
 * each has still {@linkcode MIN_WINDOW}, so that those that don't move leave
 * the others alone, and what a read brings that had begun before.
 *
 * @module
 */

import { RelayProtocolError } from "./errors.ts";
import { NO_REQUEST, Op } from "./frames.ts";
import type { RelayLink } from "./relay_link.ts";

/**
 * What a frame counts besides what it carries: its header and what is made of
 * it, so that many small ones wait as few large ones do.
 */
export const FRAME_COST = 64;
/** Most bytes of one connection that may be under way in one direction. */
export const WINDOW = 262_144;
/** What one connection may have under way when the budget is used up. */
export const MIN_WINDOW = 16_384;
/** What all connections of a runner may have under way in one direction. */
export const BUDGET = 8_388_608;
/** So many bytes are credited at once; half of what any window holds. */
const CREDIT_AFTER = MIN_WINDOW / 2;

/** What one end has under way to the other, in all its requests. */
export class Budget {
  used = 0;
  readonly waiting: Set<SendWindow> = new Set();

  /** Counts bytes that are no longer under way. */
  credit(count: number): void {
    const wasUsedUp = this.used >= BUDGET;
    this.used -= count;
    if (!wasUsedUp || this.used >= BUDGET) return;
    for (const window of [...this.waiting]) window.wake();
  }
}

/** What one request has under way to the other end. */
export class SendWindow {
  #budget: Budget;
  #used = 0;
  #wake: (() => void) | null = null;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** How many bytes one more frame may hold; not more than 0 if none. */
  get room(): number {
    const limit = this.#budget.used < BUDGET ? WINDOW : MIN_WINDOW;
    return limit - this.#used - FRAME_COST;
  }

  /** Counts a frame that is sent. */
  take(length: number): void {
    this.#used += FRAME_COST + length;
    this.#budget.used += FRAME_COST + length;
  }

  /** Counts what the other end has passed on. */
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

  /** Calls back who waits, if there is room. */
  wake(): void {
    if (this.#wake === null || this.room <= 0) return;
    const wake = this.#wake;
    this.leave();
    wake();
  }

  /** Lets nobody wait any more. */
  leave(): void {
    this.#wake = null;
    this.#budget.waiting.delete(this);
  }

  /** Gives back everything: the other end is gone, or has let go of it. */
  clear(): void {
    this.leave();
    this.#budget.credit(this.#used);
    this.#used = 0;
  }
}

/** What one end has received and not yet passed on, in all its requests. */
export class Intake {
  /** How many bytes are held. */
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

/** What one request has received and not yet passed on. */
export class ReceiveWindow {
  #intake: Intake;
  #id: number;
  /** What the other end counts as under way. */
  #open = 0;
  #owed = 0;
  #detached = false;

  constructor(intake: Intake, id: number) {
    this.#intake = intake;
    this.#id = id;
  }

  /** Counts a frame that has come. */
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

  /** Counts bytes that were passed on, and credits them before long. */
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

  /** Passes nothing on any more: what is held was let go. */
  clear(): void {
    this.release(this.#open - this.#owed);
  }
}
