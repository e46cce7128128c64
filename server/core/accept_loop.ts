/**
 * The loop that takes requests, one consumer at a time: `serveForever()`,
 * `handleRequest()`, or the drain of a close.
 *
 * An accept can't be cancelled but by closing the socket, so a consumer that
 * leaves while one is pending leaves it to the next, with what it brings.
 *
 * @module
 */

import { isDisconnect } from "./disconnect.ts";

const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1_000;
/** So many clients that left at once are passed over before others' turn. */
const DISCONNECTS_A_TURN = 64;
/** Without an arrival for so long, nothing waits in the system's queue. */
const QUIET_MS = 5;
/** So many times in a row: on a busy machine timers come before arrivals. */
const QUIET_TURNS = 3;

/** A request and its client's address. */
export type Accepted<R> = [request: R, clientAddress: Deno.Addr];

/** What the loop needs of its server. */
export interface AcceptLoopHost<R> {
  /** Waits for the next request. */
  next(): Promise<Accepted<R>>;
  /** Whether another request may be taken now. */
  hasRoom(): boolean;
  /** Begins to serve a request; `waited` for room before it was accepted. */
  take(accepted: Accepted<R>, waited: boolean): void;
  /** An accept failed; `first` of a spell, or again. */
  failed(error: unknown, first: boolean): void;
}

interface Consumer {
  /** How many requests it still wants. */
  left: number;
  afterTurn: (() => void | Promise<void>) | null;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Gives what the host's `next()` brings to its `take()`, while there is a
 * consumer and room. Driven by callbacks: a promise that could be woken early
 * would cost one more on every request.
 */
export class AcceptLoop<R> {
  #host: AcceptLoopHost<R>;
  #consumer: Consumer | null = null;
  #pending = false;
  #arrived: Accepted<R> | null = null;
  #failure: { error: unknown } | null = null;
  #backoff = 0;
  #disconnects = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settled: (() => void) | null = null;
  #stopping = false;
  #wasFull = false;

  constructor(host: AcceptLoopHost<R>) {
    this.#host = host;
  }

  /** Begins a consumer, which `stop()` ends from now on. */
  begin(): void {
    this.#stopping = false;
  }

  /** Whether `stop()` was called since `begin()`. */
  get isStopping(): boolean {
    return this.#stopping;
  }

  /** Takes requests until `stop()`, calling `afterTurn` after each. */
  run(afterTurn: () => void | Promise<void>): Promise<void> {
    return this.#consume(Infinity, afterTurn);
  }

  /** Takes one request; false if none came within `timeout` ms. */
  async runOnce(timeout: number): Promise<boolean> {
    let timedOut = false;
    const timer = timeout === Infinity ? undefined : setTimeout(() => {
      timedOut = true;
      this.stop();
    }, timeout);
    try {
      await this.#consume(1, null);
    } finally {
      clearTimeout(timer);
    }
    return !timedOut;
  }

  /** Takes what the system has queued already, at most `limit` requests. */
  async runUntilQuiet(limit: number, deadline: number): Promise<void> {
    let seen = -1;
    let taken = 0;
    let quiet = 0;
    const timer = setInterval(() => {
      const hasRoom = this.#host.hasRoom();
      quiet = taken === seen && hasRoom ? quiet + 1 : 0;
      const ended = quiet >= QUIET_TURNS || performance.now() >= deadline;
      if (ended) this.release();
      // While there is no room nothing can be taken: that is not quiet
      seen = hasRoom ? taken : -1;
    }, QUIET_MS);
    try {
      await this.#consume(limit, () => void taken++);
    } finally {
      clearInterval(timer);
    }
  }

  /** Ends the consumer of this moment. */
  stop(): void {
    this.#stopping = true;
    this.release();
  }

  /** Ends the consumer of this moment, which may begin again. */
  release(): void {
    this.#takeConsumer()?.resolve();
  }

  /** Ends the consumer of this moment with an error. */
  fail(error: Error): void {
    this.#takeConsumer()?.reject(error);
  }

  /** A request has ended: there may be room again. */
  wake(): void {
    if (!this.#pending && this.#timer === undefined) this.#advance();
  }

  /** After the socket was closed: waits for the last accept to end as well. */
  async settle(): Promise<void> {
    if (this.#pending) {
      await new Promise<void>((resolve) => this.#settled = resolve);
    }
    // It only says that the socket was closed; there may be another one
    this.#failure = null;
  }

  /** Takes what an accept has brought that no consumer waited for. */
  takeArrived(): void {
    if (this.#arrived !== null) this.#take(this.#arrived);
  }

  #consume(
    limit: number,
    afterTurn: (() => void | Promise<void>) | null,
  ): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#consumer = { left: limit, afterTurn, resolve, reject };
      this.#advance();
    });
  }

  #takeConsumer(): Consumer | null {
    const consumer = this.#consumer;
    this.#consumer = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return consumer;
  }

  /** Does the next thing that can be done, if there is one. */
  #advance(): void {
    const consumer = this.#consumer;
    if (consumer === null) return;
    if (this.#failure !== null) return this.#recover(this.#failure.error);
    if (this.#arrived === null) return this.#arm();
    // What was held by its client's limit may have taken the room
    if (!this.#hasRoom()) return;
    this.#take(this.#arrived);
    const turn = consumer.afterTurn?.();
    if (--consumer.left === 0) return this.release();
    if (turn instanceof Promise) turn.then(() => this.#advance());
    else this.#arm();
  }

  #take(accepted: Accepted<R>): void {
    this.#arrived = null;
    this.#backoff = 0;
    const waited = this.#wasFull;
    this.#wasFull = false;
    this.#host.take(accepted, waited);
  }

  #hasRoom(): boolean {
    const hasRoom = this.#host.hasRoom();
    this.#wasFull ||= !hasRoom;
    return hasRoom;
  }

  #arm(): void {
    if (this.#pending || !this.#hasRoom()) return;
    this.#pending = true;
    try {
      this.#host.next().then(this.#onArrival, this.#onFailure);
    } catch (error) {
      this.#onFailure(error);
    }
  }

  #onArrival = (accepted: Accepted<R>): void => {
    this.#pending = false;
    this.#arrived = accepted;
    this.#settled?.();
    this.#advance();
  };

  #onFailure = (error: unknown): void => {
    this.#pending = false;
    this.#failure = { error };
    this.#settled?.();
    this.#advance();
  };

  #recover(error: unknown): void {
    this.#failure = null;
    if (error instanceof Deno.errors.BadResource) {
      this.#takeConsumer()!.reject(error);
      return;
    }
    if (isDisconnect(error)) {
      this.#host.failed(error, false);
      return ++this.#disconnects % DISCONNECTS_A_TURN === 0
        ? this.#armAfter(0)
        : this.#arm();
    }
    this.#host.failed(error, this.#backoff === 0);
    this.#backoff = Math.min(
      Math.max(this.#backoff * 2, MIN_BACKOFF_MS),
      MAX_BACKOFF_MS,
    );
    this.#armAfter(this.#backoff);
  }

  #armAfter(delay: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#arm();
    }, delay);
  }
}
