/**
 * The deadlines of requests. They are checked periodically, without a timer per
 * read.
 *
 * @module
 */

import { readsAhead } from "../../handlers/_internal.ts";
import { RequestTimeoutError } from "../../handlers/errors.ts";
import { ARRIVAL_MS } from "../../handlers/io/_idle_timer.ts";
import { streamThroughMethods } from "./watched_conn.ts";
import { cutOff, type OpenRequest, type OpenRequests } from "./request.ts";

/** Checks per shortest period. */
const LOOKS = 8;
const MIN_INTERVAL_MS = 5;
const MAX_INTERVAL_MS = 1_000;
/** The waiting time over which `minRate` is averaged. */
const RATE_WINDOW_MS = 5_000;
const WATCH: unique symbol = Symbol("watch");

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
    open[WATCH] ??= new Watch(
      open.request,
      open.handler?.[readsAhead] !== true,
    );
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
class Watch {
  /** Whether it was late at the last look. */
  wasLate = false;
  #conn: Deno.Conn;
  /** Whether a read that waits means that the client keeps a handler waiting. */
  #countsReads: boolean;
  #began = performance.now();
  #activeAt = this.#began;
  #pending: Pending[] | null = null;
  #rate: Rate | null = null;

  constructor(request: unknown, countsReads: boolean) {
    this.#conn = request as Deno.Conn;
    this.#countsReads = countsReads;
  }

  /**
   * Only records each read and write. The periodic check finds out whether one
   * has settled, once for many.
   */
  watchPending(): void {
    if (this.#pending !== null || !("read" in this.#conn)) return;
    const read: Pending = { newest: null, seen: null, settled: true };
    const write: Pending = { ...read };
    this.#pending = [read, write];
    const conn = this.#conn;
    const [readNow, writeNow] = [conn.read, conn.write];
    if (this.#countsReads) {
      conn.read = (bytes) => read.newest = readNow.call(conn, bytes);
    }
    conn.write = (bytes) => write.newest = writeNow.call(conn, bytes);
    streamThroughMethods(conn);
  }

  watchRate(minRate: number): void {
    if (this.#rate !== null || !("read" in this.#conn)) return;
    const rate = this.#rate = new Rate(minRate);
    const conn = this.#conn;
    const [readNow, writeNow] = [conn.read, conn.write];
    if (this.#countsReads) {
      conn.read = (bytes) => rate.watch(readNow.call(conn, bytes), 0);
    }
    conn.write = (bytes) => rate.watch(writeNow.call(conn, bytes), 1);
    streamThroughMethods(conn);
  }

  look(now: number, limits: DeadlineLimits): RequestTimeoutError | null {
    const { idleTimeout, requestTimeout, minRate } = limits;
    if (now - this.#began >= requestTimeout) {
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

  constructor(minRate: number) {
    this.#enough = minRate * RATE_WINDOW_MS / 1_000;
  }

  watch<T extends number | null>(
    operation: Promise<T>,
    isWrite: 0 | 1,
  ): Promise<T> {
    if (this.#bytes >= this.#enough) this.#loose[isWrite] = operation;
    else this.#follow(operation);
    return operation;
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
