/**
 * What a server knows of a connection: its reads and writes, however the
 * handler does them, and so whether it is in the middle of a request.
 *
 * A connection is in one of these states:
 *
 * - `middle`: bytes were read ahead, or the pending read has taken some; or the
 *   handler says so; or nothing was written since the last byte was read.
 * - `new`: no byte of the client was read yet.
 * - `between`: otherwise.
 *
 * When the server closes, the pending or the next read finds the end: at once
 * between two requests, after {@linkcode NEW_MS} in a new connection. The end
 * stops input only. A relayed connection's comes from the end that owns the
 * socket, which knows what is on its way.
 *
 * @module
 */

import {
  type Clock,
  clockOf,
  type ReadSink,
  type Watch,
  watch,
  watchOf,
} from "../../handlers/_internal.ts";
import { readableOf, writableOf } from "../../workers/_conn_streams.ts";
import { type RawConn, type ThroughWatch, wrap } from "./conn_methods.ts";
import { STALL_MS } from "../../workers/base/waits.ts";

/** How long a client has to send its first byte, once its handler has begun. */
const NEW_MS = 5_000;
/** A new connection ends so long before the close cuts it off. */
const MARGIN_MS = 100;
/** From so long before that on, no connection waits for bytes any more. */
const LATE_MS = 50;
/**
 * How long a read goes on before it finds the end: long enough for the bytes
 * that the system has received. It is counted in steps because timers fire
 * before the bytes of the same turn arrive. It begins anew, for about a second,
 * while other reads begin or end: Deno polls for bytes only after it has
 * accepted the waiting connections.
 */
const STEP_MS = 10;
const STEPS = 5;
/** After these steps it waits for one turn, and for more while they are late. */
const LAST_LOOKS = 3;
const RENEWALS = 100;
/** Counts the reads that begin and end while servers close. */
let progress = 0;

/** Settles when what the system has received has been read, or at `deadline`. */
export async function arrivals(deadline: number): Promise<void> {
  for (let step = 0; step < STEPS; step++) {
    if (performance.now() + STEP_MS > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Gets the promise of each read and write. */
export interface ConnObserver {
  onRead(reading: Promise<number | null>): void;
  onWrite(writing: Promise<number>): void;
  /** The server has ended the input: the pending read waits for nobody. */
  onEnd?(): void;
}

/**
 * The watch of a connection; `null` for what can't be watched.
 *
 * @param request The connection.
 * @param began When it began, if that is known: to ask for the time takes a
 * tenth of the time of a short request.
 */
export function watchConn(
  request: unknown,
  began?: number,
): WatchedConn | null {
  const known = watchOf(request) as WatchedConn | null;
  if (known !== null) return known;
  const conn = request as Deno.Conn;
  const canWatch = request instanceof Object && Object.isExtensible(request) &&
    typeof conn.read === "function";
  if (!canWatch) return null;
  const clock = clockOf(conn);
  const at = began ?? clock.now();
  const watched = new WatchedConn(conn, wrap(conn), clock, at);
  (conn as Deno.Conn & { [watch]: WatchedConn })[watch] = watched;
  return watched;
}

/** A connection whose bytes come by way of another thread or process. */
interface Relayed {
  /** Whether the end of its bytes came from the server. */
  readonly isStopped: boolean;
  /** Asks for the end of its bytes: it comes, or bytes that were on their way. */
  stopReading(): void;
}

/** A read that waits for another. */
interface WaitingRead {
  into: Uint8Array;
  sink: ReadSink;
}

/** Knows the reads and writes of one connection. */
export class WatchedConn implements Watch, ThroughWatch {
  reader: { readonly isIdle: boolean } | null = null;
  writer: { flush(): Promise<void> } | null = null;
  /** The number of the client's bytes that were read. */
  bytesRead = 0;
  /** Whether the client has ended its side. */
  clientEnded = false;
  isClosed = false;
  #conn: Deno.Conn;
  #raw: RawConn;
  #clock: Clock;
  #began: number;
  /** Receives the outcome of the pending read. */
  #sink: ReadSink | null = null;
  #direct: DirectRead | null = null;
  /** Reads that wait for the pending one, in the order of their calls. */
  #waiting: WaitingRead[] | null = null;
  /** Bytes to read before those of the connection. */
  #rest: Uint8Array | null = null;
  #observers: ConnObserver[] | null = null;
  #marked: boolean | null = null;
  #answered = false;
  #ended = false;
  #isOver = false;
  /** While the server closes: when it cuts off what is open. */
  #deadline: number | null = null;
  /** Whether the server has closed for a while. */
  #waited = false;
  /** Whether it has asked for the end of a relayed connection's bytes. */
  #isStopping = false;
  #cancel: (() => void) | null = null;
  #readable: Deno.Conn["readable"] | null = null;
  #writable: Deno.Conn["writable"] | null = null;

  /** `began` is the time by the connection's own clock. */
  constructor(conn: Deno.Conn, raw: RawConn, clock: Clock, began: number) {
    this.#conn = conn;
    this.#raw = raw;
    this.#clock = clock;
    this.#began = began;
  }

  /** Has the connection return bytes before others. */
  unread(bytes: Uint8Array): void {
    this.#rest = bytes;
  }

  /** Tells an observer of each read and write from now on. */
  observe(observer: ConnObserver): void {
    (this.#observers ??= []).push(observer);
  }

  /** The handler begins at this time. */
  begin(at: number): void {
    this.#began = at;
  }

  mark(inRequest: boolean): void {
    this.#marked = inRequest;
    if (this.#deadline !== null) this.#look();
  }

  /** The server closes, and cuts off what is open at the time `deadline`. */
  drain(deadline: number): void {
    this.#deadline = Math.min(this.#deadline ?? Infinity, deadline);
    this.#look();
  }

  release(): void {
    this.#isOver = true;
    this.#cancel?.();
  }

  /** Ends the pending reads, which nobody may await any more. */
  settle(): void {
    this.#ended = true;
    for (const sink of this.#takeSinks()) sink.onOver();
  }

  /** Reads what no handler will read. */
  skip(into: Uint8Array): Promise<number | null> {
    return this.#raw.read.call(this.#conn, into);
  }

  /** Ends this side of the connection, whatever a writer holds. */
  endWriting(): Promise<void> {
    return this.#raw.closeWrite.call(this.#conn);
  }

  receive(into: Uint8Array, sink: ReadSink): void {
    if (this.#ended) return this.#isOver ? sink.onOver() : sink.onRead(null);
    if (this.#sink !== null) {
      // A relayed connection would refuse it
      return void (this.#waiting ??= []).push({ into, sink });
    }
    this.#begin(into, sink);
    if (this.#deadline !== null) {
      progress++;
      this.#look();
    }
  }

  /** The connection's `read()`. */
  read(into: Uint8Array): Promise<number | null> {
    if (into.length === 0) return this.skip(into);
    const direct = this.#sink === null
      ? this.#direct ??= new DirectRead()
      : new DirectRead();
    kept = direct;
    const reading = new Promise<number | null>(keep);
    this.receive(into, direct);
    return reading;
  }

  /** The connection's `write()`. */
  write(bytes: Uint8Array): Promise<number> {
    const writing = this.#raw.write.call(this.#conn, bytes);
    if (!this.#answered && bytes.length > 0) {
      this.#answered = true;
      if (this.#deadline !== null) this.#look();
    }
    if (this.#observers !== null) {
      for (const observer of this.#observers) observer.onWrite(writing);
    }
    return writing;
  }

  /** The connection's `closeWrite()`. */
  closeWrite(): Promise<void> {
    if (this.writer === null) return this.endWriting();
    return this.writer.flush().then(() => this.endWriting());
  }

  /** The connection is about to be closed. */
  closing(): RawConn {
    this.isClosed = true;
    this.#cancel?.();
    if (this.#isOver) this.settle();
    return this.#raw;
  }

  get readable(): Deno.Conn["readable"] {
    return this.#readable ??= readableOf(this.#conn);
  }

  get writable(): Deno.Conn["writable"] {
    return this.#writable ??= writableOf(this.#conn);
  }

  #read(into: Uint8Array): Promise<number | null> {
    const reading = this.#rest === null
      ? this.#raw.read.call(this.#conn, into)
      : Promise.resolve(this.#takeRest(this.#rest, into));
    if (this.#observers !== null) {
      for (const observer of this.#observers) observer.onRead(reading);
    }
    return reading;
  }

  #takeRest(rest: Uint8Array, into: Uint8Array): number {
    const count = Math.min(rest.length, into.length);
    into.set(rest.subarray(0, count));
    this.#rest = count < rest.length ? rest.subarray(count) : null;
    return count;
  }

  #begin(into: Uint8Array, sink: ReadSink): void {
    this.#sink = sink;
    try {
      this.#read(into).then(this.#onRead, this.#onError);
    } catch (error) {
      this.#onError(error);
    }
  }

  #onRead = (count: number | null): void => {
    this.#count(count);
    const sink = this.#settleRead();
    if (sink !== null) sink.onRead(count);
  };

  #onError = (error: unknown): void => {
    const sink = this.#settleRead();
    if (this.#isOver) sink?.onOver();
    else sink?.onError(error);
  };

  #settleRead(): ReadSink | null {
    const sink = this.#sink;
    this.#sink = null;
    this.#isStopping = false;
    if (sink !== null && this.#waiting !== null) {
      const next = this.#waiting.shift();
      if (next !== undefined) this.#begin(next.into, next.sink);
    }
    if (this.#deadline !== null) {
      progress++;
      this.#look();
    }
    return sink;
  }

  /** Removes and returns the receivers of the outcomes of pending reads. */
  #takeSinks(): ReadSink[] {
    const pending = this.#sink;
    const waiting = this.#waiting ?? [];
    this.#sink = this.#waiting = null;
    return pending === null
      ? []
      : [pending, ...waiting.map(({ sink }) => sink)];
  }

  #count(count: number | null): void {
    if (count === null) {
      if ((this.#conn as Partial<Relayed>).isStopped !== true) {
        this.clientEnded = true;
      } else if (!this.#ended) this.#endInput();
    } else if (count > 0) {
      this.bytesRead += count;
      this.#answered = false;
    }
  }

  /** Sees to the end of the pending reads, while the server closes. */
  #look(): void {
    if (this.#isStopping) return;
    this.#cancel?.();
    this.#cancel = null;
    if (this.#sink === null || this.#isOver) return;
    const hasPart = this.reader !== null && !this.reader.isIdle;
    if (hasPart || this.#marked === true) return;
    if (this.#marked === null) {
      if (this.bytesRead === 0) return this.#waitForFirst();
      if (!this.#answered) return;
    }
    this.#endAfter(STEPS, progress, RENEWALS);
  }

  #waitForFirst(): void {
    const until = Math.min(this.#began + NEW_MS, this.#deadline! - MARGIN_MS);
    const left = until - this.#clock.now();
    if (left > 0) {
      this.#waited = true;
      this.#cancel = this.#clock.after(left, () => this.#look());
    } else this.#endAfter(this.#waited ? 1 : STEPS, progress, RENEWALS);
  }

  #endAfter(steps: number, seen: number, left: number): void {
    const now = this.#clock.now();
    // At the end, only the clients that are cut off are lost
    const isLate = now + STEP_MS > this.#deadline! - LATE_MS;
    const begins = steps === STEPS && left === RENEWALS;
    if (isLate && !begins) return this.#stop();
    const step = steps > 0 ? STEP_MS : 0;
    this.#cancel = this.#clock.after(step, () => {
      const late = this.#clock.now() - now - step;
      const looksAgain = late > STALL_MS && steps > -LAST_LOOKS;
      if (seen !== progress && left > 0) {
        this.#endAfter(STEPS, progress, left - 1);
      } else if (steps > 0 && late > STEP_MS && left > 0) {
        this.#endAfter(steps, seen, left - 1);
      } else if (steps > 0 || looksAgain) this.#endAfter(steps - 1, seen, left);
      else this.#stop();
    });
  }

  #stop(): void {
    const conn = this.#conn as Partial<Relayed>;
    if (conn.stopReading === undefined) return this.#end();
    this.#isStopping = true;
    conn.stopReading();
    // Without an answer it is cut off and reported, unless it was long silent
    if (!this.#waited) return;
    const left = this.#deadline! - LATE_MS - this.#clock.now();
    this.#cancel = this.#clock.after(Math.max(0, left), () => this.#end());
  }

  #endInput(): void {
    this.#ended = true;
    for (const observer of this.#observers ?? []) observer.onEnd?.();
  }

  #end(): void {
    this.#cancel = null;
    this.#endInput();
    for (const sink of this.#takeSinks()) sink.onRead(null);
  }
}

/** A call of the connection's `read()`; reused, if there is one at a time. */
class DirectRead implements ReadSink {
  resolve!: (count: number | null) => void;
  reject!: (error: unknown) => void;

  onRead(count: number | null): void {
    this.resolve(count);
  }

  onError(error: unknown): void {
    this.reject(error);
  }

  onOver(): void {
    this.resolve(null);
  }
}

/** Receives the functions of the promise that is being made. */
let kept: DirectRead;

function keep(
  resolve: DirectRead["resolve"],
  reject: DirectRead["reject"],
): void {
  kept.resolve = resolve;
  kept.reject = reject;
}
