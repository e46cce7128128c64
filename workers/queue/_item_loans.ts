/**
 * The items of queues that one process was sent and has not acknowledged. They
 * still belong to the queues, and go back if it ends.
 *
 * @module
 */
import { ByteWriter } from "../codec/codec.ts";
import { ownId } from "../locks/_living.ts";
import { type Deadline, until } from "../locks/_until.ts";
import { emptyError, type QueueCore } from "./_queue_core.ts";

/** More items are not sent ahead at once. */
const MOST_AHEAD = 256;
/** More items that a process has not acknowledged are not sent. */
const MAX_UNACKNOWLEDGED = 32;

type Bytes = Uint8Array<ArrayBuffer>;

/** What goes to the process with the answer to one `get`. */
export interface ItemLoan {
  /** The number of the call. */
  readonly call: number;
  readonly core: QueueCore;
  /** The items that were not acknowledged; the last ones were sent ahead. */
  items: Bytes[];
  ahead: number;
}

/** The items that belong to a process's calls. */
export class ItemLoans {
  readonly #recall: (call: number) => void;
  #unacknowledged = 0;
  /** Calls that wait until it acknowledges items. */
  #delayed: (() => void)[] = [];
  /** By queue: with which loan items were sent ahead. */
  #ahead = new Map<QueueCore, ItemLoan>();
  #watched = new Set<QueueCore>();
  #ended = false;

  /**
   * Constructs the loans of a process.
   *
   * @param recall Asks it for what was sent ahead with a call.
   */
  constructor(recall: (call: number) => void) {
    this.#recall = recall;
  }

  /** The process has ended, and what it had was taken back. */
  end(): void {
    this.#ended = true;
    for (const core of this.#watched) core.endRecalls();
  }

  /**
   * Waits for an item.
   *
   * @param loan To which it belongs from then on.
   * @param deadline When to give up.
   * @returns The item, or nothing if the process waited already when items
   * were sent ahead: the first of these is next.
   * @throws {QueueEmptyError} If there was none in time.
   */
  async take(loan: ItemLoan, deadline: Deadline): Promise<Bytes | undefined> {
    const { core, items } = loan;
    let hasAhead = false;
    const mustWait = () => this.#unacknowledged >= MAX_UNACKNOWLEDGED;
    const lend = (): true | false => {
      hasAhead = this.#ahead.has(core);
      if (hasAhead || mustWait()) return true;
      const item = core.shift(true);
      if (item === false) {
        this.#letNext();
        return false;
      }
      items.push(item);
      this.#unacknowledged++;
      return true;
    };
    try {
      for (;;) {
        const done = await until(core.getters, lend, deadline);
        if (!done) throw emptyError();
        if (items.length > 0) return items[0]!;
        // The item is for whoever is next
        core.getters.wake(1);
        if (hasAhead) return undefined;
        // Some may have been acknowledged meanwhile
        if (!mustWait()) continue;
        await new Promise<void>((resolve) => this.#delayed.push(resolve));
      }
    } finally {
      if (items.length === 0) this.#letNext();
    }
  }

  /**
   * Lets the next delayed call go on: there is room for its item, or whoever
   * could have used the room did not.
   */
  #letNext(): void {
    this.#delayed.shift()?.();
  }

  /**
   * Takes items that the process has not asked for yet, and will soon.
   *
   * @param loan With which they are sent.
   * @param most How many the process wants.
   * @returns The items, each after its length; nothing if there are none.
   */
  takeAhead(loan: ItemLoan, most: number): Bytes | undefined {
    const { core } = loan;
    // A thread may end, and with it what it keeps
    if (most <= 0 || this.#ahead.has(core) || ownId() !== 0) return;
    if (loan.items.length === 0) return;
    // First: who comes afterwards and finds nothing must be noticed
    void this.#watch(core);
    const items = core.lendAhead(Math.min(most, MOST_AHEAD));
    if (items.length === 0) return;
    this.#ahead.set(core, loan);
    loan.items.push(...items);
    loan.ahead = items.length;
    return joined(items);
  }

  /** The process has the next items of a loan. */
  acknowledge(loan: ItemLoan, count: number): void {
    this.#end(loan, count, (items, ahead) => {
      loan.core.forget(items, ahead);
    });
  }

  /** The process never gets what is left of a loan. */
  takeBack(loan: ItemLoan): void {
    this.#end(loan, Infinity, (items, ahead) => {
      loan.core.giveBack(items, ahead);
    });
  }

  /**
   * The process never gets what is ahead. In each queue that comes after all
   * else that the process was sent.
   */
  takeBackAhead(): void {
    for (const [core, loan] of this.#ahead) {
      const items = loan.items.splice(-loan.ahead);
      loan.ahead = 0;
      core.giveBack(items, items.length);
    }
    this.#ahead.clear();
  }

  #end(
    loan: ItemLoan,
    count: number,
    act: (items: Bytes[], ahead: number) => void,
  ): void {
    const answers = loan.items.length - loan.ahead;
    const items = loan.items.splice(0, count);
    if (items.length === 0) return;
    const ahead = Math.max(items.length - answers, 0);
    loan.ahead -= ahead;
    if (ahead > 0 && loan.ahead === 0) this.#ahead.delete(loan.core);
    act(items, ahead);
    if (answers === 0) return;
    this.#unacknowledged--;
    this.#letNext();
  }

  /** Asks for items back as soon as others wait for them. */
  async #watch(core: QueueCore): Promise<void> {
    if (this.#watched.has(core)) return;
    this.#watched.add(core);
    for (let seen = core.recalls; !this.#ended;) {
      await core.recalled(seen);
      if (seen === core.recalls) continue;
      seen = core.recalls;
      const loan = this.#ahead.get(core);
      if (loan === undefined) break;
      this.#recall(loan.call);
    }
    this.#watched.delete(core);
  }
}

/** Puts items one after another, each after its length. */
function joined(items: Bytes[]): Bytes {
  const size = items.reduce((sum, item) => sum + 4 + item.length, 0);
  const writer = new ByteWriter(size);
  for (const item of items) {
    writer.int32(item.length);
    writer.raw(item);
  }
  return writer.bytes;
}
