/**
 * The shared memory of a barrier.
 *
 * @module
 */

import { BrokenBarrierError } from "../errors.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";

const PARTIES = OWN;
const STATE = OWN + 1;
// A bit for each of the last 32 rounds that were broken and are over.
const BROKEN_ROUNDS = OWN + 2;

/** The most parties that a barrier can have. */
export const MOST_PARTIES = 2 ** 16 - 1;

// The state is one word, so each change is atomic: the number of arrivals, two
// flags, the number of the round.
const ARRIVED = MOST_PARTIES;
const BROKEN = 1 << 16;
/** A thread is just beginning the next round. */
const ADVANCING = 1 << 17;
const ROUND_SHIFT = 18;
const ROUND_MASK = 2 ** (32 - ROUND_SHIFT) - 1;

/** A place in a round. */
export interface Place {
  /** The round. */
  round: number;
  /** The number of earlier arrivals. */
  index: number;
}

function roundOf(state: number): number {
  return state >>> ROUND_SHIFT;
}

/** The error of a broken barrier. */
export function brokenError(): BrokenBarrierError {
  return new BrokenBarrierError(
    "Cannot pass the barrier: it is broken; reset() makes it as new",
  );
}

/** The error of a wait that was over before its round began. */
export function lateError(): BrokenBarrierError {
  return new BrokenBarrierError(
    "Cannot pass the barrier in time: the last round is not over",
  );
}

/** The state of a barrier, shared by threads. */
export class BarrierState {
  /** The waiters. */
  readonly waiters: WaitQueue;

  /**
   * Makes a state, or joins one.
   *
   * @param from The number of parties, or the memory.
   */
  constructor(from: number | WaitRecord) {
    const parties = typeof from === "number" ? from : undefined;
    const record = typeof from === "number" ? 3 : from;
    this.waiters = new WaitQueue(record, false);
    if (parties !== undefined) {
      Atomics.store(this.waiters.words, PARTIES, parties);
    }
  }

  /** The number of parties. */
  get parties(): number {
    return Atomics.load(this.waiters.words, PARTIES);
  }

  /** The number of arrivals. */
  get arrived(): number {
    return this.#state & ARRIVED;
  }

  /** Whether it is broken. */
  get broken(): boolean {
    return (this.#state & BROKEN) !== 0;
  }

  /**
   * Takes a place.
   *
   * @param place Receives it.
   * @returns `false` while the last round is not over.
   * @throws {BrokenBarrierError} If it is broken.
   */
  arrive(place: Place): boolean {
    for (;;) {
      const state = this.#state;
      if ((state & ADVANCING) !== 0) return false;
      if ((state & BROKEN) !== 0) throw brokenError();
      const index = state & ARRIVED;
      if (index === this.parties) return false;
      if (!this.#change(state, state + 1)) continue;
      place.round = roundOf(state);
      place.index = index;
      return true;
    }
  }

  /** Whether a round is over: complete or broken. */
  isOver(round: number): boolean {
    return roundOf(this.#state) !== round || this.broken;
  }

  /**
   * Breaks a round unless it is over.
   *
   * @param round The round.
   * @returns Whether it is broken; if not, it was completed before.
   */
  breakRound(round: number): boolean {
    for (;;) {
      const state = this.#state;
      if (roundOf(state) !== round) return this.#wasBroken(round);
      if ((state & ADVANCING) !== 0) continue;
      if ((state & BROKEN) !== 0) return true;
      if (this.#change(state, state | BROKEN)) break;
    }
    this.waiters.wake(Infinity);
    return true;
  }

  /** Breaks the current round. */
  abort(): void {
    for (;;) {
      const state = this.#state;
      if ((state & (BROKEN | ADVANCING)) !== 0) return;
      if (this.#change(state, state | BROKEN)) break;
    }
    this.waiters.wake(Infinity);
  }

  /** Begins a new round and breaks the current one. */
  reset(): void {
    for (;;) {
      const state = this.#state;
      const untouched = (state & (ARRIVED | BROKEN)) === 0;
      if (untouched || (state & ADVANCING) !== 0) return;
      if (!this.#change(state, state | ADVANCING)) continue;
      const round = roundOf(state);
      Atomics.or(this.waiters.words, BROKEN_ROUNDS, 1 << round);
      return this.#advance(round);
    }
  }

  /**
   * Ends a round in which all have arrived.
   *
   * @param round The round.
   * @returns `false` if it is broken.
   */
  complete(round: number): boolean {
    const full = round << ROUND_SHIFT | this.parties;
    if (!this.#change(full, full | ADVANCING)) return false;
    this.#advance(round);
    return true;
  }

  get #state(): number {
    return Atomics.load(this.waiters.words, STATE);
  }

  #change(from: number, to: number): boolean {
    const { words } = this.waiters;
    return Atomics.compareExchange(words, STATE, from, to) === from;
  }

  #wasBroken(round: number): boolean {
    const rounds = Atomics.load(this.waiters.words, BROKEN_ROUNDS);
    return (rounds & 1 << round) !== 0;
  }

  /**
   * Begins the next round. Only the thread that set `ADVANCING` may call it.
   */
  #advance(round: number): void {
    const { words } = this.waiters;
    const next = round + 1 & ROUND_MASK;
    Atomics.and(words, BROKEN_ROUNDS, ~(1 << next));
    Atomics.store(words, STATE, next << ROUND_SHIFT);
    this.waiters.wake(Infinity);
  }
}
