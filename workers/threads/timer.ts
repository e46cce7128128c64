/**
 * The timer.
 *
 * @module
 */

import { registerBound } from "../codec/share.ts";
import { MAX_TIMEOUT } from "../base/check.ts";
import { callExceptHook, describeValue } from "../base/errors.ts";
import { context, type TaskOwner } from "../runner/context.ts";

/**
 * Calls a function on the event loop after an interval, unless it is cancelled
 * first.
 *
 * As in Python, `start()` starts it. Unlike there, it is no thread. While it
 * waits, it keeps the program alive, or the thread or process that started it.
 *
 * @example Usage
 * ```ts
 * import { Timer } from "@socketserver/socketserver";
 * import { assert } from "@std/assert";
 *
 * let rung = false;
 * const timer = new Timer(10, () => {
 *   rung = true;
 * });
 * timer.start();
 * await timer.finished;
 * assert(rung);
 * ```
 */
export class Timer {
  /** The interval in milliseconds. */
  readonly interval: number;
  readonly #target: () => unknown;
  readonly #settled = Promise.withResolvers<void>();
  readonly #owner: TaskOwner = {
    isBusy: true,
    done: () => this.#settled.promise.catch(() => {}),
  };
  #started = false;
  #cancelled = false;
  #isAsked = false;
  #alive = false;
  #id: ReturnType<typeof setTimeout> | undefined;

  /**
   * Makes a timer. Call `start()` to start it.
   *
   * @param interval The interval in milliseconds.
   * @param target The function to call, which may be asynchronous.
   * @throws {RangeError} If `interval` is not from 0 to 2147483647.
   * @throws {TypeError} If `target` is not a function.
   */
  constructor(interval: number, target: () => unknown) {
    if (!(interval >= 0 && interval <= MAX_TIMEOUT)) {
      throw new RangeError(
        `Cannot make a timer of "${interval}" milliseconds: ` +
          `expected a number from 0 to ${MAX_TIMEOUT}`,
      );
    }
    if (typeof target !== "function") {
      throw new TypeError(
        `Cannot make a timer: "target" must be a function, ` +
          `received ${typeof target}`,
      );
    }
    this.interval = interval;
    this.#target = target;
  }

  /**
   * Resolves when the function has returned or the timer was cancelled. Rejects
   * with the function's error.
   *
   * If you read it before the end, handle its rejection; otherwise the hook of
   * {@linkcode setExceptHook} gets the error.
   *
   * @example Usage
   * ```ts
   * import { Timer } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const timer = new Timer(10, () => {
   *   throw new Error("No");
   * });
   * timer.start();
   * await assertRejects(() => timer.finished, Error, "No");
   * ```
   */
  get finished(): Promise<void> {
    this.#isAsked = true;
    return this.#settled.promise;
  }

  /**
   * Starts the timer. A cancelled timer never calls its function.
   *
   * @throws {Error} If it was started already.
   *
   * @example Usage
   * ```ts
   * import { Timer } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * using timer = new Timer(10, () => {});
   * timer.start();
   * assertThrows(() => timer.start());
   * ```
   */
  start(): void {
    if (this.#started) {
      throw new Error(
        "Cannot start the timer: it was started already; make a new one",
      );
    }
    this.#started = true;
    if (this.#cancelled) return;
    this.#alive = true;
    context.owners.add(this.#owner);
    this.#id = setTimeout(() => this.#ring(), this.interval);
  }

  /**
   * Stops the timer if it has not called its function yet. Otherwise does
   * nothing.
   *
   * @example Usage
   * ```ts
   * import { Timer } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * const timer = new Timer(1_000, () => {});
   * timer.start();
   * timer.cancel();
   * assertFalse(timer.isAlive());
   * ```
   */
  cancel(): void {
    if (this.#started && this.#id === undefined) return;
    clearTimeout(this.#id);
    this.#id = undefined;
    this.#cancelled = true;
    this.#end();
    this.#settled.resolve();
  }

  /**
   * Returns whether the timer was started and has not ended.
   *
   * @returns `true` while it waits and while its function runs.
   *
   * @example Usage
   * ```ts
   * import { Timer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * using timer = new Timer(10, () => {});
   * timer.start();
   * assert(timer.isAlive());
   * ```
   */
  isAlive(): boolean {
    return this.#alive;
  }

  /**
   * Cancels the timer.
   *
   * @example Usage
   * ```ts
   * import { Timer } from "@socketserver/socketserver";
   * import { assertFalse } from "@std/assert";
   *
   * let rung = false;
   * {
   *   using timer = new Timer(0, () => {
   *     rung = true;
   *   });
   *   timer.start();
   * }
   * assertFalse(rung);
   * ```
   */
  [Symbol.dispose](): void {
    this.cancel();
  }

  async #ring(): Promise<void> {
    this.#id = undefined;
    try {
      await this.#target();
      this.#settled.resolve();
    } catch (error) {
      this.#fail(error);
    }
    this.#end();
  }

  #end(): void {
    this.#alive = false;
    context.owners.delete(this.#owner);
  }

  #fail(thrown: unknown): void {
    this.#settled.promise.catch(() => {});
    this.#settled.reject(thrown);
    if (this.#isAsked) return;
    const error = thrown instanceof Error
      ? thrown
      : new Error(`Threw ${describeValue(thrown)}`, { cause: thrown });
    const { name } = this.#target;
    void callExceptHook({ error, thread: { kind: "timer", name } });
  }
}

registerBound(Timer);
