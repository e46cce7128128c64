/**
 * Sends bytes whole, one lot after the other.
 *
 * @module
 */

import { assertInteger } from "../../workers/_validate.ts";
import { sendHeld } from "../_internal.ts";
import { RequestTimeoutError } from "../errors.ts";
import { giveBack } from "./_buffer_pool.ts";
import { clockOf } from "./_clock.ts";
import { IdleTimer, MAX_TIMEOUT_MS } from "./_idle_timer.ts";

/** Where a {@linkcode BufferedWriter} puts its bytes, such as a `Deno.Conn`. */
export interface WriterSink {
  /**
   * Writes some of the bytes.
   *
   * @param bytes What to write; it may change once the promise has settled.
   * @returns How many were written.
   */
  write(bytes: Uint8Array): Promise<number>;
}

/** Sends to a sink, until it fails or takes nothing for too long. */
export class Sender {
  /** What ended the sending, and whether a caller knows. */
  failure: { error: unknown; told: boolean } | null = null;
  /** Has bytes that follow as soon as what is being sent is through. */
  onIdle: { [sendHeld](): void } | null = null;
  #sink: WriterSink;
  #timer: IdleTimer | null = null;
  #sending: Uint8Array | null = null;
  #lent: Uint8Array | null = null;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(sink: WriterSink, timeout: number | null) {
    this.#sink = sink;
    if (timeout === null) return;
    assertInteger("timeout", timeout, 1, MAX_TIMEOUT_MS);
    this.#timer = new IdleTimer(timeout, () => this.#timeOut(), clockOf(sink));
  }

  /** Whether bytes are being sent. */
  get isBusy(): boolean {
    return this.#sending !== null;
  }

  /** Sends bytes while not busy; gives the buffer that they lie in back. */
  send(bytes: Uint8Array, lent: Uint8Array | null = null): void {
    this.#lent = lent;
    this.#send(bytes);
  }

  /** Settles when nothing is being sent. */
  settled(): Promise<void> {
    if (this.#sending === null) return Promise.resolve();
    return (this.#idle ??= Promise.withResolvers()).promise;
  }

  /** Throws what ended the sending. */
  check(): void {
    if (this.failure !== null) throw this.tell();
  }

  /** What ended the sending, for a caller that passes it on. */
  tell(): unknown {
    this.failure!.told = true;
    return this.failure!.error;
  }

  /** Ends the sending. */
  fail(error: unknown): void {
    this.#onFailure(error);
  }

  /** Lets go of the timer. */
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
    if (this.failure !== null) return; // the time was over before
    this.#timer?.end();
    const bytes = this.#sending!;
    if (count < bytes.length) return this.#send(bytes.subarray(count));
    if (this.#lent !== null) giveBack(this.#lent);
    this.#end();
  };

  #onFailure = (error: unknown): void => {
    if (this.failure !== null) return;
    // What follows bytes that were lost would be taken for something else
    this.failure = { error, told: false };
    this.#timer?.stop();
    this.#end();
  };

  #end(): void {
    this.#sending = this.#lent = null;
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
