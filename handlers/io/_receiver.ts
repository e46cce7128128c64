/**
 * Reads that can be ended though the connection's own can't.
 *
 * @module
 */

import { assertInteger } from "../../workers/_validate.ts";
import { IdleTimer, MAX_TIMEOUT_MS } from "./_idle_timer.ts";
import type { ReaderSource } from "./buffered_reader.ts";
import { RequestTimeoutError } from "../errors.ts";

/**
 * How long a read that begins or waits while the server closes may go on when
 * nothing of a request has come: enough for bytes that are under way. It is
 * counted in steps, since timers come before the bytes of the same turn, and
 * begins anew, for a second or so, while other reads begin or end: Deno looks
 * for bytes only when the connections that wait to be accepted are through.
 */
const DRAIN_STEP_MS = 10;
const DRAIN_STEPS = 5;
const DRAIN_RENEWALS = 100;
/** Counts the reads that begin and end while servers close, of all readers. */
let progress = 0;

interface Waiter {
  resolve: (count: number | null) => void;
  reject: (error: unknown) => void;
  /** Whether nothing of a request has come yet. */
  idle: boolean;
}

/** Reads from a source, until its end, a time-out or a drain. */
export class Receiver {
  #source: ReaderSource | null;
  #timer: IdleTimer | null = null;
  #waiter: Waiter | null = null;
  #failure: Error | null = null;
  #draining = false;
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(source: ReaderSource, timeout: number | null) {
    this.#source = source;
    if (timeout === null) return;
    assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
    this.#timer = new IdleTimer(timeout, () => this.#timeOut());
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#source === null;
  }

  /** Nothing more is to come. */
  end(): void {
    this.#source = null;
  }

  /** The server closes: who waits for a new request need not wait long. */
  drain(): void {
    this.#draining = true;
    if (this.#waiter?.idle) this.#armGrace();
  }

  /** Lets go of the timers. */
  release(): void {
    this.#timer?.stop();
    clearTimeout(this.#grace);
  }

  /**
   * One read of the source that a time-out or a drain can end, though the
   * source's own read can't be cancelled: that is left pending until the
   * connection is closed, and no other is begun.
   */
  receive(into: Uint8Array, idle: boolean): Promise<number | null> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#source === null) return Promise.resolve(null);
    if (this.#waiter !== null) {
      return Promise.reject(
        new TypeError("Cannot read: another read of this reader is pending"),
      );
    }
    if (this.#draining && idle) {
      progress++;
      this.#armGrace();
    }
    this.#timer?.begin();
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject, idle };
      this.#source!.read(into).then(this.#onRead, this.#onError);
    });
  }

  #onRead = (count: number | null): void => {
    if (this.#draining) progress++;
    const waiter = this.#settle();
    if (count === null) this.#source = null;
    waiter?.resolve(count);
  };

  #onError = (error: unknown): void => {
    this.#settle()?.reject(error);
  };

  #settle(): Waiter | null {
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#timer?.end();
    if (this.#draining) clearTimeout(this.#grace);
    return waiter;
  }

  #timeOut(): void {
    const { timeout } = this.#timer!;
    this.#failure = new RequestTimeoutError(
      `Cannot read: nothing came from the client for ${timeout} ms`,
      timeout,
    );
    this.#settle()?.reject(this.#failure);
  }

  #armGrace(steps = DRAIN_STEPS, seen = progress, left = DRAIN_RENEWALS): void {
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => {
      if (seen !== progress && left > 0) {
        return this.#armGrace(DRAIN_STEPS, progress, left - 1);
      }
      if (steps > 1) return this.#armGrace(steps - 1, seen, left);
      this.#source = null;
      this.#settle()?.resolve(null);
    }, DRAIN_STEP_MS);
  }
}
