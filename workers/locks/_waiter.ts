import type { WaitSlot } from "./_async_wait.ts";
import type { WaitQueue } from "./_wait_queue.ts";

/** One waiter's waiter, from its first failure to its end. */
export class Waiter {
  readonly #list: WaitQueue;
  readonly #attempt: () => boolean;
  readonly #ticket: number;
  #slot: WaitSlot | null = null;
  #overtaken = false;
  #seen = 0;

  constructor(list: WaitQueue, attempt: () => boolean, sync: boolean) {
    this.#list = list;
    this.#attempt = attempt;
    this.#ticket = list.takeTicket(sync);
  }

  get slot(): WaitSlot {
    return this.#slot!;
  }

  /** Tries, as one that was just woken or comes anew; queues up if it fails. */
  enter(): boolean {
    if (this.#slot !== null) {
      this.#slot = null;
      if (this.#inTurn() && this.#attempt()) return true;
      this.#overtaken = true;
    }
    this.#slot = this.#list.enrol(this.#ticket);
    if (this.#overtaken) this.#list.reserve(this.#slot);
    // What was given back before the slot was taken woke nobody.
    return this.#inTurn() && this.#attempt();
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  tick(): boolean {
    const { reserved } = this.#list;
    if (!this.#inTurn()) {
      const lost = reserved === this.#seen && !this.#list.reservedWaits;
      this.#seen = reserved;
      if (!lost) return false;
    }
    if (!this.#attempt()) return false;
    this.#list.unreserve(reserved);
    return true;
  }

  #inTurn(): boolean {
    const { reserved } = this.#list;
    return reserved === 0 || (reserved - this.#ticket | 0) >= 0;
  }

  /** Tries a last time. */
  expire(): boolean {
    return this.#attempt();
  }

  /** Leaves nothing behind, and hands on a wake-up that was not needed. */
  leave(success: boolean): void {
    const surplus = this.#slot !== null && !this.#list.cancel(this.#slot);
    const released = this.#overtaken && this.#list.unreserve(this.#ticket);
    if (surplus || (released && !success)) this.#list.wake(1);
  }
}
