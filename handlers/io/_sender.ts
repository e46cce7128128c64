/**
 * Writes to a sink, at the latest when the turn of the event loop ends.
 *
 * @module
 */

import { clockOf, IdleTimer, sendHeld } from "../_internal.ts";
import { RequestTimeoutError } from "../errors.ts";
import { quote } from "../../workers/base/check.ts";

/** A buffered writer. */
interface Gatherer {
  /** Whether it has buffered bytes. If not, it is dropped from the list. */
  [stillHolds](): boolean;
  /** Sends its buffer; it is dropped from the list. */
  [endTurn](): void;
}

/** To a writer: are bytes buffered? */
export const stillHolds: unique symbol = Symbol("stillHolds");
/** To a writer: the turn ends. */
export const endTurn: unique symbol = Symbol("endTurn");

/** Typed by some configurations only. */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

let holders: Gatherer[] = [];
let scheduled = false;

/** Flushes a writer at the end of this turn, at the latest. */
export function sendAtTurnEnd(holder: Gatherer): void {
  holders.push(holder);
  if (scheduled) return;
  scheduled = true;
  // A timer costs more than a short answer. A handler that awaits its write and
  // then reads has flushed after two rounds of microtasks
  queueMicrotask(afterRound);
}

function afterRound(): void {
  queueMicrotask(arm);
}

function arm(): void {
  holders = holders.filter((holder) => holder[stillHolds]());
  if (holders.length > 0) scope.setImmediate(sendAll);
  else scheduled = false;
}

function sendAll(): void {
  const due = holders;
  holders = [];
  scheduled = false;
  for (const holder of due) holder[endTurn]();
}

/**
 * The receiver of a {@linkcode BufferedWriter}'s bytes, for example a
 * `Deno.Conn`.
 */
export interface WriterSink {
  /**
   * Writes some of the bytes.
   *
   * @param bytes The bytes. They may change after the promise has settled.
   * @returns The number of bytes written.
   */
  write(bytes: Uint8Array): Promise<number>;
}

/** The sink of a packet's reply: the handler takes the bytes and sends them. */
export const NOWHERE: WriterSink = {
  write: (bytes) => Promise.resolve(bytes.length),
};

/** Makes the timer of a reader or writer; `fail` gets the error. */
export function limitWait(
  connection: unknown,
  timeout: number,
  doing: string,
  fail: (error: RequestTimeoutError) => void,
): IdleTimer {
  const expire = () =>
    fail(new RequestTimeoutError(`Cannot ${doing} for ${timeout} ms`, timeout));
  return new IdleTimer(timeout, expire, clockOf(connection));
}

/** Sends to a sink until it fails or times out. */
export class Sender {
  /** The failure that ended the sending, and whether a caller got it. */
  failure: { error: unknown; reported: boolean } | null = null;
  /** Called when the current chunk is sent. */
  onIdle: { [sendHeld](): void } | null = null;
  #sink: WriterSink;
  #timer: IdleTimer | null = null;
  #sending: Uint8Array | null = null;
  #pooled: Uint8Array | null = null;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(sink: WriterSink, timeout: number | null) {
    this.#sink = sink;
    if (timeout === null) return;
    const doing = "write: the client took nothing";
    this.#timer = limitWait(sink, timeout, doing, (e) => this.fail(e));
  }

  /** Whether bytes are being sent. */
  get isBusy(): boolean {
    return this.#sending !== null;
  }

  /** The number of bytes that are being sent. */
  get pendingBytes(): number {
    return this.#sending?.length ?? 0;
  }

  /** Sends bytes; call it while not busy. Returns their buffer to the pool. */
  send(bytes: Uint8Array, pooled: Uint8Array | null = null): void {
    this.#pooled = pooled;
    this.#send(bytes);
  }

  /** Settles when nothing is being sent. */
  settled(): Promise<void> {
    if (this.#sending === null) return Promise.resolve();
    return (this.#idle ??= Promise.withResolvers()).promise;
  }

  /** Throws the failure that ended the sending. */
  check(): void {
    if (this.failure !== null) throw this.tell();
  }

  /** Returns the failure that ended the sending and marks it as reported. */
  tell(): unknown {
    this.failure!.reported = true;
    return this.failure!.error;
  }

  /** Ends the sending. */
  fail(error: unknown): void {
    if (this.failure !== null) return;
    // After lost bytes, the client would misread later ones
    this.failure = { error, reported: false };
    this.#timer?.stop();
    this.#end();
  }

  /** Clears the timer. */
  release(): void {
    this.#timer?.stop();
  }

  #send(bytes: Uint8Array): void {
    this.#sending = bytes;
    this.#timer?.begin();
    try {
      // An idle connection keeps no functions for it
      this.#sink.write(bytes).then(
        (count) => this.#onSent(count),
        (error) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  #onSent(count: number): void {
    if (this.failure !== null) return; // it timed out before
    this.#timer?.end();
    const bytes = this.#sending!;
    if (count < bytes.length) return this.#send(bytes.subarray(count));
    if (this.#pooled !== null) giveBack(this.#pooled);
    this.#end();
  }

  #end(): void {
    this.#sending = this.#pooled = null;
    const following = this.onIdle;
    this.onIdle = null;
    following?.[sendHeld]();
    if (this.#sending !== null) return;
    this.#idle?.resolve();
    this.#idle = null;
  }
}

/** Throws unless it can be written. */
export function checkData(data: unknown): void {
  if (typeof data === "string" || data instanceof Uint8Array) return;
  throw new TypeError(
    `Cannot write ${quote(data)}: expected a text or a Uint8Array`,
  );
}

/** The system encodes longer texts faster. */
const MAX_SHORT_TEXT = 40;
const encoder = new TextEncoder();

/**
 * Writes a text into bytes as UTF-8 and returns the index after it. There must
 * be room for three bytes per character.
 */
export function putText(text: string, into: Uint8Array, at: number): number {
  const { length } = text;
  if (length <= MAX_SHORT_TEXT) {
    let i = 0;
    for (let code; i < length; i++) {
      if ((code = text.charCodeAt(i)) > 127) break;
      into[at + i] = code;
    }
    if (i === length) return at + length;
  }
  const free = at === 0 ? into : into.subarray(at);
  return at + encoder.encodeInto(text, free).written;
}

/** Most answers are short, and a turn of the event loop may answer thousands. */
const SMALL_SIZE = 1_024;
const MAX_SMALL = 4_096;
const LARGE_SIZE = 16_384;
const MAX_LARGE = 64;
const small: Uint8Array[] = [];
const large: Uint8Array[] = [];

/** Takes a buffer of at least `size` bytes, with arbitrary content. */
function takeBuffer(size: number): Uint8Array {
  if (size <= SMALL_SIZE) return small.pop() ?? new Uint8Array(SMALL_SIZE);
  if (size > LARGE_SIZE) return new Uint8Array(size);
  return large.pop() ?? new Uint8Array(LARGE_SIZE);
}

/** Returns a buffer. Nothing else may refer to it. */
export function giveBack(buffer: Uint8Array): void {
  const { length } = buffer;
  if (length === SMALL_SIZE && small.length < MAX_SMALL) small.push(buffer);
  if (length === LARGE_SIZE && large.length < MAX_LARGE) large.push(buffer);
}

/** Moves the first `held` bytes of a buffer into one of at least `size`. */
export function enlarge(
  buffer: Uint8Array,
  held: number,
  size: number,
): Uint8Array {
  const larger = takeBuffer(Math.max(size, buffer.length * 2));
  if (held > 0) larger.set(buffer.subarray(0, held));
  giveBack(buffer);
  return larger;
}
