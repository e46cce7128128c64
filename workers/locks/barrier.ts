/**
 * The barrier.
 *
 * @module
 */

import {
  BarrierState,
  brokenError,
  MOST_PARTIES,
  type Place,
} from "./_barrier_state.ts";
import { type Deadline, deadlineOf } from "./_sleep.ts";
import { register } from "../codec/share.ts";
import { BrokenBarrierError } from "../base/errors.ts";
import { isStopped } from "./_stop_word.ts";
import { until, untilSync } from "./_until.ts";
import type { WaitRecord } from "./_wait_queue.ts";
import type {
  BarrierOptions,
  BarrierWaitOptions,
  BarrierWaitSyncOptions,
} from "./barrier_options.ts";
import type { WaitOptions, WaitSyncOptions } from "./wait_options.ts";
import { assertInteger } from "../base/check.ts";

/**
 * Lets a fixed number of threads or tasks wait for each other, again and
 * again.
 *
 * A time-out, an aborted signal, `abort()`, `reset()` or an action that throws
 * breaks the barrier. Current waiters, and later ones until `reset()`, get a
 * {@linkcode BrokenBarrierError}. `wait()` keeps the program alive. A waiter
 * whose thread ends counts as arrived.
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
  #state = new BarrierState(1);
  readonly #action: (() => void | Promise<void>) | undefined;
  #defaults: WaitSyncOptions;

  static {
    register<Barrier>({
      tag: "Barrier",
      type: Barrier,
      blank: () => new Barrier(1),
      record: (barrier): [WaitRecord, WaitSyncOptions] => {
        if (barrier.#action === undefined) {
          return [barrier.#state.waiters.record, barrier.#defaults];
        }
        throw new TypeError(
          "Cannot share a Barrier that has an action: a function cannot " +
            'cross to a thread; give each wait() its "action" instead',
        );
      },
      fill: (barrier, [state, defaults]: [WaitRecord, WaitSyncOptions]) => {
        barrier.#state = new BarrierState(state);
        barrier.#defaults = defaults;
      },
    });
  }

  /**
   * Makes a barrier.
   *
   * @param parties The number of waiters that the barrier waits for.
   * @param options The action and the time-out.
   * @throws {RangeError} If `parties` is not a whole number from 1 to 65535,
   * or `timeout` is negative.
   */
  constructor(parties: number, options: BarrierOptions = {}) {
    assertInteger("parties", parties, 1, MOST_PARTIES);
    deadlineOf("make a barrier", options);
    const { action, ...defaults } = options;
    this.#action = action;
    this.#defaults = defaults;
    this.#state = new BarrierState(parties);
  }

  /**
   * The number of waiters that the barrier waits for.
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
    return this.#state.parties;
  }

  /**
   * The number of waiters now.
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
    return this.broken ? 0 : this.#state.arrived;
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
    return this.#state.broken;
  }

  /**
   * Waits until all have arrived.
   *
   * @param options The time-out, and the action of the last one to arrive.
   * @returns The number of waiters that arrived before this one.
   * @throws {BrokenBarrierError} If the barrier is or becomes broken, also by
   * this call's time-out.
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
    const deadline = this.#deadlineOf(options);
    const { waiters } = this.#state;
    const action = options.action ?? this.#action;
    // Until it has a place, there is no round for it to break
    const place = placeOf(await until(waiters, this.#arrive(action), deadline));
    try {
      if (!place.last) await until(waiters, this.#over(place), deadline);
      else if (!action) return place.index;
      else {
        await action();
        this.#state.complete(place.round);
      }
    } catch (error) {
      if (this.#state.breakRound(place.round)) throw error;
    }
    return this.#leave(place);
  }

  /**
   * Blocks the thread until all have arrived.
   *
   * @param options The time-out, and the action of the last one to arrive.
   * @returns The number of waiters that arrived before this one.
   * @throws {BrokenBarrierError} If the barrier is or becomes broken, also by
   * this call's time-out.
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
    const deadline = this.#deadlineOf(options);
    const { waiters } = this.#state;
    const action = options.action ?? this.#action;
    const place = placeOf(untilSync(waiters, this.#arrive(action), deadline));
    try {
      if (!place.last) untilSync(waiters, this.#over(place), deadline);
      else if (!action) return place.index;
      else {
        const done: unknown = action();
        if (done instanceof Promise) {
          throw new TypeError(
            "Cannot wait for the action: it is asynchronous; use wait()",
          );
        }
        this.#state.complete(place.round);
      }
    } catch (error) {
      if (isStopped() || this.#state.breakRound(place.round)) throw error;
    }
    return this.#leave(place);
  }

  /**
   * Breaks the barrier. Current and later waiters get a `BrokenBarrierError`.
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
    this.#state.breakRound();
  }

  /**
   * Makes the barrier usable again. Current waiters get a `BrokenBarrierError`.
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
    this.#state.reset();
  }

  #deadlineOf(options: WaitOptions): Deadline {
    const inherits = options.timeout === undefined;
    return deadlineOf(
      "wait for the barrier",
      inherits ? { ...options, ...this.#defaults } : options,
    );
  }

  /** Its thread may end before it goes on, so no round must wait for that. */
  #arrive(action?: () => unknown): () => Place | false {
    return () => this.#state.arrive(!action);
  }

  #over({ round }: Place): () => boolean {
    return () => this.#state.isOver(round);
  }

  /** A round that is not complete breaks: this waiter's time is over. */
  #leave({ round, index }: Place): number {
    if (!this.#state.breakRound(round)) return index;
    throw brokenError();
  }
}

function placeOf(place: Place | false): Place {
  if (place !== false) return place;
  throw new BrokenBarrierError(
    "Cannot pass the barrier in time: the last round is not over",
  );
}
