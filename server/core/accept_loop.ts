/**
 * The loop that takes requests, for one consumer at a time: `serveForever()` or
 * `handleRequest()`. When the server leaves its listener, the loop gathers
 * instead what the system has queued, and no consumer takes anything until
 * there is another listener.
 *
 * Only closing the socket cancels a pending accept. A consumer that ends before
 * that leaves the accept, and its request, to the next consumer. Gathered
 * requests belong to the server: they begin as soon as there is room, with or
 * without a consumer.
 *
 * @module
 */

import { quote } from "../../workers/base/check.ts";
import { isDisconnect } from "./faults.ts";
import { STALL_MS } from "../../workers/base/waits.ts";

const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1_000;
/** Most clients that left at once to skip before other work runs. */
const DISCONNECTS_A_TURN = 64;
/** The system's queue is empty after this long without an arrival, */
const QUIET_MS = 5;
/** this many times in a row: on a busy machine timers fire before arrivals. */
const QUIET_TURNS = 3;
/** After this many looks that a stall delayed, it trusts them all the same. */
const MOST_STALLS = 20;
/** It accepts for this long, then the event loop turns. */
const SLICE_MS = 10;

/** A request and its client's address. */
export type Accepted<R> = [request: R, clientAddress: Deno.Addr];

/** The server, as the loop sees it. */
export interface AcceptLoopHost<R> {
  /** Waits for the next request. */
  next(): Promise<Accepted<R>>;
  /** Whether another request may begin now. */
  hasRoom(): boolean;
  /**
   * Begins to serve a request, `now`; `waited` for room before that. Returns
   * whether it counts for the consumer.
   */
  take(accepted: Accepted<R>, waited: boolean, now: number): boolean;
  /** An accept failed; `first` of a streak, or again. */
  failed(error: unknown, first: boolean): void;
}

/** `serveForever()` or `handleRequest()`, from its call to its end. */
export class Consumer {
  /** The number of requests still to take. */
  left: number;
  /** Called after each request. */
  readonly afterTurn: (() => void | Promise<void>) | null;
  isEnded = false;
  /** Whether a request is being taken, and `afterTurn()` has not ended yet. */
  isActing = false;
  #end: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(left: number, afterTurn: (() => void | Promise<void>) | null) {
    this.left = left;
    this.afterTurn = afterTurn;
    this.ended.catch(() => {}); // it may end before anybody waits
  }

  /** Settles at its end. */
  get ended(): Promise<void> {
    return this.#end.promise;
  }

  /** Waits for `work` until it ends. */
  async until(work: Promise<void>): Promise<void> {
    work.catch(() => {}); // it may fail later
    await Promise.race([work, this.ended]);
  }

  /** Ends it; false if it has ended already. */
  end(): boolean {
    const ends = !this.isEnded;
    this.isEnded = true;
    this.#end.resolve();
    return ends;
  }

  /** Ends it with an error. */
  fail(error: unknown): void {
    this.isEnded = true;
    this.#end.reject(error);
  }
}

/** The state while the requests that the system has queued are taken. */
interface Gathering {
  /** The number of requests still to take. */
  left: number;
  taken: number;
  end: () => void;
}

/**
 * Passes requests from the host's `next()` to its `take()`. It uses callbacks: a
 * promise that can be woken early would cost another promise per request.
 */
export class AcceptLoop<R> {
  #host: AcceptLoopHost<R>;
  #consumer: Consumer | null = null;
  #gathering: Gathering | null = null;
  #isLeaving = false;
  #isMuted = false;
  #isPending = false;
  #armedAt = 0;
  /** A request that arrived without a consumer or room. */
  #arrived: Accepted<R> | null = null;
  /** Gathered requests that wait for room. */
  #held: Accepted<R>[] = [];
  #allBegun: (() => void) | null = null;
  #failure: { error: unknown } | null = null;
  #backoff = 0;
  #disconnects = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the event loop has turned, as far as it knows. */
  #turnedAt = 0;
  #isTurning = false;
  #settled: (() => void) | null = null;
  #wasFull = false;

  constructor(host: AcceptLoopHost<R>) {
    this.#host = host;
  }

  /** Takes requests for a consumer until it ends. */
  begin(consumer: Consumer): void {
    this.#turnedAt = performance.now();
    this.#consumer = consumer;
    this.#advance();
  }

  /** The consumer has ended. */
  dismiss(): void {
    this.#consumer = null;
    if (this.#gathering === null) this.#disarm();
  }

  /** Whether replicas take from the same queue, and it accepts nothing. */
  get isMuted(): boolean {
    return this.#isMuted;
  }

  /** Leaves requests to the replicas, or takes them again. */
  mute(muted: boolean): void {
    this.#isMuted = muted;
    this.#advance();
  }

  /** Since when it has waited for a client; `null` if it does not wait. */
  get waitsSince(): number | null {
    return this.#isPending ? this.#armedAt : null;
  }

  /** A request has ended: there may be room again. */
  wake(): void {
    if (this.#held.length > 0) this.#beginHeld();
    this.#advance();
  }

  /** The server leaves its listener: requests that still arrive are gathered. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#arrived !== null) this.#hold(this.#arrived);
    this.#arrived = null;
  }

  /** The server has another listener. */
  enter(): void {
    this.#isLeaving = false;
    this.#advance();
  }

  /**
   * Gathers the requests that the system has queued, at most `limit`, or those
   * that come until `silence()` ms have passed without one. After the deadline,
   * and for 0, it takes the shortest silence for the end of the queue.
   */
  async gather(
    limit: number,
    deadline: number,
    silence: () => number,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const gathering: Gathering = {
      left: silence() > 0 ? Infinity : limit,
      taken: 0,
      end: () => {
        this.#gathering = null;
        resolve();
      },
    };
    let seen = -1;
    let quiet = 0;
    let stalls = 0;
    let due = performance.now();
    const look = () => {
      const { taken } = gathering;
      const now = performance.now();
      const isLate = now >= deadline;
      const ms = silence();
      const turns = Math.max(QUIET_TURNS, Math.ceil(ms / QUIET_MS));
      // While accepts fail, an empty queue looks the same as a full one
      const isWaiting = this.#timer !== undefined || this.#isTurning;
      const isQuiet = taken === seen && (!isWaiting || isLate);
      quiet = isQuiet ? quiet + 1 : 0;
      if (isLate || ms === 0) gathering.left = Math.min(gathering.left, limit);
      seen = taken;
      const enough = isLate ? 1 : turns;
      const isStalled = now > due + STALL_MS && stalls++ < MOST_STALLS;
      if (quiet > enough && !isStalled) return gathering.end();
      lookAfter(quiet < enough ? QUIET_MS : 0, now); // the last look is at once
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lookAfter = (ms: number, now: number) => {
      due = now + ms;
      timer = setTimeout(look, ms);
    };
    lookAfter(QUIET_MS, due);
    this.#gathering = gathering;
    this.#advance();
    await promise;
    clearTimeout(timer);
    this.#disarm();
  }

  /** Waits for the last accept, after the socket was closed. */
  async settle(): Promise<void> {
    if (this.#isPending) {
      await new Promise<void>((resolve) => this.#settled = resolve);
    }
    // The error only reports the closing; there may be a new socket
    this.#failure = null;
  }

  /** Settles when all gathered requests have begun. */
  async begun(): Promise<void> {
    if (this.#held.length === 0) return;
    await new Promise<void>((resolve) => this.#allBegun = resolve);
  }

  /** Gives up the gathered requests that have not begun; returns them. */
  giveUp(): Accepted<R>[] {
    return this.#held.splice(0);
  }

  /** Does the next possible step, if any. */
  #advance(): void {
    if (this.#isPending || this.#isTurning) return;
    if (this.#timer !== undefined) return;
    const consumer = this.#isLeaving ? null : this.#consumer;
    if (this.#gathering === null) {
      if (consumer === null || consumer.isEnded || consumer.isActing) return;
    }
    if (this.#failure !== null) return this.#recover(this.#failure.error);
    if (consumer === null || this.#arrived === null) return this.#arm();
    // A request that waited for its client's limit may have taken the room
    if (!this.#hasRoom()) return;
    const arrived = this.#arrived;
    this.#arrived = null;
    // A request that is refused at once wakes the loop: it must not accept twice
    consumer.isActing = true;
    const now = performance.now();
    const counts = this.#take(arrived, now);
    const turn = consumer.afterTurn?.();
    if (counts && --consumer.left === 0) return void consumer.end();
    if (!(turn instanceof Promise)) {
      consumer.isActing = false;
      // For a packet each reading of the clock is measurable
      return consumer.isEnded ? undefined : this.#arm(now);
    }
    turn.then(() => {
      consumer.isActing = false;
      this.#advance();
    });
  }

  #take(accepted: Accepted<R>, now: number): boolean {
    this.#backoff = 0;
    const waited = this.#wasFull;
    this.#wasFull = false;
    return this.#host.take(accepted, waited, now);
  }

  #hold(accepted: Accepted<R>): void {
    this.#backoff = 0;
    const begins = this.#held.length === 0 && this.#host.hasRoom();
    if (begins) this.#host.take(accepted, false, performance.now());
    else this.#held.push(accepted);
  }

  #beginHeld(): void {
    while (this.#held.length > 0 && this.#host.hasRoom()) {
      this.#host.take(this.#held.shift()!, true, performance.now());
    }
    if (this.#held.length === 0) this.#allBegun?.();
  }

  #hasRoom(): boolean {
    const hasRoom = this.#host.hasRoom();
    this.#wasFull ||= !hasRoom;
    return hasRoom;
  }

  #arm(now = performance.now()): void {
    if (this.#isMuted) return;
    if (this.#gathering === null && !this.#hasRoom()) return;
    this.#armedAt = now;
    if (now - this.#turnedAt > SLICE_MS) return this.#turn();
    this.#isPending = true;
    try {
      this.#host.next().then(this.#onArrival, this.#onFailure);
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /**
   * Lets the event loop turn: while clients queue, an accept and the handler's
   * first read succeed at once, and nothing else would run.
   */
  #turn(): void {
    this.#isTurning = true;
    setImmediate(() => {
      this.#isTurning = false;
      this.#turnedAt = performance.now();
      this.#advance();
    });
  }

  #onArrival = (accepted: Accepted<R>): void => {
    if (!Array.isArray(accepted)) return this.#onFailure(notAccepted(accepted));
    this.#isPending = false;
    if (this.#isLeaving) this.#hold(accepted);
    else this.#arrived = accepted;
    const gathering = this.#gathering;
    if (gathering !== null) {
      gathering.taken++;
      if (--gathering.left === 0) gathering.end();
    }
    this.#settled?.();
    this.#advance();
  };

  #onFailure = (error: unknown): void => {
    this.#isPending = false;
    this.#failure = { error };
    this.#settled?.();
    this.#advance();
  };

  #recover(error: unknown): void {
    this.#failure = null;
    if (error instanceof Deno.errors.BadResource) {
      if (this.#gathering === null) return this.#consumer!.fail(error);
      return this.#gathering.end();
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
      this.#advance();
    }, delay);
  }

  #disarm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** The error of an overridden `getRequest()`. */
function notAccepted(value: unknown): TypeError {
  return new TypeError(
    `Cannot serve what getRequest() returned, ${
      quote(value)
    }: expected [request, clientAddress]`,
  );
}
