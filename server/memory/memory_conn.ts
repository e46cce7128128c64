/**
 * An end of a connection in memory.
 *
 * @module
 */

import { assertInteger } from "../../workers/base/check.ts";
import { readableOf, writableOf } from "../../workers/_conn_streams.ts";
import { Pipe } from "./pipe.ts";

const { BadResource, BrokenPipe, ConnectionReset, Interrupted } = Deno.errors;

/** The faults of a connection. */
export interface LineOptions {
  chunkSize?: number;
  splitAt?: number;
  resetAfterReading?: number;
  resetAfterWriting?: number;
  windowSize?: number;
}

/** The least value of each option. */
export const LEAST: Readonly<Record<keyof LineOptions, number>> = {
  chunkSize: 1,
  splitAt: 0,
  resetAfterReading: 0,
  resetAfterWriting: 0,
  windowSize: 1,
};

/** The common state of both ends. */
export interface Line {
  readonly toHandler: Pipe;
  readonly toClient: Pipe;
  readonly serverAddress: Deno.Addr;
  readonly clientAddress: Deno.Addr;
  isReset: boolean;
}

/**
 * Makes a connection; returns the handler's end, and a function that makes the
 * other.
 */
export function makeLine(
  options: LineOptions,
  serverAddress: Deno.Addr,
  clientAddress: Deno.Addr,
): [MemoryConn, Line] {
  for (const [name, least] of Object.entries(LEAST)) {
    const value = options[name as keyof LineOptions] ?? Infinity;
    if (value !== Infinity) assertInteger(name, value, least);
  }
  const { chunkSize, splitAt, windowSize } = options;
  const { resetAfterReading, resetAfterWriting } = options;
  const line: Line = {
    toHandler: new Pipe({ chunkSize, splitAt, resetAt: resetAfterReading }),
    toClient: new Pipe({ windowSize, resetAt: resetAfterWriting }),
    serverAddress,
    clientAddress,
    isReset: false,
  };
  return [new MemoryConn(line, "handler"), line];
}

/** A `Deno.Conn` without a socket. It fails like one with a socket. */
export class MemoryConn implements Deno.TcpConn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  #line: Line;
  #incoming: Pipe;
  #outgoing: Pipe;
  #closed = false;
  #ended = false;
  #readable: Deno.Conn["readable"] | null = null;
  #writable: Deno.Conn["writable"] | null = null;

  constructor(line: Line, end: "handler" | "client") {
    const { toHandler, toClient, serverAddress, clientAddress } = line;
    const isHandlers = end === "handler";
    this.#line = line;
    this.#incoming = isHandlers ? toHandler : toClient;
    this.#outgoing = isHandlers ? toClient : toHandler;
    const [local, remote] = isHandlers
      ? [serverAddress, clientAddress]
      : [clientAddress, serverAddress];
    this.localAddr = local as Deno.NetAddr;
    this.remoteAddr = remote as Deno.NetAddr;
  }

  /**
   * Reads available bytes.
   *
   * @param into Where the bytes go.
   * @returns The number of bytes, or `null` at the end.
   */
  async read(into: Uint8Array): Promise<number | null> {
    this.#checkOpen();
    if (into.length === 0) return 0;
    for (;;) {
      if (this.#incoming.isAtReset) this.reset();
      this.#checkLine();
      const count = this.#incoming.take(into);
      if (count !== undefined) return count;
      await this.#incoming.changed();
    }
  }

  /**
   * Writes as much as the other end has room for, one byte at least.
   *
   * @param bytes The bytes.
   * @returns The number of bytes written.
   */
  async write(bytes: Uint8Array): Promise<number> {
    this.#checkOpen();
    for (;;) {
      this.#checkLine();
      if (this.#ended || this.#outgoing.deaf) {
        throw new BrokenPipe("Broken pipe");
      }
      const count = this.#outgoing.put(bytes);
      if (count > 0 || bytes.length === 0) return count;
      await this.#outgoing.changed();
    }
  }

  /** Ends the connection in this direction. */
  // deno-lint-ignore require-await -- errors must reject
  async closeWrite(): Promise<void> {
    this.#checkOpen();
    this.#ended = true;
    this.#outgoing.end();
  }

  /** Closes this end. */
  close(): void {
    this.#checkOpen();
    this[Symbol.dispose]();
  }

  /** Closes this end, unless it is closed. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outgoing.end();
    this.#incoming.refuse();
    this.#outgoing.wake();
  }

  /** Resets the connection: reads and writes of both ends fail. */
  reset(): void {
    this.#line.isReset = true;
    this.#incoming.wake();
    this.#outgoing.wake();
  }

  /**
   * The received bytes as a stream.
   *
   * @returns The stream.
   */
  get readable(): Deno.Conn["readable"] {
    return this.#readable ??= readableOf(this);
  }

  /**
   * The sent bytes as a stream.
   *
   * @returns The stream.
   */
  get writable(): Deno.Conn["writable"] {
    return this.#writable ??= writableOf(this);
  }

  /** Does nothing: bytes in memory never wait for earlier ones. */
  setNoDelay(): void {}

  /** Does nothing. */
  setKeepAlive(): void {}

  /** Does nothing: memory keeps no program alive. */
  ref(): void {}

  /** Does nothing. */
  unref(): void {}

  #checkOpen(): void {
    if (this.#closed) throw new BadResource("Bad resource ID");
  }

  #checkLine(): void {
    if (this.#closed) throw new Interrupted("Operation canceled");
    if (this.#line.isReset) {
      throw new ConnectionReset("Connection reset by peer");
    }
  }
}
