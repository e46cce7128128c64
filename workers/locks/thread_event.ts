/**
 * The event that threads wait for.
 *
 * @module
 */

import { deadlineOf, until, untilSync, WAIT, WAIT_SYNC } from "./_until.ts";
import { register } from "../codec/share.ts";
import { OWN, WaitQueue, type WaitRecord } from "./_wait_queue.ts";
import type { WaitOptions } from "./wait_options.ts";

// Counts the changes: odd while the event is set.
const STATE = OWN;

/**
 * A flag that threads wait for: Python's `threading.Event`. The web already has
 * an `Event`.
 *
 * `set()` wakes every waiter, even if you clear the event at once. `wait()`
 * keeps the program alive.
 *
 * @example Usage
 * ```ts
 * import { ThreadEvent } from "@socketserver/socketserver";
 * import { assert } from "@std/assert";
 *
 * const ready = new ThreadEvent();
 * const waited = ready.wait();
 * ready.set();
 * assert(await waited);
 * ```
 */
export class ThreadEvent {
  #waiters = new WaitQueue(1, false);

  static {
    register<ThreadEvent>(ThreadEvent, {
      asks: ["wait"],
      tells: ["set", "clear"],
      blank: () => new ThreadEvent(),
      record: (event) => event.#waiters.record,
      fill: (event, record: WaitRecord) => {
        event.#waiters = new WaitQueue(record, false);
      },
    });
  }

  /**
   * Returns whether the event is set.
   *
   * @returns `true` while it is set.
   *
   * @example Usage
   * ```ts
   * import { ThreadEvent } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(new ThreadEvent().isSet());
   * ```
   */
  isSet(): boolean {
    return (this.#state & 1) === 1;
  }

  /**
   * Sets the event and wakes all waiters.
   *
   * @example Usage
   * ```ts
   * import { ThreadEvent } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const event = new ThreadEvent();
   * event.set();
   * assert(event.isSet());
   * ```
   */
  set(): void {
    this.#change(0);
    this.#waiters.wake(Infinity);
  }

  /**
   * Clears the event.
   *
   * @example Usage
   * ```ts
   * import { ThreadEvent } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const event = new ThreadEvent();
   * event.set();
   * event.clear();
   * assertFalse(event.isSet());
   * ```
   */
  clear(): void {
    this.#change(1);
  }

  /**
   * Waits until the event is set.
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time-out came first.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { ThreadEvent } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(await new ThreadEvent().wait({ timeout: 10 }));
   * ```
   */
  // deno-lint-ignore require-await -- errors must reject, and an await is slow
  async wait(options?: WaitOptions): Promise<boolean> {
    const deadline = deadlineOf("wait()", options, WAIT);
    return until(this.#waiters, this.#hasBeenSet(), deadline);
  }

  /**
   * Blocks the thread until the event is set.
   *
   * @param options How long to wait.
   * @returns `true`, or `false` if the time-out came first.
   * @throws {RangeError} If `timeout` is negative.
   *
   * @example Usage
   * ```ts
   * import { ThreadEvent } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * assertFalse(new ThreadEvent().waitSync({ timeout: 10 }));
   * ```
   */
  waitSync(options?: WaitOptions): boolean {
    const deadline = deadlineOf("waitSync()", options, WAIT_SYNC);
    return untilSync(this.#waiters, this.#hasBeenSet(), deadline);
  }

  get #state(): number {
    return Atomics.load(this.#waiters.words, STATE);
  }

  #change(from: 0 | 1): void {
    const state = this.#state;
    if ((state & 1) !== from) return;
    // A faster thread made the same change.
    Atomics.compareExchange(this.#waiters.words, STATE, state, state + 1 | 0);
  }

  #hasBeenSet(): () => boolean {
    const before = this.#state;
    return () => (before & 1) === 1 || this.#state !== before;
  }
}
