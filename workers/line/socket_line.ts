/**
 * Framed messages over the socket between a process and its parent.
 *
 * @module
 */

import { ByteWriter, decode, encodeInto } from "../codec/codec.ts";
import { ProtocolError } from "./dialect.ts";
import type { Revocation } from "../runner/permissions.ts";

/** The size of the buffers for one read and one write. */
const BUFFER_SIZE = 128 * 1024;
/** A buffer larger than this is released after use. */
const MAX_KEPT = 4 * BUFFER_SIZE;
/** Before each frame: its kind, one byte, and its length, four. */
const HEADER_SIZE = 5;

/** The longest frame: it is kept in memory until it is complete. */
const MAX_FRAME = 2 ** 30;
/** More calls of shared objects by one child at once are refused. */
export const MAX_CALLS = 10_000;
/** So are larger arguments at once. */
export const MAX_BYTES = 64 * 2 ** 20;
/** Smaller arguments are bounded by the number of calls. */
const SMALL = 4_096;

/** The environment variable with a child's {@linkcode ChildLink}. */
export const LINK_VARIABLE = "DENO_SOCKETSERVER_LINK";

/** The address to which a child connects, and its first message. */
export interface ChildLink {
  /** The address. */
  connect: Deno.UnixConnectOptions | Deno.ConnectOptions;
  /** The secret that proves its identity. */
  secret: string;
  /** What marks the parent's locks and similar objects in a message. */
  proof: string;
  /** The permissions that it revokes after that. */
  revoke: Revocation[];
}

/** The listener of a {@linkcode Channel}. */
export interface ChannelListener {
  /** Called with each frame, in order. */
  receive(kind: number, value: unknown): void;
  /** Called once for an invalid frame. No more is read then. */
  fail(error: ProtocolError): void;
  /** Called once, when the other end has closed or is gone. */
  end(): void;
}

/** The parts of a connection that a {@linkcode Channel} uses. */
export interface ChannelConn {
  /** Reads what is there. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes. */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes both ways. */
  close(): void;
  /** Keeps the program alive. */
  ref(): void;
  /** Lets the program end. */
  unref(): void;
}

/**
 * Frames over a stream connection: what is posted while a write is under way
 * goes with the next one, and one read takes as many frames as have come.
 */
export class Channel {
  #conn: ChannelConn | null = null;
  #listener: ChannelListener;
  #gathered = new ByteWriter(BUFFER_SIZE);
  #spare = new ByteWriter(BUFFER_SIZE);
  #sending = 0;
  #writing: Promise<void> | null = null;
  /** Settles when the write under way is done. */
  #sent: Promise<void> = Promise.resolve();
  /** Of the write after it. */
  #next: PromiseWithResolvers<void> = Promise.withResolvers();
  #referenced = true;
  #closed = false;

  /**
   * Constructs a channel. It keeps frames until `run()`.
   *
   * @param listener The listener.
   */
  constructor(listener: ChannelListener) {
    this.#listener = listener;
  }

  /** The number of bytes that wait to be sent. */
  get backlog(): number {
    return this.#gathered.length + this.#sending;
  }

  /**
   * Sends a frame.
   *
   * @param kind Its kind.
   * @param value The value. It is copied before this returns.
   * @throws {RangeError} If it is too large.
   */
  send(kind: number, value?: unknown): void {
    if (!this.#closed) this.#append(kind, value);
  }

  /** Settles when everything sent so far has been handed to the system. */
  flushed(): Promise<void> {
    if (this.#writing === null) return Promise.resolve();
    // Not when all is away: under load there is always something more
    return this.#gathered.length > 0 ? this.#next.promise : this.#sent;
  }

  /** Makes what is read keep the program alive. */
  ref(): void {
    this.#referenced = true;
    this.#conn?.ref();
  }

  /** Lets the program end while nothing is read. */
  unref(): void {
    this.#referenced = false;
    this.#conn?.unref();
  }

  /** Closes the connection. Unsent frames are lost. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
    try {
      this.#conn?.close();
    } catch {
      // Closed already, by its other end's reset.
    }
  }

  /**
   * Reads until the other end closes. Never rejects because of the other end.
   *
   * @param conn The connection, the channel's own from now on.
   */
  async run(conn: ChannelConn): Promise<void> {
    this.#conn = conn;
    if (!this.#referenced) conn.unref();
    if (this.#closed) conn.close();
    else if (this.#gathered.length > 0) this.#writing = this.#write(conn);
    try {
      await this.#read(conn);
    } catch (error) {
      this.#listener.fail(
        new ProtocolError("A frame makes no sense", { cause: error }),
      );
    }
    this.close();
    this.#listener.end();
  }

  async #read(conn: ChannelConn): Promise<void> {
    let buffer = new Uint8Array(BUFFER_SIZE);
    let length = 0;
    while (!this.#closed) {
      const count = await conn.read(buffer.subarray(length)).catch(() => null);
      if (count === null) break;
      length += count;
      const used = this.#deliver(buffer, length);
      length -= used;
      const size = bufferSize(buffer, used, length);
      if (size === buffer.length) {
        if (used > 0) buffer.copyWithin(0, used, used + length);
      } else {
        const other = new Uint8Array(size);
        other.set(buffer.subarray(used, used + length));
        buffer = other;
      }
    }
  }

  /**
   * Delivers the complete frames of a buffer; returns the position after them.
   */
  #deliver(buffer: Uint8Array<ArrayBuffer>, length: number): number {
    let start = 0;
    while (length - start >= HEADER_SIZE && !this.#closed) {
      const from = start + HEADER_SIZE;
      const to = from + readLength(buffer, start);
      if (to > length) break;
      this.#listener.receive(buffer[start]!, decode(buffer, from, to));
      start = to;
    }
    return start;
  }

  #append(kind: number, message: unknown): void {
    const writer = this.#gathered;
    const start = writer.length;
    writer.reserve(HEADER_SIZE);
    writer.bytes[start] = kind;
    writer.length = start + HEADER_SIZE;
    try {
      encodeInto(writer, message);
    } catch (error) {
      writer.length = start;
      throw error;
    }
    const size = writer.length - start - HEADER_SIZE;
    if (size > MAX_FRAME) {
      writer.length = start;
      throw new RangeError(
        `Cannot send a message of ${size} bytes to or from a process: at ` +
          `most ${MAX_FRAME} can cross at once; send it in parts`,
      );
    }
    writer.setInt32(start + 1, size);
    if (this.#conn !== null) this.#writing ??= this.#write(this.#conn);
  }

  async #write(conn: ChannelConn): Promise<void> {
    // Let the rest of this tick's messages join the first.
    await undefined;
    while (this.#gathered.length > 0) {
      const writer = this.#gathered;
      this.#gathered = this.#spare;
      this.#spare = writer;
      const { promise, resolve } = this.#next;
      this.#sent = promise;
      this.#next = Promise.withResolvers();
      try {
        await this.#writeAll(conn, writer.bytes.subarray(0, writer.length));
      } catch {
        // The other end is gone; the read reports it.
        this.#drop();
      }
      this.#sending = 0;
      writer.length = 0;
      if (writer.bytes.length > MAX_KEPT) {
        writer.bytes = new Uint8Array(BUFFER_SIZE);
      }
      resolve();
    }
    this.#writing = null;
  }

  #drop(): void {
    this.#gathered.length = 0;
    this.#next.resolve();
  }

  async #writeAll(conn: ChannelConn, bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      this.#sending = bytes.length - sent;
      sent += await conn.write(sent === 0 ? bytes : bytes.subarray(sent));
    }
  }
}

/**
 * How much room the frame that has begun to come in takes. What its header
 * claims is believed as far as bytes have come.
 */
function bufferSize(
  buffer: Uint8Array,
  start: number,
  length: number,
): number {
  if (length < HEADER_SIZE) return BUFFER_SIZE;
  const needed = HEADER_SIZE + readLength(buffer, start);
  if (needed <= BUFFER_SIZE) return BUFFER_SIZE;
  if (length < buffer.length && needed >= buffer.length) return buffer.length;
  return Math.min(needed, Math.max(MAX_KEPT, length * 2));
}

function readLength(buffer: Uint8Array, start: number): number {
  const length = buffer[start + 1]! + buffer[start + 2]! * 0x100 +
    buffer[start + 3]! * 0x10000 + buffer[start + 4]! * 0x1000000;
  if (length > MAX_FRAME) {
    throw new ProtocolError(`A frame of ${length} bytes is too long`);
  }
  return length;
}

/**
 * Returns whether a call's arguments are too large beside those of others.
 *
 * @param bytes The size of its arguments.
 * @param calls The number of calls that are under way.
 * @param pending The size of their arguments.
 * @returns Whether they are.
 */
export function isTooLarge(
  bytes: number,
  calls: number,
  pending: number,
): boolean {
  return bytes > SMALL && calls > 0 && pending + bytes > MAX_BYTES;
}
