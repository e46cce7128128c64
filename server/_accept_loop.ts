/**
 * The loop that takes requests, one consumer at a time: `serveForever()`,
 * `handleRequest()`, or the drain of a close.
 *
 * An accept can't be cancelled but by closing the socket, so a consumer that
 * leaves while one is pending leaves it to the next, with what it brings.
 *
 * @module
 */

import { isDisconnect } from "./_disconnect.ts";

const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1_000;
/** Without an arrival for so long, nothing waits in the system's queue. */
const QUIET_MS = 5;

/** A request and its client's address. */
export type Accepted<R> = [request: R, clientAddress: Deno.Addr];

/** What the loop needs of its server. */
export interface AcceptLoopHost<R> {
  /** Waits for the next request. */
  next(): Promise<Accepted<R>>;
  /** Whether another request may be taken now. */
  hasRoom(): boolean;
  /** Begins to serve a request. */
  take(accepted: Accepted<R>): void;
  /** An accept failed; `first` of a spell, or again. */
  failed(error: unknown, first: boolean): void;
}

/** Takes requests from the host's `next()` and gives them to its `take()`. */
export class AcceptLoop<R> {
  #host: AcceptLoopHost<R>;
  #pending: Promise<void> | null = null;
  #arrived: Accepted<R> | null = null;
  #failure: { error: unknown } | null = null;
  #backoff = 0;
  #wake: (() => void) | null = null;
  #stopping = false;

  constructor(host: AcceptLoopHost<R>) {
    this.#host = host;
  }

  /** Begins a consumer, which `stop()` ends from now on. */
  begin(): void {
    this.#stopping = false;
  }

  /** Takes requests until `stop()`, calling `afterTurn` after each. */
  async run(afterTurn: () => void | Promise<void>): Promise<void> {
    while (!this.#stopping) {
      if (await this.#step(Infinity)) await afterTurn();
    }
  }

  /** Takes one request; false if none came within `timeout` ms. */
  async runOnce(timeout: number): Promise<boolean> {
    const deadline = performance.now() + timeout;
    for (let left = timeout; left >= 0; left = deadline - performance.now()) {
      if (this.#stopping || await this.#step(left)) return true;
    }
    return this.#stopping;
  }

  /** Takes what the system has queued already, at most `limit` requests. */
  async runUntilQuiet(limit: number, deadline: number): Promise<void> {
    for (let taken = 0; taken < limit;) {
      const left = deadline - performance.now();
      if (left <= 0) return;
      const hadRoom = this.#host.hasRoom();
      if (await this.#step(hadRoom ? Math.min(QUIET_MS, left) : left)) taken++;
      else if (hadRoom) return;
    }
  }

  /** Ends the consumer of this moment. */
  stop(): void {
    this.#stopping = true;
    this.#wake?.();
  }

  /** A request has ended: there may be room again. */
  wake(): void {
    this.#wake?.();
  }

  /** After the socket was closed: what its last accept brought all the same. */
  async settle(): Promise<void> {
    await this.#pending;
    if (this.#arrived !== null) this.#takeArrived(this.#arrived);
  }

  /** Waits up to `timeout` ms for one event; true if a request was taken. */
  async #step(timeout: number): Promise<boolean> {
    if (this.#arrived === null && this.#failure === null) {
      if (this.#host.hasRoom()) this.#arm();
      await this.#sleep(timeout);
    }
    if (this.#stopping) return false;
    if (this.#failure !== null) await this.#recover(this.#failure.error);
    if (this.#arrived === null) return false;
    this.#takeArrived(this.#arrived);
    return true;
  }

  #takeArrived(accepted: Accepted<R>): void {
    this.#arrived = null;
    this.#backoff = 0;
    this.#host.take(accepted);
  }

  #arm(): void {
    this.#pending ??= this.#host.next().then(this.#onArrival, this.#onFailure);
  }

  #onArrival = (accepted: Accepted<R>): void => {
    this.#pending = null;
    this.#arrived = accepted;
    this.#wake?.();
  };

  #onFailure = (error: unknown): void => {
    this.#pending = null;
    this.#failure = { error };
    this.#wake?.();
  };

  async #recover(error: unknown): Promise<void> {
    this.#failure = null;
    if (error instanceof Deno.errors.BadResource) throw error;
    if (isDisconnect(error)) return this.#host.failed(error, false);
    this.#host.failed(error, this.#backoff === 0);
    this.#backoff = Math.min(
      Math.max(this.#backoff * 2, MIN_BACKOFF_MS),
      MAX_BACKOFF_MS,
    );
    await this.#sleep(this.#backoff);
  }

  #sleep(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeout === Infinity
        ? undefined
        : setTimeout(() => this.#wake?.(), timeout);
      this.#wake = () => {
        this.#wake = null;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
