/**
 * Reads that can be ended, although those of a connection can't.
 *
 * @module
 */

import { assertInteger } from "../../workers/base/check.ts";
import { clockOf, IdleTimer, MAX_TIMEOUT_MS } from "./_idle_timer.ts";
import { incomplete, type ReadBuffer } from "./_read_buffer.ts";
import { sendHeld } from "../_internal.ts";
import { RequestTimeoutError } from "../errors.ts";
import type { ReaderSource } from "./reader_source.ts";

/**
 * How long a read may go on after the server began to close, if no byte of a
 * request has come: long enough for bytes in transit. It is counted in steps
 * because timers fire before the bytes of the same turn arrive. It begins anew,
 * for about a second, while other reads begin or end: Deno polls for bytes only
 * after it has accepted the waiting connections.
 */
const DRAIN_STEP_MS = 10;
const DRAIN_STEPS = 5;
const DRAIN_RENEWALS = 100;
/** Counts the reads of all readers that begin and end while servers close. */
let progress = 0;

/** A pending read. A reader has one at a time, and reuses the object. */
interface Waiter {
  /** Takes the result from the buffer; `null` if it reads into `into`. */
  attempt: (() => unknown) | null;
  into: Uint8Array | null;
  /** Whether no byte of a request has come yet. */
  idle: boolean;
  resolve: (found: unknown) => void;
  reject: (error: unknown) => void;
}

/** Reads from a source, until its end, a time-out or a drain. */
export class Receiver {
  /** The writer to flush before a wait: the client may need it to go on. */
  writer: { [sendHeld](): void } | null = null;
  #source: ReaderSource;
  #buffer: ReadBuffer;
  #timer: IdleTimer | null = null;
  #waiter: Waiter | null = null;
  readonly #record: Waiter = {
    attempt: null,
    into: null,
    idle: false,
    resolve: ignore,
    reject: ignore,
  };
  #failure: unknown = null;
  #draining = false;
  #endGrace: (() => void) | null = null;

  constructor(
    source: ReaderSource,
    buffer: ReadBuffer,
    timeout: number | null,
  ) {
    this.#source = source;
    this.#buffer = buffer;
    if (timeout === null) return;
    assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
    this.#timer = new IdleTimer(
      timeout,
      () => this.#timeOut(),
      clockOf(source),
    );
  }

  /** The server closes: a read that waits for a new request ends soon. */
  drain(): void {
    this.#draining = true;
    if (this.#waiter?.idle) this.#armGrace();
  }

  /** Clears the timers. */
  release(): void {
    this.#timer?.stop();
    this.#endGrace?.();
  }

  /** Ends the pending read and all later ones. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#settle()?.reject(error);
  }

  /** Whether a read is pending. */
  get isPending(): boolean {
    return this.#waiter !== null;
  }

  /** Fills the buffer until `attempt` succeeds. */
  take<T>(attempt: () => T | undefined): Promise<T> {
    if (this.#waiter !== null) return this.#refuse();
    const idle = this.#buffer.isIdle;
    try {
      const found = attempt();
      if (found !== undefined) return Promise.resolve(found);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#wait(attempt, null, idle) as Promise<T>;
  }

  /** One read directly into `into`. */
  receive(into: Uint8Array, idle: boolean): Promise<number | null> {
    if (this.#waiter !== null) return this.#refuse();
    if (this.#buffer.ended) return Promise.resolve(null);
    return this.#wait(null, into, idle) as Promise<number | null>;
  }

  /** Reads until `into` is full; directly if nothing is buffered. */
  async receiveAll(into: Uint8Array): Promise<Uint8Array> {
    const buffer = this.#buffer;
    for (let filled = 0; filled < into.length;) {
      const rest = into.subarray(filled);
      const count = buffer.isIdle
        ? await this.receive(rest, filled === 0)
        : await this.take(() => buffer.copy(rest));
      if (count === null) throw incomplete(into.length, into.slice(0, filled));
      filled += count;
    }
    return into;
  }

  /** The reason why no read can begin. */
  #refuse(): Promise<never> {
    return Promise.reject(
      new TypeError("Cannot read: another read of this reader is pending"),
    );
  }

  #wait(
    attempt: (() => unknown) | null,
    into: Uint8Array | null,
    idle: boolean,
  ): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const waiter = this.#record;
    waiter.attempt = attempt;
    waiter.into = into;
    waiter.idle = idle;
    const promise = new Promise(this.#keep);
    this.#read(waiter);
    return promise;
  }

  #keep = (resolve: Waiter["resolve"], reject: Waiter["reject"]): void => {
    this.#record.resolve = resolve;
    this.#record.reject = reject;
  };

  /**
   * One read of the source that a time-out or a drain can end. The source's own
   * read can't be cancelled: it stays pending until the connection is closed,
   * and no other read begins.
   */
  #read(waiter: Waiter): void {
    this.#waiter = waiter;
    this.writer?.[sendHeld]();
    if (this.#draining && waiter.idle) {
      progress++;
      this.#armGrace();
    }
    this.#timer?.begin();
    try {
      this.#source.read(waiter.into ?? this.#buffer.space())
        .then(this.#onRead, this.#onError);
    } catch (error) {
      this.#onError(error);
    }
  }

  #onRead = (count: number | null): void => {
    if (this.#draining) progress++;
    this.#took(count);
  };

  #took(count: number | null): void {
    const waiter = this.#settle();
    if (count === null) this.#buffer.ended = true;
    if (waiter === null) return;
    if (waiter.attempt === null) return waiter.resolve(count);
    if (count !== null) this.#buffer.add(count);
    waiter.idle = false;
    this.#attempt(waiter, waiter.attempt);
  }

  #attempt(waiter: Waiter, attempt: () => unknown): void {
    try {
      const found = attempt();
      if (found === undefined) this.#read(waiter);
      else waiter.resolve(found);
    } catch (error) {
      waiter.reject(error);
    }
  }

  #onError = (error: unknown): void => {
    this.#settle()?.reject(error);
  };

  #settle(): Waiter | null {
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#timer?.end();
    if (this.#draining) this.#endGrace?.();
    return waiter;
  }

  #timeOut(): void {
    const { timeout } = this.#timer!;
    this.fail(
      new RequestTimeoutError(
        `Cannot read: nothing came from the client for ${timeout} ms`,
        timeout,
      ),
    );
  }

  #armGrace(steps = DRAIN_STEPS, seen = progress, left = DRAIN_RENEWALS): void {
    this.#endGrace?.();
    this.#endGrace = clockOf(this.#source).after(DRAIN_STEP_MS, () => {
      if (seen !== progress && left > 0) {
        return this.#armGrace(DRAIN_STEPS, progress, left - 1);
      }
      if (steps > 1) return this.#armGrace(steps - 1, seen, left);
      this.#took(null); // not a client's progress, which would extend other reads
    });
  }
}

function ignore(): void {}
