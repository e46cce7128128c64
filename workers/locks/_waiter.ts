import type { WaitSlot } from "./_async_wait.ts";
import { checkpointDue } from "./_checkpoint.ts";
import type { WaitQueue } from "./_wait_queue.ts";

/** How many ticks without a sign of life count as its end. */
const SILENT_TICKS = 2;

/** One waiter's waiter, from its first failure to its end. */
export class Waiter {
  readonly #list: WaitQueue;
  readonly #attempt: () => boolean;
  readonly #sync: boolean;
  readonly #ticket: number;
  #slot: WaitSlot | null = null;
  #overtaken = false;
  #seen = 0;
  #seenBeats = 0;
  #silentTicks = 0;

  constructor(list: WaitQueue, attempt: () => boolean, sync: boolean) {
    this.#list = list;
    this.#attempt = attempt;
    this.#sync = sync;
    this.#ticket = list.takeTicket(sync);
  }

  get slot(): WaitSlot {
    return this.#slot!;
  }

  /**
   * Tries, as one that was just woken or comes anew; queues up if it fails, or
   * if the event loop must turn first: who took it before that, and was
   * terminated then, would keep it.
   */
  enter(): boolean {
    const due = !this.#sync && this.#list.fair && checkpointDue();
    if (this.#slot !== null) {
      this.#slot = null;
      if (!due && this.#inTurn() && this.#attempt()) return true;
      this.#overtaken = true;
    }
    this.#slot = this.#list.enrol(this.#ticket);
    if (this.#overtaken) this.#list.reserve(this.#ticket);
    // What was given back before the slot was taken woke nobody.
    return !due && this.#inTurn() && this.#attempt();
  }

  /** Tries without having been woken: a wake-up may have been lost. */
  tick(): boolean {
    const { reserved, beats } = this.#list;
    if (reserved === this.#ticket) this.#list.beat();
    const silent = this.#isSilent(reserved, beats);
    if (!this.#inTurn() && !silent || !this.#attempt()) return false;
    if (silent) this.#list.unreserve(reserved);
    return true;
  }

  /** Whether the one who comes next has ended, or is too busy to come. */
  #isSilent(reserved: number, beats: number): boolean {
    const silent = reserved === this.#seen && beats === this.#seenBeats;
    this.#silentTicks = silent ? this.#silentTicks + 1 : 0;
    this.#seen = reserved;
    this.#seenBeats = beats;
    return this.#silentTicks >= SILENT_TICKS;
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
