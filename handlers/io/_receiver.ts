/**
 * Reads that can be ended, although those of a connection can't.
 *
 * @module
 */

import { assertInteger } from "../../workers/base/check.ts";
import { progressed } from "../../workers/base/progress.ts";
import {
  crowded,
  type IdleTimer,
  MAX_TIMEOUT_MS,
  type ReadSink,
  room,
  sendHeld,
  type Watch,
  watchOf,
} from "../_internal.ts";
import { incomplete, type ReadBuffer } from "./_read_buffer.ts";
import { limitWait } from "./_sender.ts";

/** The source of a `BufferedReader`, for example a `Deno.Conn`. */
export interface ReaderSource {
  /**
   * Reads up to `into.length` bytes.
   *
   * @param into Where the bytes go.
   * @returns The number of bytes read, or `null` at the end.
   */
  read(into: Uint8Array): Promise<number | null>;
}

/** The result of a read that stays pending when the handler ends. */
const NEVER: unique symbol = Symbol("never");

/** The writer of the same connection. */
export interface PairedWriter {
  [sendHeld](): void;
  readonly [crowded]: boolean;
  [room](): Promise<void>;
}

/**
 * Takes a result from the buffer; `undefined` while it needs more bytes. `direct`
 * is the number of bytes that went into the waiter's `into` instead.
 */
type Attempt<T> = (buffer: ReadBuffer, direct: number) => T | undefined;

/** A pending read. A reader has one at a time, and reuses the object. */
interface Waiter {
  /** Takes the result; `null` if that is the number of bytes read. */
  attempt: Attempt<unknown> | null;
  /** Where the next bytes go; `null` for the buffer. */
  into: Uint8Array | null;
  /** Whether it has taken no byte yet. */
  idle: boolean;
  /** Its result at the end, or {@linkcode NEVER}. */
  end: unknown;
  resolve: (found: unknown) => void;
  reject: (error: unknown) => void;
}

/** Reads from a source, until its end or a time-out. */
export class Receiver implements ReadSink {
  /** The writer to flush before a wait: the client may need it to go on. */
  writer: PairedWriter | null = null;
  #source: ReaderSource;
  #watch: Watch | null;
  #buffer: ReadBuffer;
  #timer: IdleTimer | null = null;
  #waiter: Waiter | null = null;
  readonly #record: Waiter = {
    attempt: null,
    into: null,
    idle: false,
    end: null,
    resolve: ignore,
    reject: ignore,
  };
  #failure: unknown = null;
  #waitsForWriter = false;

  constructor(
    source: ReaderSource,
    buffer: ReadBuffer,
    timeout: number | null,
  ) {
    this.#source = source;
    this.#buffer = buffer;
    this.#watch = watchOf(source);
    if (this.#watch !== null) this.#watch.reader = this;
    if (timeout === null) return;
    assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
    const doing = "read: nothing came from the client";
    this.#timer = limitWait(source, timeout, doing, (e) => this.fail(e));
  }

  /** Whether no byte was read ahead or by the pending read. */
  get isIdle(): boolean {
    return this.#buffer.isIdle && (this.#waiter === null || this.#waiter.idle);
  }

  /** Clears the timer. */
  release(): void {
    this.#timer?.stop();
  }

  /** Ends the pending read and all later ones. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#settle()?.reject(error);
  }

  /** Whether a read has to wait, for another one or for the writer. */
  get mustWait(): boolean {
    return this.isPending || this.#isAhead;
  }

  /** Whether a read is pending. */
  get isPending(): boolean {
    return this.#waiter !== null || this.#waitsForWriter;
  }

  /**
   * Fills the buffer until `attempt` succeeds. If the handler ends before, the
   * result is `end`; without it the promise stays pending.
   */
  take<T>(attempt: Attempt<T>, end: unknown = NEVER): Promise<T> {
    if (this.isPending) return this.#refuse();
    if (this.#isAhead) return this.#afterWriter(() => this.take(attempt, end));
    const idle = this.#buffer.isIdle;
    try {
      const found = attempt(this.#buffer, 0);
      if (found !== undefined) return Promise.resolve(found);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#wait(attempt, idle, end) as Promise<T>;
  }

  /** One read directly into `into`. */
  receive(
    into: Uint8Array,
    idle: boolean,
    end: unknown = null,
  ): Promise<number | null> {
    if (this.isPending) return this.#refuse();
    if (this.#isAhead) {
      return this.#afterWriter(() => this.receive(into, idle, end));
    }
    if (this.#buffer.ended) return Promise.resolve(null);
    this.#record.into = into;
    return this.#wait(null, idle, end) as Promise<number | null>;
  }

  /** Reads `count` bytes, directly into the result what is not buffered. */
  receiveAll(count: number): Promise<Uint8Array> {
    let all: Uint8Array | null = null;
    let filled = 0;
    return this.take((buffer, direct) => {
      all ??= new Uint8Array(count);
      filled += direct;
      filled += buffer.copy(all.subarray(filled)) ?? 0;
      if (filled === count) return all;
      if (buffer.ended) throw incomplete(count, all.slice(0, filled));
      if (buffer.isIdle) this.#record.into = all.subarray(filled);
      return undefined;
    });
  }

  /** Whether the handler writes faster than the client reads. */
  get #isAhead(): boolean {
    return this.writer !== null && this.writer[crowded];
  }

  async #afterWriter<T>(read: () => Promise<T>): Promise<T> {
    this.#waitsForWriter = true;
    await this.writer![room]();
    this.#waitsForWriter = false;
    return await read();
  }

  /** The reason why no read can begin. */
  #refuse(): Promise<never> {
    return Promise.reject(
      new TypeError("Cannot read: another read of this reader is pending"),
    );
  }

  #wait(
    attempt: Attempt<unknown> | null,
    idle: boolean,
    end: unknown,
  ): Promise<unknown> {
    progressed();
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const waiter = this.#record;
    waiter.attempt = attempt;
    waiter.idle = idle;
    waiter.end = end;
    kept = waiter;
    const promise = new Promise(keep);
    this.#read(waiter);
    return promise;
  }

  /**
   * One read of the source that a time-out can end. The source's own read can't
   * be cancelled: it stays pending until the connection is closed, and no other
   * read begins.
   */
  #read(waiter: Waiter): void {
    this.#waiter = waiter;
    this.writer?.[sendHeld]();
    this.#timer?.begin();
    const into = waiter.into ?? this.#buffer.space();
    if (this.#watch !== null) return this.#watch.receive(into, this);
    try {
      this.#source.read(into).then(
        (count) => this.onRead(count),
        (error) => this.onError(error),
      );
    } catch (error) {
      this.onError(error);
    }
  }

  onRead(count: number | null): void {
    const isDirect = this.#record.into !== null;
    const waiter = this.#settle();
    if (count === null) this.#buffer.ended = true;
    if (waiter === null) return;
    if (waiter.attempt === null) return waiter.resolve(count);
    const come = count ?? 0;
    if (!isDirect) this.#buffer.add(come);
    waiter.idle = false;
    this.#attempt(waiter, waiter.attempt, isDirect ? come : 0);
  }

  onError(error: unknown): void {
    this.#settle()?.reject(error);
  }

  onOver(): void {
    const waiter = this.#settle();
    if (waiter !== null && waiter.end !== NEVER) waiter.resolve(waiter.end);
  }

  #attempt(waiter: Waiter, attempt: Attempt<unknown>, direct: number): void {
    try {
      const found = attempt(this.#buffer, direct);
      if (found === undefined) this.#read(waiter);
      else waiter.resolve(found);
    } catch (error) {
      waiter.reject(error);
    }
  }

  #settle(): Waiter | null {
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#record.into = null;
    this.#timer?.end();
    return waiter;
  }
}

/** Receives the functions of the promise that is being made. */
let kept: Pick<Waiter, "resolve" | "reject">;

function keep(resolve: Waiter["resolve"], reject: Waiter["reject"]): void {
  kept.resolve = resolve;
  kept.reject = reject;
}

function ignore(): void {}
