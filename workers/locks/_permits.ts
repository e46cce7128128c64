import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";

const AVAILABLE = OWN;
const MOST = OWN + 1;

/** The first word that the owner of permits may use for itself. */
export const OWN_WITH_PERMITS = OWN + 2;

/** The most permits that a word can hold. */
export const MOST_PERMITS = 2 ** 31 - 1;

/** A number of permits that threads take and give back. */
export class Permits {
  /** Who waits for a permit. */
  readonly list: WaitQueue;
  /** Takes a permit if there is one. */
  readonly take = (): boolean => this.#take();

  /**
   * Makes permits, or joins some.
   *
   * @param from How many there are, or the memory they are in.
   * @param most How many there may be.
   * @param more How many words the owner wants besides.
   */
  constructor(from: number | WaitRecord, most = MOST_PERMITS, more = 0) {
    this.list = new WaitQueue(typeof from === "number" ? 2 + more : from);
    if (typeof from === "number") {
      Atomics.store(this.list.words, AVAILABLE, from);
      Atomics.store(this.list.words, MOST, most);
    }
  }

  /** How many can be taken. */
  get available(): number {
    return Atomics.load(this.list.words, AVAILABLE);
  }

  /**
   * Gives permits back.
   *
   * @param count How many.
   * @returns `false` if there would be too many; then nothing has changed.
   */
  give(count: number): boolean {
    const { words } = this.list;
    const most = Atomics.load(words, MOST);
    for (;;) {
      const before = this.available;
      if (before > most - count) return false;
      const seen = Atomics.compareExchange(
        words,
        AVAILABLE,
        before,
        before + count,
      );
      if (seen === before) break;
    }
    if (this.list.size > 0) this.list.wake(count);
    return true;
  }

  #take(): boolean {
    const { words } = this.list;
    for (;;) {
      const before = this.available;
      if (before === 0) return false;
      const seen = Atomics.compareExchange(
        words,
        AVAILABLE,
        before,
        before - 1,
      );
      if (seen !== before) continue;
      // A newcomer may have been held back although there was one for it.
      if (before > 1 && this.list.size > 0) this.list.wake(1);
      return true;
    }
  }
}
