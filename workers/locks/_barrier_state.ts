/**
 * The shared memory of a barrier.
 *
 * @module
 */

import { BrokenBarrierError } from "../base/errors.ts";
import { alone } from "./_mutex.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";

const MUTEX = OWN;
const PARTIES = OWN + 1;
const ROUND = OWN + 2;
const ARRIVED = OWN + 3;
const BROKEN = OWN + 4;
const RESETS = OWN + 5;
// The rounds that the last resets broke: a waiter may look much later.
const RESET_ROUNDS = OWN + 6;
const REMEMBERED = 32;
const END = RESET_ROUNDS + REMEMBERED;

/** The most parties that a barrier can have. */
export const MOST_PARTIES = 2 ** 16 - 1;

/** A place in a round. */
export interface Place {
  /** The round. */
  round: number;
  /** The number of earlier arrivals. */
  index: number;
  /** Whether all have arrived. */
  last: boolean;
}

/** The error of a broken barrier. */
export function brokenError(): BrokenBarrierError {
  return new BrokenBarrierError(
    "Cannot pass the barrier: it is broken; reset() makes it as new",
  );
}

/** The state of a barrier, shared by threads. */
export class BarrierState {
  /** The waiters. */
  readonly waiters: WaitQueue;
  readonly #words: Int32Array;

  /**
   * Makes a state, or joins one.
   *
   * @param from The number of parties, or the memory.
   */
  constructor(from: number | WaitRecord) {
    const isNew = typeof from === "number";
    this.waiters = new WaitQueue(isNew ? END - OWN : from, false);
    this.#words = this.waiters.words;
    if (isNew) Atomics.store(this.#words, PARTIES, from);
  }

  /** The number of parties. */
  get parties(): number {
    return Atomics.load(this.#words, PARTIES);
  }

  /** The number of arrivals. */
  get arrived(): number {
    return Atomics.load(this.#words, ARRIVED);
  }

  /** Whether it is broken. */
  get broken(): boolean {
    return Atomics.load(this.#words, BROKEN) === 1;
  }

  /**
   * Takes a place.
   *
   * @param completes Whether the last one to arrive ends the round at once.
   * @returns The place, or `false` while the last round is not over.
   * @throws {BrokenBarrierError} If it is broken.
   */
  arrive(completes: boolean): Place | false {
    const place = this.#alone(() => {
      if (this.broken) throw brokenError();
      const { arrived: index, parties } = this;
      if (index === parties) return false;
      const place = { round: this.#round, index, last: index + 1 === parties };
      if (completes && place.last) this.#advance();
      else Atomics.store(this.#words, ARRIVED, index + 1);
      return place;
    });
    if (completes && place && place.last) this.waiters.wake(Infinity);
    return place;
  }

  /** Whether a round is over: complete or broken. */
  isOver(round: number): boolean {
    return this.#round !== round || this.broken;
  }

  /**
   * Ends a round in which all have arrived, unless it is broken.
   *
   * @param round The round.
   */
  complete(round: number): void {
    this.#alone(() => {
      if (!this.isOver(round)) this.#advance();
    });
    this.waiters.wake(Infinity);
  }

  /**
   * Breaks a round unless it is over.
   *
   * @param round The round; by default the current one.
   * @returns Whether it is broken; if not, it was completed before.
   */
  breakRound(round: number = this.#round): boolean {
    const broken = this.#alone(() => {
      if (round !== this.#round) return this.#wasReset(round);
      Atomics.store(this.#words, BROKEN, 1);
      return true;
    });
    if (broken) this.waiters.wake(Infinity);
    return broken;
  }

  /** Begins a new round and breaks the current one. */
  reset(): void {
    this.#alone(() => {
      if (this.arrived === 0 && !this.broken) return;
      const count = this.#words[RESETS]!++ >>> 0;
      this.#words[RESET_ROUNDS + count % REMEMBERED] = this.#round;
      this.#advance();
    });
    this.waiters.wake(Infinity);
  }

  get #round(): number {
    return Atomics.load(this.#words, ROUND);
  }

  #advance(): void {
    Atomics.store(this.#words, ARRIVED, 0);
    Atomics.add(this.#words, ROUND, 1);
    Atomics.store(this.#words, BROKEN, 0);
  }

  #wasReset(round: number): boolean {
    const count = Math.min(this.#words[RESETS]! >>> 0, REMEMBERED);
    return this.#words.subarray(RESET_ROUNDS, RESET_ROUNDS + count)
      .includes(round);
  }

  #alone<T>(act: () => T): T {
    return alone(this.#words, MUTEX, act);
  }
}
