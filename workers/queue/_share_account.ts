/**
 * What one process holds of locks and similar objects that this process keeps,
 * and what becomes of it when that ends.
 *
 * @module
 */
import {
  type Descendant,
  endLiving,
  enterLiving,
  findDescendant,
  killDescendant,
} from "../locks/_living.ts";
import type { Permits } from "../locks/_permits.ts";
import { ItemLoans } from "./_item_loans.ts";
import type { QueueCore } from "./_queue_core.ts";
import { openAccount, tell } from "./_share_link.ts";

/** The account of a child process, or of a process below it. */
export class ShareAccount {
  /** Its id among the living. */
  readonly holder: number = enterLiving();
  /** The items that it was sent. */
  readonly loans: ItemLoans;
  #pid: number;
  /** The process, if it is below the child. */
  #process: Descendant | null = null;
  /** Its number in this process's parent, if that keeps what it calls. */
  #above = 0;
  /** The permits that it may hold, and whether they are a lock's. */
  #permits = new Map<Permits, boolean>();
  /** The queues of pipes that it has. */
  #ends = new Set<QueueCore>();

  /**
   * Opens an account.
   *
   * @param pid The process id; 0 if it comes later.
   * @param recall Asks the process for what was sent ahead with a call.
   */
  constructor(pid: number, recall: (call: number) => void) {
    this.#pid = pid;
    this.loans = new ItemLoans(recall);
  }

  /** It is a process that another one has started, itself or by others. */
  identify(pid: unknown, ancestor: number): void {
    if (!Number.isSafeInteger(pid)) return;
    this.#pid = pid as number;
    this.#process = findDescendant(this.#pid, ancestor);
  }

  /** Its number in this process's parent, where it is opened if need be. */
  get above(): number {
    if (this.#above === 0) {
      this.#above = openAccount();
      tell(["open", this.#above, this.#pid]);
    }
    return this.#above;
  }

  /** From now on it may hold such permits. */
  mayHold(permits: Permits, isLock: boolean): void {
    this.#permits.set(permits, isLock);
  }

  /** From now on it has an end of the pipe with this queue. */
  hold(core: QueueCore, isWriter: boolean): void {
    if (this.#ends.has(core)) return;
    this.#ends.add(core);
    core.hold(this.holder, isWriter);
  }

  /** Kills what the child started, before others get what it had. */
  kill(): void {
    if (this.#process !== null) killDescendant(this.#process);
  }

  /**
   * Gives back what it holds.
   *
   * @param returned Whether the process returned, and did not die.
   */
  end(returned: boolean): void {
    for (const [permits, isLock] of this.#permits) {
      permits.endLoans(this.holder, !returned || isLock);
    }
    this.loans.end();
    for (const core of this.#ends) core.letGo(this.holder);
    endLiving(this.holder);
    if (this.#above !== 0) tell(["end", this.#above, returned]);
  }
}
