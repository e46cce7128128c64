/**
 * The barrier.
 *
 * @module
 */

import { type Deadline, deadlineOf, until, untilSync } from "./_until.ts";
import { register } from "../codec/share.ts";
import { BrokenBarrierError } from "../base/errors.ts";
import { isStopped } from "./_checkpoint.ts";
import {
  addNode,
  AFTER,
  OWN,
  removeNode,
  TICKET,
  WaitQueue,
  type WaitRecord,
} from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";
import { assertInteger, assertType } from "../base/check.ts";

/** Options of a {@linkcode Barrier} and of its waits. */
export interface BarrierOptions extends WaitOptions {
  /**
   * Called by the last one to arrive, before all continue. An action of a wait
   * overrides the barrier's. It can't cross to another thread: pass it to each
   * wait for a shared barrier. `waitSync()` takes only a synchronous one.
   */
  action?: () => void | Promise<void>;
}

const PARTIES = OWN;
const ARRIVED = OWN + 1;
const BROKEN = OWN + 2;
/** The nodes of those in the round, one each, which keep its outcome. */
const FIRST_NODE = OWN + 3;
const END = OWN + 4;

// The values of a node. Its waiter may look many rounds later.
const WAITING = 1;
const PASSED = 2;
const FAILED = 3;

/** The most parties that a barrier can have. */
const MOST_PARTIES = 2 ** 16 - 1;

/** The options of `wait()`. */
const WAIT = ["timeout", "signal", "action"];
/** The options of `waitSync()` and of a barrier. */
const WAIT_SYNC = ["timeout", "action"];

/** A place in a round. */
interface Place {
  /** The number of earlier arrivals. */
  index: number;
  /** The node; 0 if the round is complete. */
  node: number;
  /** Whether all have arrived. */
  last: boolean;
}

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
  #queue = new WaitQueue(END - OWN, false);
  readonly #action: (() => void | Promise<void>) | undefined;
  #defaults: WaitOptions;

  static {
    register<Barrier>(Barrier, {
      blank: () => new Barrier(1),
      record: (barrier): [WaitRecord, WaitOptions] => {
        if (barrier.#action === undefined) {
          return [barrier.#queue.record, barrier.#defaults];
        }
        throw new TypeError(
          "Cannot share a Barrier that has an action: a function cannot " +
            'cross to a thread; give each wait() its "action" instead',
        );
      },
      fill: (barrier, [record, defaults]: [WaitRecord, WaitOptions]) => {
        barrier.#queue = new WaitQueue(record, false);
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
    deadlineOf("a Barrier", options, WAIT_SYNC);
    const { action, ...defaults } = options;
    checkAction(action);
    this.#action = action;
    this.#defaults = defaults;
    Atomics.store(this.#queue.words, PARTIES, parties);
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
    return this.#load(PARTIES);
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
    return this.#load(ARRIVED);
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
    return this.#load(BROKEN) === 1;
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
  async wait(options: BarrierOptions = {}): Promise<number> {
    const deadline = this.#deadlineOf("wait()", options, WAIT);
    const action = options.action ?? this.#action;
    // Until it has a place, there is no round for it to break
    const place = placeOf(
      await until(this.#queue, () => this.#arrive(!action), deadline),
    );
    try {
      if (place.last) await action?.();
      else await until(this.#queue, () => this.#isOver(place), deadline);
    } catch (error) {
      if (!this.#leave(place, FAILED)) throw error;
      return place.index;
    }
    return this.#outcome(place);
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
  waitSync(options: BarrierOptions = {}): number {
    const deadline = this.#deadlineOf("waitSync()", options, WAIT_SYNC);
    const action = options.action ?? this.#action;
    const place = placeOf(
      untilSync(this.#queue, () => this.#arrive(!action), deadline),
    );
    try {
      if (!place.last) {
        untilSync(this.#queue, () => this.#isOver(place), deadline);
      } else if (action?.() as unknown instanceof Promise) {
        throw new TypeError(
          "Cannot wait for the action: it is asynchronous; use wait()",
        );
      }
    } catch (error) {
      if (isStopped() || !this.#leave(place, FAILED)) throw error;
      return place.index;
    }
    return this.#outcome(place);
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
    this.#endRound(FAILED, 1);
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
    this.#endRound(FAILED, 0);
  }

  #deadlineOf(
    method: string,
    options: BarrierOptions,
    known: readonly string[],
  ): Deadline {
    const deadline = deadlineOf(method, options, known);
    checkAction(options.action);
    if (options.timeout !== undefined) return deadline;
    return deadlineOf(method, { ...options, ...this.#defaults }, known);
  }

  #load(word: number): number {
    return Atomics.load(this.#queue.words, word);
  }

  /**
   * Takes a place, or fails while the last round is not over. The last one to
   * arrive ends the round at once if there is no action: its thread may end
   * before it goes on.
   */
  #arrive(completes: boolean): Place | false {
    const { words, nodes } = this.#queue;
    const place = this.#queue.alone((): Place | false => {
      if (this.broken) throw brokenError();
      const index = words[ARRIVED]!;
      const last = index + 1 === words[PARTIES];
      if (index === words[PARTIES]) return false;
      if (last && completes) {
        this.#settle(PASSED);
        return { index, node: 0, last };
      }
      const node = addNode(nodes, WAITING);
      nodes[node + AFTER] = words[FIRST_NODE]!;
      words[FIRST_NODE] = node;
      Atomics.store(words, ARRIVED, index + 1);
      return { index, node, last };
    });
    if (place && place.node === 0) this.#queue.wake(Infinity);
    return place;
  }

  #isOver({ node }: Place): boolean {
    return Atomics.load(this.#queue.nodes, node + TICKET) !== WAITING;
  }

  /** Ends the round with an outcome. Call it under the mutex. */
  #settle(outcome: number): void {
    const { words, nodes } = this.#queue;
    for (
      let node = words[FIRST_NODE]!;
      node !== 0;
      node = nodes[node + AFTER]!
    ) {
      Atomics.store(nodes, node + TICKET, outcome);
    }
    words[FIRST_NODE] = 0;
    Atomics.store(words, ARRIVED, 0);
  }

  /** Ends the current round; those of a place only while it is not over. */
  #endRound(outcome: number, broken: 0 | 1, place?: Place): void {
    this.#queue.alone(() => {
      if (place !== undefined && this.#isOver(place)) return;
      this.#settle(outcome);
      Atomics.store(this.#queue.words, BROKEN, broken);
    });
    this.#queue.wake(Infinity);
  }

  /** Leaves a round, and ends it if it is not over. Returns whether it passed. */
  #leave(place: Place, outcome: number): boolean {
    if (place.node === 0) return true;
    if (!this.#isOver(place)) {
      this.#endRound(outcome, outcome === PASSED ? 0 : 1, place);
    }
    const { nodes } = this.#queue;
    return this.#queue.alone(() => {
      const passed = nodes[place.node + TICKET] === PASSED;
      removeNode(nodes, place.node);
      return passed;
    });
  }

  /** The action is done, the round is over, or this waiter's time is. */
  #outcome(place: Place): number {
    if (this.#leave(place, place.last ? PASSED : FAILED)) return place.index;
    throw brokenError();
  }
}

function checkAction(action: unknown): void {
  const isRight = action === undefined || typeof action === "function";
  assertType("action", action, isRight, "a function");
}

function brokenError(): BrokenBarrierError {
  return new BrokenBarrierError(
    "Cannot pass the barrier: it is broken; reset() makes it as new",
  );
}

function placeOf(place: Place | false): Place {
  if (place !== false) return place;
  throw new BrokenBarrierError(
    "Cannot pass the barrier in time: the last round is not over",
  );
}
