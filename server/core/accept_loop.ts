/**
 * The loop that takes requests, one consumer at a time: `serveForever()`,
 * `handleRequest()`, or the drain of a close.
 *
 * Only closing the socket cancels a pending accept. A consumer that ends before
 * that leaves the accept, and its request, to the next consumer.
 *
 * @module
 */

import { isDisconnect } from "./faults.ts";

const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1_000;
/** Most clients that left at once to skip before other work runs. */
const DISCONNECTS_A_TURN = 64;
/** The system's queue is empty after this long without an arrival, */
const QUIET_MS = 5;
/** this many times in a row: on a busy machine timers fire before arrivals. */
const QUIET_TURNS = 3;

/** A request and its client's address. */
export type Accepted<R> = [request: R, clientAddress: Deno.Addr];

/** The server, as the loop sees it. */
export interface AcceptLoopHost<R> {
  /** Waits for the next request. */
  next(): Promise<Accepted<R>>;
  /** Whether another request may be taken now. */
  hasRoom(): boolean;
  /** Begins to serve a request; `waited` for room before it was accepted. */
  take(accepted: Accepted<R>, waited: boolean): void;
  /** An accept failed; `first` of a streak, or again. */
  failed(error: unknown, first: boolean): void;
}

interface Consumer {
  /** The number of requests still to take. */
  left: number;
  afterTurn: (() => void | Promise<void>) | null;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Passes requests from the host's `next()` to its `take()` while there is a
 * consumer and room. It uses callbacks: a promise that can be woken early would
 * cost another promise per request.
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

  /** Takes one request; false if it ended without one. */
  async runOnce(): Promise<boolean> {
    let taken = false;
    await this.#consume(1, () => {
      taken = true;
    });
    return taken;
  }

  /** Takes the requests that the system has queued, at most `limit`. */
  async runUntilQuiet(limit: number, deadline: number): Promise<void> {
    let seen = -1;
    let taken = 0;
    let quiet = 0;
    let last: ReturnType<typeof setImmediate> | undefined;
    const end = (before: number) => {
      if (taken === before || performance.now() >= deadline) this.release();
    };
    const timer = setInterval(() => {
      const hasRoom = this.#host.hasRoom();
      quiet = taken === seen && hasRoom ? quiet + 1 : 0;
      const ended = quiet >= QUIET_TURNS || performance.now() >= deadline;
      // Arrivals since the last look come before immediates
      if (ended) last = setImmediate(end, taken);
      // Without room nothing is taken: that does not mean an empty queue
      seen = hasRoom ? taken : -1;
    }, QUIET_MS);
    try {
      await this.#consume(limit, () => void taken++);
    } finally {
      clearInterval(timer);
      clearImmediate(last);
    }
  }

  /** Ends the current consumer. */
  stop(): void {
    this.#stopping = true;
    this.release();
  }

  /** Ends the current consumer, which may begin again. */
  release(): void {
    this.#takeConsumer()?.resolve();
  }

  /** Ends the current consumer with an error. */
  fail(error: Error): void {
    this.#takeConsumer()?.reject(error);
  }

  /** A request has ended: there may be room again. */
  wake(): void {
    if (!this.#pending && this.#timer === undefined) this.#advance();
  }

  /** Waits for the last accept, after the socket was closed. */
  async settle(): Promise<void> {
    if (this.#pending) {
      await new Promise<void>((resolve) => this.#settled = resolve);
    }
    // The error only reports the closing; there may be a new socket
    this.#failure = null;
  }

  /** Takes a request that arrived without a consumer. */
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
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    return consumer;
  }

  /** Does the next possible step, if any. */
  #advance(): void {
    const consumer = this.#consumer;
    if (consumer === null) return;
    if (this.#failure !== null) return this.#recover(this.#failure.error);
    if (this.#arrived === null) return this.#arm();
    // A request that waited for its client's limit may have taken the room
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
