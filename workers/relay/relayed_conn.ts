/**
 * A relayed connection in the runner.
 *
 * @module
 */

import { readableOf, writableOf } from "../_conn_streams.ts";
import { ByteQueue } from "../base/bytes.ts";
import { progressed } from "../base/progress.ts";
import {
  ConnOption,
  type ErrorFrame,
  fromErrorFrame,
  Op,
  type Opcode,
  readJson,
  readNumber,
} from "./frames.ts";
import { ReceiveWindow, type RelayLink, SendWindow } from "./flow.ts";
import type { Slices } from "./slices.ts";

/** After this many reads without a wait, one read yields. */
const MOST_READS_IN_TURN = 1_024;

interface Reader {
  into: Uint8Array;
  resolve: (count: number | null) => void;
  reject: (error: Error) => void;
}

/** A write that waits; `null` in place of bytes ends this side. */
interface Writer {
  bytes: Uint8Array | null;
  resolve: (count: number) => void;
  reject: (error: Error) => void;
}

/** The facts about a connection that its runner gets. */
export interface ConnOpening {
  localAddr: Deno.Addr;
  remoteAddr: Deno.Addr;
  /** How long it was open by then, in ms: clocks differ. */
  age: number;
  /** The values of its PROXY header. */
  proxyInfo?: object;
  /** What its TLS handshake has come to. */
  handshakeInfo?: Deno.TlsHandshakeInfo;
}

/** A `Deno.Conn` whose socket belongs to another thread or process. */
export class RelayedConn implements Deno.Conn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** How long it was open when it came here, in milliseconds. */
  readonly age: number;
  /** The values of its PROXY header, for its handler. */
  readonly proxyInfo: object | undefined;
  /** Returns what the TLS handshake, which is over, has come to (TLS). */
  readonly handshake?: () => Promise<Deno.TlsHandshakeInfo>;
  #id: number;
  #link: RelayLink;
  #slices: Slices;
  #sending: SendWindow;
  #receiving: ReceiveWindow;
  #received: ByteQueue | null = null;
  #readsInTurn = 0;
  /** The number of bytes that reads have got. */
  #taken = 0;
  #ended = false;
  #isStopped = false;
  #closed = false;
  #writeClosed = false;
  #lost: Error | null = null;
  #reader: Reader | null = null;
  /** What waits for room in the window, in the order of the calls. */
  #writers: Writer[] | null = null;
  #readable: Deno.Conn["readable"] | null = null;
  #writable: Deno.Conn["writable"] | null = null;

  constructor(
    id: number,
    link: RelayLink,
    slices: Slices,
    opening: ConnOpening,
  ) {
    this.#id = id;
    this.#link = link;
    this.#slices = slices;
    this.#sending = new SendWindow(link);
    this.#receiving = new ReceiveWindow(link, id);
    this.localAddr = opening.localAddr;
    this.remoteAddr = opening.remoteAddr;
    this.age = opening.age;
    this.proxyInfo = opening.proxyInfo;
    const { handshakeInfo } = opening;
    if (handshakeInfo !== undefined) {
      this.handshake = () => Promise.resolve(handshakeInfo);
    }
  }

  // Not async, like write(): that would cost three more microtasks per call
  read(into: Uint8Array): Promise<number | null> {
    progressed();
    if (this.#closed) return Promise.reject(badResource());
    if (into.length === 0) return Promise.resolve(0);
    if (this.#reader !== null) {
      return Promise.reject(new Deno.errors.Busy("Already reading"));
    }
    if (this.#hasReceived) {
      if (++this.#readsInTurn < MOST_READS_IN_TURN) {
        return Promise.resolve(this.#take(into));
      }
      // A loop of small reads must not keep the event loop from turning
      setImmediate(() => this.#readInNextTurn());
    } else if (this.#lost !== null) return Promise.reject(this.#lost);
    else if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { into, resolve, reject };
    });
  }

  write(bytes: Uint8Array): Promise<number> {
    progressed();
    if (this.#closed) return Promise.reject(badResource());
    if (this.#lost !== null) return Promise.reject(this.#lost);
    if (this.#writeClosed) {
      return Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
    }
    if (bytes.length === 0) return Promise.resolve(0);
    return this.#writers === null && this.#sending.room > 0
      ? Promise.resolve(this.#send(bytes))
      : this.#wait(bytes);
  }

  close(): void {
    if (this.#closed) throw badResource();
    this[Symbol.dispose]();
  }

  async closeWrite(): Promise<void> {
    if (this.#closed) throw badResource();
    if (this.#lost !== null) throw this.#lost;
    if (this.#writeClosed) return;
    this.#writeClosed = true;
    if (this.#writers === null) this.#link.send(Op.end, this.#id);
    else await this.#wait(null);
  }

  get readable(): Deno.Conn["readable"] {
    return this.#readable ??= readableOf(this);
  }

  get writable(): Deno.Conn["writable"] {
    return this.#writable ??= writableOf(this);
  }

  /** Sends small writes without waiting for earlier ones (TCP). */
  setNoDelay(noDelay = true): void {
    this.#setOption(ConnOption.noDelay, noDelay);
  }

  /** Makes the system probe whether the client is still there (TCP). */
  setKeepAlive(keepAlive = true): void {
    this.#setOption(ConnOption.keepAlive, keepAlive);
  }

  /** Does nothing: the runner keeps its program alive. */
  ref(): void {}

  /** Does nothing. */
  unref(): void {}

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#received = null;
    this.#link.send(Op.close, this.#id);
    if (this.#reader === null && this.#writers === null) return;
    // Made only when needed: its stack takes a tenth of a short connection
    this.#fail(new Deno.errors.Interrupted("Operation canceled"));
  }

  /** Whether the end of its bytes came from the server. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /**
   * Asks the end that owns the socket to read no more. The answer is the end of
   * the bytes, or those that were on their way.
   */
  stopReading(): void {
    this.#link.sendNumber(Op.stop, this.#id, this.#taken);
  }

  /** Leaves the rest, and the close, to the end that owns the socket. */
  leave(): void {
    if (this.#closed) return;
    const ended = this.#writeClosed && this.#writers?.at(-1)?.bytes !== null;
    if (!ended && this.#lost === null) this.#link.send(Op.end, this.#id);
    this.#closed = true;
    this.#received = null;
    // A write that waits, after a time-out for example, must not follow the end
    this.#sending.leave();
    this.#writers = null;
  }

  /** The handler has ended. */
  end(): void {
    this[Symbol.dispose]();
  }

  /** Takes a frame from the other end. */
  receive(op: Opcode, bytes: Uint8Array): void {
    switch (op) {
      case Op.data:
        if (!this.#closed) this.#arrived(bytes);
        return;
      case Op.end:
        this.#ended = true;
        this.#isStopped = bytes.length > 0;
        if (!this.#hasReceived) this.#goOn(null);
        return;
      case Op.credit:
        return this.#sending.credit(readNumber(bytes));
      case Op.lost:
        if (this.#closed) return;
        this.#lost = fromErrorFrame(readJson(bytes) as ErrorFrame);
        return this.#fail(this.#lost);
    }
  }

  #arrived(bytes: Uint8Array): void {
    this.#receiving.take(bytes.length);
    if (this.#reader === null || this.#hasReceived) return this.#keep(bytes);
    const { into } = this.#reader;
    // The usual case: nothing waits, so nothing is copied twice
    const count = Math.min(bytes.length, into.length);
    into.set(count < bytes.length ? bytes.subarray(0, count) : bytes);
    if (count < bytes.length) this.#keep(bytes.subarray(count));
    this.#receiving.release(count);
    this.#goOn(count);
  }

  /** Ends the pending read, in a later turn if this one has had its share. */
  #goOn(count: number | null): void {
    const reader = this.#endRead();
    if (reader === null) return;
    if (this.#slices.enter()) this.#resolve(reader, count);
    else this.#slices.wait(() => this.#resolve(reader, count));
  }

  #resolve(reader: Reader, count: number | null): void {
    this.#taken = this.#taken + (count ?? 0) >>> 0;
    reader.resolve(count);
  }

  get #hasReceived(): boolean {
    return this.#received !== null && this.#received.length > 0;
  }

  #keep(bytes: Uint8Array): void {
    (this.#received ??= new ByteQueue()).push(bytes);
  }

  #readInNextTurn(): void {
    this.#readsInTurn = 0;
    if (this.#reader === null || !this.#hasReceived) return;
    const reader = this.#endRead()!;
    reader.resolve(this.#take(reader.into));
  }

  #take(into: Uint8Array): number {
    const count = this.#received!.read(into);
    this.#taken = this.#taken + count >>> 0;
    this.#receiving.release(count);
    return count;
  }

  #send(bytes: Uint8Array): number {
    const count = Math.min(this.#sending.room, bytes.length);
    this.#link.send(
      Op.data,
      this.#id,
      count < bytes.length ? bytes.subarray(0, count) : bytes,
    );
    this.#sending.take(count);
    return count;
  }

  /** Writes, or ends this side, when there is room and after what waits. */
  #wait(bytes: Uint8Array | null): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#writers === null) {
        this.#writers = [];
        this.#sending.whenRoom(() => this.#writeOn());
      }
      this.#writers.push({ bytes, resolve, reject });
    });
  }

  #writeOn(): void {
    const writers = this.#writers!;
    while (writers.length > 0) {
      const { bytes, resolve } = writers[0]!;
      if (bytes === null) this.#link.send(Op.end, this.#id);
      else if (this.#sending.room <= 0) {
        return this.#sending.whenRoom(() => this.#writeOn());
      }
      writers.shift();
      resolve(bytes === null ? 0 : this.#send(bytes));
    }
    this.#writers = null;
  }

  #setOption(option: number, enabled: boolean): void {
    if (this.#closed) throw badResource();
    const bytes = Uint8Array.of(option, enabled ? 1 : 0);
    this.#link.send(Op.option, this.#id, bytes);
  }

  #endRead(): Reader | null {
    const reader = this.#reader;
    this.#reader = null;
    return reader;
  }

  #fail(error: Error): void {
    this.#endRead()?.reject(error);
    this.#sending.leave();
    const writers = this.#writers ?? [];
    this.#writers = null;
    for (const { reject } of writers) reject(error);
  }
}

function badResource(): Error {
  return new Deno.errors.BadResource("Bad resource ID");
}
