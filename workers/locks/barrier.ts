import { SocketServerError } from "../errors.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, deadlineOf } from "./_deadline.ts";
import { register } from "../codec/share.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import type { WaitOptions, WaitSyncOptions } from "./wait_options.ts";

/** Options of a {@linkcode Barrier}. */
export interface BarrierOptions {
  /**
   * Called by the last one to arrive, before all go on. It can't cross to
   * another thread: a barrier that is shared gets it with each `wait()`.
   */
  action?: () => void | Promise<void>;
  /**
   * How long each `wait()` waits unless told otherwise, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** Options of {@linkcode Barrier.wait}. */
export interface BarrierWaitOptions extends WaitOptions {
  /** Called if this one is the last to arrive; the barrier's own if absent. */
  action?: () => void | Promise<void>;
}

/** Options of {@linkcode Barrier.waitSync}. */
export interface BarrierWaitSyncOptions extends WaitSyncOptions {
  /** Called if this one is the last to arrive; the barrier's own if absent. */
  action?: () => void;
}

/**
 * Thrown to those who wait for a barrier that is, or becomes, broken.
 *
 * @example Usage
 * ```ts
 * import { Barrier, BrokenBarrierError } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * const barrier = new Barrier(2);
 * await assertRejects(() => barrier.wait({ timeout: 10 }), BrokenBarrierError);
 * ```
 */
export class BrokenBarrierError extends SocketServerError {
  /** The name of the error's class. */
  override name = "BrokenBarrierError";
}

const PARTIES = OWN;
const STATE = OWN + 1;
// A bit for each of the last 32 rounds that were broken and are over.
const BROKEN_ROUNDS = OWN + 2;

// The state in one word, so that each of its changes is one: who has arrived,
// two flags, the number of the round.
const MOST_PARTIES = 2 ** 16 - 1;
const ARRIVED = MOST_PARTIES;
const BROKEN = 1 << 16;
/** Somebody is just beginning the next round. */
const TURNING = 1 << 17;
const ROUND_SHIFT = 18;
const ROUND_MASK = 2 ** (32 - ROUND_SHIFT) - 1;

interface Place {
  round: number;
  index: number;
}

function roundOf(state: number): number {
  return state >>> ROUND_SHIFT;
}

/**
 * Lets a fixed number of threads or tasks wait for each other, again and
 * again.
 *
 * A time-out, an abort, `abort()`, `reset()` and an action that throws break
 * it: whoever waits, and whoever comes until it is `reset()`, gets a
 * {@linkcode BrokenBarrierError}. Waiting with `wait()` keeps the program
 * alive. One whose thread ends while it waits counts as arrived.
 *
 * @example Usage
 * ```ts
 * import { Barrier } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const barrier = new Barrier(3);
 * const indexes = await Promise.all([
 *   barrier.wait(),
 *   barrier.wait(),
 *   barrier.wait(),
 * ]);
 * assertEquals(indexes, [0, 1, 2]);
 * ```
 */
export class Barrier {
  #list = new WaitQueue(3, false);
  readonly #action: (() => void | Promise<void>) | undefined;
  #timeout: number | undefined;

  static {
    register<Barrier>({
      tag: "Barrier",
      type: Barrier,
      blank: () => new Barrier(1),
      record: (barrier): [WaitRecord, number | undefined] => {
        if (barrier.#action === undefined) {
          return [barrier.#list.record, barrier.#timeout];
        }
        throw new TypeError(
          "Cannot share a Barrier that has an action: a function cannot " +
            'cross to a thread; give each wait() its "action" instead',
        );
      },
      fill: (barrier, [list, timeout]: [WaitRecord, number | undefined]) => {
        barrier.#list = new WaitQueue(list, false);
        barrier.#timeout = timeout;
      },
    });
  }

  /**
   * Makes a barrier.
   *
   * @param parties How many have to arrive.
   * @param options What is done then, and how long to wait for it.
   * @throws {RangeError} If `parties` is not a whole number from 1 to 65535,
   * or `timeout` is negative.
   */
  constructor(parties: number, options: BarrierOptions = {}) {
    if (
      !(Number.isInteger(parties) && parties >= 1 && parties <= MOST_PARTIES)
    ) {
      throw new RangeError(
        `Cannot make a barrier for "${parties}" parties: ` +
          `expected a whole number from 1 to ${MOST_PARTIES}`,
      );
    }
    deadlineOf("make a barrier", options);
    this.#action = options.action;
    this.#timeout = options.timeout;
    Atomics.store(this.#list.words, PARTIES, parties);
  }

  /**
   * How many have to arrive.
   *
   * @returns 1 or more.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new Barrier(2).parties, 2);
   * ```
   */
  get parties(): number {
    return Atomics.load(this.#list.words, PARTIES);
  }

  /**
   * How many wait now.
   *
   * @returns 0 to `parties`.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const barrier = new Barrier(2);
   * const first = barrier.wait();
   * assertEquals(barrier.nWaiting, 1);
   * await Promise.all([first, barrier.wait()]);
   * ```
   */
  get nWaiting(): number {
    return this.broken ? 0 : this.#state & ARRIVED;
  }

  /**
   * Whether the barrier is broken.
   *
   * @returns `true` until it is reset.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const barrier = new Barrier(2);
   * barrier.abort();
   * assert(barrier.broken);
   * ```
   */
  get broken(): boolean {
    return (this.#state & BROKEN) !== 0;
  }

  /**
   * Waits until all have arrived.
   *
   * @param options How long to wait, and what to do as the last one.
   * @returns How many had arrived before this one.
   * @throws {BrokenBarrierError} If the barrier is or becomes broken, also by
   * this one's time-out.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(await new Barrier(1).wait(), 0);
   * ```
   */
  async wait(options: BarrierWaitOptions = {}): Promise<number> {
    const limit = this.#deadlineOf(options);
    let place: Place | null = null;
    try {
      const arrive = (): boolean => (place = this.#arrive()) !== null;
      this.#list.tryNow(arrive, limit) || await this.#list.until(arrive, limit);
      place = this.#arrived(place);
      if (this.#isLast(place)) {
        await (options.action ?? this.#action)?.();
        this.#complete(place);
        if (checkpointDue()) await checkpoint();
        return place.index;
      }
      await this.#list.until(this.#over(place), limit);
    } catch (error) {
      if (!this.#break(place)) return place!.index;
      throw error;
    }
    return this.#leave(place);
  }

  /**
   * As {@linkcode Barrier.wait}, blocking the thread.
   *
   * @param options How long to wait, and what to do as the last one.
   * @returns How many had arrived before this one.
   * @throws {BrokenBarrierError} If the barrier is or becomes broken, also by
   * this one's time-out.
   * @throws {RangeError} If `timeout` is negative.
   * @throws {TypeError} If the action is asynchronous.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(new Barrier(1).waitSync(), 0);
   * ```
   */
  waitSync(options: BarrierWaitSyncOptions = {}): number {
    const { deadline } = this.#deadlineOf(options);
    let place: Place | null = null;
    try {
      this.#list.untilSync(() => (place = this.#arrive()) !== null, deadline);
      place = this.#arrived(place);
      if (this.#isLast(place)) {
        const done: unknown = (options.action ?? this.#action)?.();
        if (done instanceof Promise) {
          throw new TypeError(
            "Cannot wait for the action: it is asynchronous; use wait()",
          );
        }
        return this.#complete(place);
      }
      this.#list.untilSync(this.#over(place), deadline);
    } catch (error) {
      if (!this.#break(place)) return place!.index;
      throw error;
    }
    return this.#leave(place);
  }

  /**
   * Breaks the barrier, for those who wait and those who come.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * const barrier = new Barrier(2);
   * barrier.abort();
   * assertThrows(() => barrier.waitSync());
   * ```
   */
  abort(): void {
    for (;;) {
      const state = this.#state;
      if ((state & (BROKEN | TURNING)) !== 0) return;
      if (this.#change(state, state | BROKEN)) break;
    }
    this.#list.wake(Infinity);
  }

  /**
   * Makes the barrier as new; those who wait get a `BrokenBarrierError`.
   *
   * @example Usage
   * ```ts
   * import { Barrier } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const barrier = new Barrier(2);
   * barrier.abort();
   * barrier.reset();
   * assertFalse(barrier.broken);
   * ```
   */
  reset(): void {
    for (;;) {
      const state = this.#state;
      const untouched = (state & (ARRIVED | BROKEN)) === 0;
      if (untouched || (state & TURNING) !== 0) return;
      if (!this.#change(state, state | TURNING)) continue;
      const round = roundOf(state);
      Atomics.or(this.#list.words, BROKEN_ROUNDS, 1 << round);
      return this.#turn(round);
    }
  }

  get #state(): number {
    return Atomics.load(this.#list.words, STATE);
  }

  #change(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#list.words, STATE, from, to) === from;
  }

  #deadlineOf(options: WaitOptions): Deadline {
    const { timeout = this.#timeout, signal } = options;
    return deadlineOf("wait for the barrier", {
      ...timeout !== undefined ? { timeout } : {},
      ...signal !== undefined ? { signal } : {},
    });
  }

  #brokenError(): BrokenBarrierError {
    return new BrokenBarrierError(
      "Cannot pass the barrier: it is broken; reset() makes it as new",
    );
  }

  /** Takes a place; `null` while the last round is not quite over. */
  #arrive(): Place | null {
    for (;;) {
      const state = this.#state;
      if ((state & TURNING) !== 0) return null;
      if ((state & BROKEN) !== 0) throw this.#brokenError();
      const index = state & ARRIVED;
      if (index === this.parties) return null;
      if (this.#change(state, state + 1)) {
        return { round: roundOf(state), index };
      }
    }
  }

  #arrived(place: Place | null): Place {
    if (place === null) throw this.#brokenError();
    return place;
  }

  #isLast({ index }: Place): boolean {
    return index + 1 === this.parties;
  }

  #over({ round }: Place): () => boolean {
    return () => roundOf(this.#state) !== round || this.broken;
  }

  /** Breaks the round of a place; `false` if it was completed before. */
  #break(place: Place | null): boolean {
    for (;;) {
      const state = this.#state;
      if (place !== null && roundOf(state) !== place.round) {
        return this.#wasBroken(place);
      }
      if ((state & (BROKEN | TURNING)) === BROKEN) return true;
      if ((state & TURNING) !== 0) continue;
      if (this.#change(state, state | BROKEN)) break;
    }
    this.#list.wake(Infinity);
    return true;
  }

  #wasBroken({ round }: Place): boolean {
    const rounds = Atomics.load(this.#list.words, BROKEN_ROUNDS);
    return (rounds & 1 << round) !== 0;
  }

  #leave(place: Place): number {
    if (this.#break(place)) throw this.#brokenError();
    return place.index;
  }

  #complete(place: Place): number {
    const full = place.round << ROUND_SHIFT | this.parties;
    if (!this.#change(full, full | TURNING)) throw this.#brokenError();
    this.#turn(place.round);
    return place.index;
  }

  /** Begins the next round; only who has set `TURNING` may. */
  #turn(round: number): void {
    const next = round + 1 & ROUND_MASK;
    Atomics.and(this.#list.words, BROKEN_ROUNDS, ~(1 << next));
    Atomics.store(this.#list.words, STATE, next << ROUND_SHIFT);
    this.#list.wake(Infinity);
  }
}
