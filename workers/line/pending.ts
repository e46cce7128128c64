/**
 * Calls that wait for their answers, and how many a process may have.
 *
 * @module
 */

import { ProtocolError } from "./dialect.ts";

const START_CAPACITY = 16;

/** More calls of shared objects by one child at once are refused. */
export const MAX_CALLS = 10_000;
/** Calls whose arguments are larger together are refused, too. */
export const MAX_BYTES = 64 * 2 ** 20;
/** Smaller arguments are bounded by the number of calls. */
const SMALL = 4_096;

/**
 * Calls by their numbers, which rise. A number's place is its remainder by the
 * capacity; numbers whose place is taken are passed over. That is a third of
 * the cost of a `Map`. Whoever answers may be hostile.
 */
export class PendingCalls<C> implements Iterable<[number: number, call: C]> {
  /** The number of calls that wait. */
  size = 0;
  #numbers: number[];
  #calls: (C | undefined)[];
  #next = 0;

  /**
   * Constructs an empty table.
   *
   * @param capacity Its size in the beginning, a power of two. It grows when
   * more calls wait.
   */
  constructor(capacity: number = START_CAPACITY) {
    this.#numbers = new Array(capacity).fill(-1);
    this.#calls = new Array(capacity).fill(undefined);
  }

  /** Adds a call; returns its number. */
  add(call: C): number {
    if (this.size === this.#calls.length) this.#grow();
    const mask = this.#calls.length - 1;
    while (this.#numbers[this.#next & mask] !== -1) this.#next++;
    const number = this.#next++;
    this.#numbers[number & mask] = number;
    this.#calls[number & mask] = call;
    this.size++;
    return number;
  }

  /**
   * Returns a call that waits.
   *
   * @param number Its number, as received.
   * @returns The call.
   * @throws {ProtocolError} If there is no such call.
   */
  get(number: number): C {
    return this.#calls[this.#placeOf(number)] as C;
  }

  /** Returns a call that waits no longer; see {@linkcode get}. */
  take(number: number): C {
    const place = this.#placeOf(number);
    const call = this.#calls[place] as C;
    this.#numbers[place] = -1;
    this.#calls[place] = undefined;
    this.size--;
    return call;
  }

  /** Puts something else in the place of a call; see {@linkcode get}. */
  replace(number: number, call: C): void {
    this.#calls[this.#placeOf(number)] = call;
  }

  /** The calls that wait: in order, unless one waits for long. */
  *[Symbol.iterator](): Generator<[number: number, call: C], void> {
    const mask = this.#calls.length - 1;
    const first = this.#next;
    for (let at = first; at <= first + mask; at++) {
      const number = this.#numbers[at & mask]!;
      if (number !== -1) yield [number, this.#calls[at & mask] as C];
    }
  }

  #placeOf(number: number): number {
    const place = number & this.#calls.length - 1;
    if (this.#numbers[place] !== number || number < 0) {
      throw new ProtocolError("An answer to no call came");
    }
    return place;
  }

  #grow(): void {
    const calls = [...this];
    const capacity = 2 * this.#calls.length;
    this.#numbers = new Array(capacity).fill(-1);
    this.#calls = new Array(capacity).fill(undefined);
    for (const [number, call] of calls) {
      this.#numbers[number & capacity - 1] = number;
      this.#calls[number & capacity - 1] = call;
    }
  }
}

/**
 * Returns whether a call's arguments are too large beside those of others.
 *
 * @param bytes The size of its arguments.
 * @param calls The number of calls that are under way.
 * @param pending The size of their arguments.
 * @returns Whether they are.
 */
export function isTooLarge(
  bytes: number,
  calls: number,
  pending: number,
): boolean {
  return bytes > SMALL && calls > 0 && pending + bytes > MAX_BYTES;
}
