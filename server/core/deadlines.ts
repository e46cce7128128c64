/**
 * The deadlines of requests. They are checked periodically, without a timer per
 * read.
 *
 * @module
 */

import { ARRIVAL_MS, readsAhead } from "../../handlers/_internal.ts";
import { RequestTimeoutError } from "../../handlers/errors.ts";
import { type ConnObserver, watchConn } from "./watched_conn.ts";
import { cutOff, type OpenRequest, type OpenRequests } from "./request.ts";

/** Checks per shortest period. */
const LOOKS = 8;
const MIN_INTERVAL_MS = 5;
const MAX_INTERVAL_MS = 1_000;
/** The waiting time over which `minRate` is averaged. */
const RATE_WINDOW_MS = 5_000;
const WATCH: unique symbol = Symbol("watch");
/** In place of a read that the server has ended. */
const ENDED: Promise<null> = Promise.resolve(null);

const NAMES = ["idleTimeout", "requestTimeout", "minRate"] as const;

/** The deadlines; `Infinity` or 0 means none. */
export interface DeadlineLimits {
  idleTimeout: number;
  requestTimeout: number;
  minRate: number;
}

type Watched = OpenRequest & { [WATCH]?: Watch };

/** Ends requests that exceed a deadline. */
export class Deadlines {
  readonly limits: DeadlineLimits = {
    idleTimeout: Infinity,
    requestTimeout: Infinity,
    minRate: 0,
  };
  #open: OpenRequests<unknown>;
  #expired: (open: OpenRequest, error: Error) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    open: OpenRequests<unknown>,
    expired: (open: OpenRequest, error: Error) => void,
  ) {
    this.#open = open;
    this.#expired = expired;
  }

  /** Applies limits, also to open requests. */
  set(limits: Partial<DeadlineLimits>): void {
    for (const name of NAMES) {
      this.limits[name] = limits[name] ?? this.limits[name];
    }
    this.stop();
    for (const open of this.#open.list()) {
      if (open.handler !== null) this.watch(open);
    }
  }

  /** Watches a request that has a handler. */
  watch(open: Watched): void {
    const { idleTimeout, requestTimeout, minRate } = this.limits;
    const period = Math.min(
      idleTimeout,
      requestTimeout,
      minRate > 0 ? RATE_WINDOW_MS : Infinity,
    );
    if (period === Infinity) return;
    if (open.began === 0) open.began = performance.now();
    open[WATCH] ??= new Watch(open);
    if (idleTimeout !== Infinity) open[WATCH].watchPending();
    if (minRate > 0) open[WATCH].watchRate(minRate);
    if (this.#timer !== undefined) return;
    const interval = Math.min(
      MAX_INTERVAL_MS,
      Math.max(MIN_INTERVAL_MS, period / LOOKS),
    );
    this.#lookAfter(interval, interval);
  }

  /** Nothing is open, or the period has changed. */
  stop(): void {
    // The first look at a timer function takes a thread 3 ms
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookAfter(delay: number, interval: number): void {
    this.#timer = setTimeout(() => this.#look(interval), delay);
  }

  /** Ends the requests that are late, and were so at the last look. */
  #look(interval: number): void {
    const now = performance.now();
    const expired: [open: Watched, error: Error][] = [];
    let delay = interval;
    for (const open of this.#open.list() as Watched[]) {
      const { aborted, [WATCH]: watch } = open;
      if (aborted || watch === undefined) continue;
      const error = watch.look(now, this.limits);
      if (error !== null && watch.wasLate) expired.push([open, error]);
      else if (error !== null) delay = ARRIVAL_MS;
      watch.wasLate = error !== null;
    }
    this.#lookAfter(delay, interval);
    for (const [open, error] of expired) {
      cutOff(open, error);
      this.#expired(open, error);
    }
  }
}

/** The latest read or write of a connection. */
interface Pending {
  newest: Promise<unknown> | null;
  /** The latest one at the last check. */
  seen: Promise<unknown> | null;
  settled: boolean;
}

/** The activity of one request. */
class Watch implements ConnObserver {
  /** Whether it was late at the last look. */
  wasLate = false;
  #open: OpenRequest;
  #activeAt = performance.now();
  #pending: [read: Pending, write: Pending] | null = null;
  #rate: Rate | null = null;
  #isObserving = false;

  constructor(open: OpenRequest) {
    this.#open = open;
  }

  /**
   * Only records each read and write. The periodic check finds out whether one
   * has settled, once for many.
   */
  watchPending(): void {
    if (this.#pending !== null || !this.#observe()) return;
    const read: Pending = { newest: null, seen: null, settled: true };
    this.#pending = [read, { ...read }];
  }

  watchRate(minRate: number): void {
    if (this.#rate === null && this.#observe()) {
      this.#rate = new Rate(minRate * RATE_WINDOW_MS / 1_000);
    }
  }

  onRead(reading: Promise<number | null>): void {
    // A handler that reads ahead is not kept waiting by its client
    if (this.#open.handler?.[readsAhead] === true) return;
    if (this.#pending !== null) this.#pending[0].newest = reading;
    this.#rate?.watch(reading, 0);
  }

  onWrite(writing: Promise<number>): void {
    if (this.#pending !== null) this.#pending[1].newest = writing;
    this.#rate?.watch(writing, 1);
  }

  onEnd(): void {
    // The system's read stays pending, but its client has nothing to send
    if (this.#pending !== null) this.#pending[0].newest = ENDED;
    this.#rate = this.#rate?.renewed() ?? null;
  }

  /** Observes the connection, if it is one. */
  #observe(): boolean {
    if (this.#isObserving) return true;
    const conn = watchConn(this.#open.request);
    conn?.observe(this);
    return this.#isObserving = conn !== null;
  }

  look(now: number, limits: DeadlineLimits): RequestTimeoutError | null {
    const { idleTimeout, requestTimeout, minRate } = limits;
    if (now - this.#open.began >= requestTimeout) {
      return new RequestTimeoutError(
        `The request did not end within ${requestTimeout} ms ("requestTimeout")`,
        requestTimeout,
      );
    }
    if (this.#isWaiting(now) && now - this.#activeAt >= idleTimeout) {
      return new RequestTimeoutError(
        `The client neither sent nor took anything for ${idleTimeout} ms ("idleTimeout")`,
        idleTimeout,
      );
    }
    return this.#rate?.look(now, minRate) ?? null;
  }

  #isWaiting(now: number): boolean {
    let waits = false;
    for (const pending of this.#pending ?? []) {
      const { newest } = pending;
      if (newest !== pending.seen) {
        this.#activeAt = now;
        pending.seen = newest;
        pending.settled = false;
        const settle = () => {
          if (pending.seen === newest) pending.settled = true;
          this.#activeAt = performance.now();
        };
        newest!.then(settle, settle);
      }
      waits ||= !pending.settled;
    }
    return waits;
  }
}

/**
 * The rate at which a client sends and takes data while a handler waits. After
 * enough data for a whole window, the rest of the window costs nothing.
 */
class Rate {
  #enough: number;
  #bytes = 0;
  #waited = 0;
  #pending = 0;
  #since = 0;
  #begin = performance.now();
  /** The latest read and write that were not measured. */
  #loose: (Promise<number | null> | null)[] = [null, null];

  /** `enough` is the number of bytes for a window. */
  constructor(enough: number) {
    this.#enough = enough;
  }

  /** One that knows of no pending operation. */
  renewed(): Rate {
    return new Rate(this.#enough);
  }

  watch(operation: Promise<number | null>, isWrite: 0 | 1): void {
    if (this.#bytes >= this.#enough) this.#loose[isWrite] = operation;
    else this.#follow(operation);
  }

  look(now: number, minRate: number): RequestTimeoutError | null {
    this.#enough = minRate * RATE_WINDOW_MS / 1_000;
    if (this.#bytes >= this.#enough) {
      if (now - this.#begin >= RATE_WINDOW_MS) this.#beginWindow(now);
      return null;
    }
    if (this.#pending > 0) {
      this.#waited += now - this.#since;
      this.#since = now;
    }
    if (this.#waited < RATE_WINDOW_MS) return null;
    const waited = Math.round(this.#waited);
    return new RequestTimeoutError(
      `The client sent and took ${this.#bytes} bytes in ${waited} ms, fewer than ${minRate} a second ("minRate")`,
      waited,
    );
  }

  #beginWindow(now: number): void {
    this.#begin = this.#since = now;
    this.#bytes = this.#waited = 0;
    for (const operation of this.#loose) {
      if (operation !== null) this.#follow(operation);
    }
    this.#loose = [null, null];
  }

  #follow(operation: Promise<number | null>): void {
    if (this.#pending++ === 0) this.#since = performance.now();
    operation.then(this.#settle, this.#settle);
  }

  #settle = (count: unknown): void => {
    if (typeof count === "number") this.#bytes += count;
    if (--this.#pending === 0) this.#waited += performance.now() - this.#since;
  };
}
