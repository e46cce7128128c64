/**
 * Writes to a sink, at the latest when the turn of the event loop ends.
 *
 * @module
 */

import { sendHeld } from "../_internal.ts";
import { RequestTimeoutError } from "../errors.ts";
import { giveBack } from "./_bytes.ts";
import { clockOf, IdleTimer } from "./_idle_timer.ts";

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
    this.#timer = new IdleTimer(timeout, () => this.#timeOut(), clockOf(sink));
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
    this.#onFailure(error);
  }

  /** Clears the timer. */
  release(): void {
    this.#timer?.stop();
  }

  #send(bytes: Uint8Array): void {
    this.#sending = bytes;
    this.#timer?.begin();
    try {
      this.#sink.write(bytes).then(this.#onSent, this.#onFailure);
    } catch (error) {
      this.#onFailure(error);
    }
  }

  #onSent = (count: number): void => {
    if (this.failure !== null) return; // it timed out before
    this.#timer?.end();
    const bytes = this.#sending!;
    if (count < bytes.length) return this.#send(bytes.subarray(count));
    if (this.#pooled !== null) giveBack(this.#pooled);
    this.#end();
  };

  #onFailure = (error: unknown): void => {
    if (this.failure !== null) return;
    // After lost bytes, the client would misread later ones
    this.failure = { error, reported: false };
    this.#timer?.stop();
    this.#end();
  };

  #end(): void {
    this.#sending = this.#pooled = null;
    const following = this.onIdle;
    this.onIdle = null;
    following?.[sendHeld]();
    if (this.#sending !== null) return;
    this.#idle?.resolve();
    this.#idle = null;
  }

  #timeOut(): void {
    const { timeout } = this.#timer!;
    this.#onFailure(
      new RequestTimeoutError(
        `Cannot write: the client took nothing for ${timeout} ms`,
        timeout,
      ),
    );
  }
}
