/**
 * Framed messages over the socket between a process and its parent.
 *
 * @module
 */

import {
  ByteWriter,
  decode,
  decodeInSlices,
  encodeInto,
} from "../codec/codec.ts";
import {
  type DecodeLimits,
  readInt32,
  TAGS,
  TRUSTED,
} from "../codec/decode.ts";
import { refuseItem } from "../codec/share.ts";
import { ProtocolError } from "./dialect.ts";
import type { Revocation } from "../runner/launch.ts";

/** The size of the buffers for one read and one write. */
const BUFFER_SIZE = 128 * 1024;
/** A buffer larger than this is released after use. */
const MAX_KEPT = 4 * BUFFER_SIZE;
/**
 * A buffer grows with the bytes that have come, whatever length a frame claims.
 * From this size on it gets the whole length at once: to copy more takes long.
 */
const BELIEVED = 8 * 2 ** 20;
/** How many frames are delivered between two looks at the clock. */
const FRAMES_A_LOOK = 16;
/** How long the frames of one read hold the event loop, in milliseconds. */
const SLICE_MS = 5;
/** Before each frame: its kind, one byte, and its length, four. */
const HEADER_SIZE = 5;
/**
 * The system always takes this many bytes at once, in any number of frames, if
 * the other end has read everything before.
 */
const SURE_ROOM = 4_096;

/** The most that one message may be. */
export interface MessageLimits extends DecodeLimits {
  /** The size of its frame, which is kept in memory until it is complete. */
  bytes: number;
}

/** The longest message to any process, and from one that may do all. */
const MAX_FRAME = 2 ** 30;
/**
 * While more bytes wait for a process with permissions of its own, nothing is
 * read from it: it could ask on and on, and read no answer. If both ends did
 * this, they could wait for each other.
 */
const MAX_UNREAD = 2 ** 26;

/**
 * The limits by what sends the messages. A reader that keeps to the second and
 * third is done within a few milliseconds, or can pause meanwhile.
 */
export const MESSAGE_LIMITS = {
  trusted: { bytes: MAX_FRAME, ...TRUSTED },
  /** A process with permissions of its own. */
  confined: { bytes: MAX_FRAME, values: 2 ** 20, v8: 2 ** 16 },
  /** A replica. Its longest messages are packets and lists of clients. */
  replica: { bytes: 2 ** 23, values: 2 ** 17, v8: 2 ** 16 },
} as const satisfies Record<string, MessageLimits>;

/** One of {@linkcode MESSAGE_LIMITS}. */
export type Sender = keyof typeof MESSAGE_LIMITS;

/** The environment variable with a child's {@linkcode ChildLink}. */
export const LINK_VARIABLE = "DENO_SOCKETSERVER_LINK";

/** The address to which a child connects, and its first message. */
export interface ChildLink {
  /** The address. */
  connect: Deno.UnixConnectOptions | Deno.ConnectOptions;
  /** The secret that proves its identity. */
  secret: string;
  /** The kind of sender that it is, which limits its messages. */
  sender: Sender;
  /** The mark of the parent's locks and similar objects in a message. */
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
export type ChannelConn = Pick<
  Deno.TcpConn,
  "read" | "write" | "close" | "ref" | "unref"
>;

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
  #referenced = true;
  #closed = false;
  #incoming: MessageLimits;
  #outgoing: MessageLimits;
  #maxUnread: number;
  /** How many bytes were sent, and how many of them the other end has read. */
  #position = 0;
  #confirmed = 0;
  #received = 0;
  #reading: Promise<unknown> | null = null;

  /**
   * Constructs a channel. It keeps frames until `run()`.
   *
   * @param listener The listener.
   * @param from What sends the frames that come.
   * @param to What sends frames from here.
   */
  constructor(
    listener: ChannelListener,
    from: Sender = "trusted",
    to: Sender = "trusted",
  ) {
    this.#listener = listener;
    this.#incoming = MESSAGE_LIMITS[from];
    this.#outgoing = MESSAGE_LIMITS[to];
    this.#maxUnread = from === "trusted" ? Infinity : MAX_UNREAD;
  }

  /** The number of bytes that wait to be sent. */
  get backlog(): number {
    return this.#gathered.length + this.#sending;
  }

  /** The number of bytes that were sent so far. */
  get position(): number {
    return this.#position;
  }

  /** The promise that it awaits before it reads on; `null` while it delivers. */
  get reading(): Promise<unknown> | null {
    return this.#reading;
  }

  /** The number of bytes that came before the frame being delivered. */
  get received(): number {
    return this.#received;
  }

  /**
   * Sends a frame.
   *
   * @param kind Its kind.
   * @param value The value. It is copied before this returns.
   * @param now Whether to give it to the system before this returns, so that
   * nothing that happens here afterwards can delay or lose it.
   * @throws {RangeError} If it is too large.
   */
  send(kind: number, value?: unknown, now = false): void {
    if (this.#closed) return;
    this.#append(kind, value);
    if (this.#conn === null) return;
    if (now && this.#position - this.#confirmed <= SURE_ROOM) this.sendNow();
    else this.#writing ??= this.#write(this.#conn);
  }

  /**
   * The other end has read what was sent before.
   *
   * @param position What `position` was then.
   */
  confirm(position: number): void {
    this.#confirmed = Math.max(this.#confirmed, position);
  }

  /**
   * Hands what waits to the system before this returns, as far as it has room.
   * A write that is under way does not disturb: if there is room, it is done.
   */
  sendNow(): void {
    const writer = this.#gathered;
    if (this.#closed || this.#conn === null || writer.length === 0) return;
    const bytes = writer.bytes.slice(0, writer.length);
    writer.length = 0;
    this.#conn.write(bytes).then((count) => {
      if (count < bytes.length) this.close();
    }, () => {});
  }

  /** Settles when everything sent so far has been handed to the system. */
  async flushed(): Promise<void> {
    const waits = this.#gathered.length > 0;
    await this.#sent;
    // With the next write; not when all is away: there is always something more
    if (waits) await this.#sent;
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
    this.#gathered.length = 0;
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
      const isKnown = error instanceof RangeError ||
        error instanceof ProtocolError;
      const why = isKnown ? error.message : "A frame makes no sense";
      this.#listener.fail(new ProtocolError(why, { cause: error }));
    }
    this.close();
    this.#listener.end();
  }

  async #read(conn: ChannelConn): Promise<void> {
    let buffer = new Uint8Array(BUFFER_SIZE);
    let length = 0;
    while (!this.#closed) {
      while (this.backlog > this.#maxUnread && !this.#closed) {
        await (this.#reading = this.#sent);
      }
      const reading = conn.read(buffer.subarray(length)).catch(() => null);
      this.#reading = reading;
      const count = await reading;
      this.#reading = null;
      if (count === null) break;
      length += count;
      const used = await this.#deliver(buffer, length);
      length -= used;
      const size = this.#bufferSize(buffer, used, length);
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
   * The event loop turns meanwhile if they are many or long.
   */
  async #deliver(
    buffer: Uint8Array<ArrayBuffer>,
    length: number,
  ): Promise<number> {
    let start = 0;
    let count = 0;
    let until = Infinity;
    while (length - start >= HEADER_SIZE && !this.#closed) {
      const at = start + HEADER_SIZE;
      const size = this.#readLength(buffer, start);
      const end = at + size;
      if (end > length) break;
      const value = size > BUFFER_SIZE
        ? await decodeInSlices(buffer, at, end, this.#incoming)
        : decode(buffer, at, end, this.#incoming);
      if (this.#closed) break;
      this.#listener.receive(buffer[start]!, value);
      this.#received += end - start;
      start = end;
      if (++count % FRAMES_A_LOOK > 0) continue;
      const now = performance.now();
      if (until === Infinity) until = now + SLICE_MS;
      if (now < until) continue;
      await new Promise((resolve) => setImmediate(resolve));
      until = Infinity;
    }
    return start;
  }

  /** The size of a buffer for the frame that has begun to come in. */
  #bufferSize(buffer: Uint8Array, start: number, length: number): number {
    if (length < HEADER_SIZE) return BUFFER_SIZE;
    const needed = HEADER_SIZE + this.#readLength(buffer, start);
    if (needed <= BUFFER_SIZE || length >= BELIEVED) {
      return Math.max(needed, BUFFER_SIZE);
    }
    if (length < buffer.length && needed >= buffer.length) return buffer.length;
    return Math.min(needed, Math.max(MAX_KEPT, length * 2));
  }

  #readLength(buffer: Uint8Array, start: number): number {
    const length = readInt32(buffer, start + 1) >>> 0;
    const { bytes } = this.#incoming;
    if (length <= bytes) return length;
    throw new ProtocolError(
      `A frame of ${length} bytes is too long: at most ${bytes} may come`,
    );
  }

  #append(kind: number, message: unknown): void {
    const writer = this.#gathered;
    const start = writer.length;
    writer.reserve(HEADER_SIZE);
    writer.bytes[start] = kind;
    writer.length = start + HEADER_SIZE;
    try {
      const values = encodeInto(writer, message);
      const size = writer.length - start - HEADER_SIZE;
      const isV8 = values === 0 && isWrittenByV8(writer, start + HEADER_SIZE);
      assertWithin(this.#outgoing, size, values, isV8);
      writer.setInt32(start + 1, size);
    } catch (error) {
      writer.length = start;
      throw error;
    }
    this.#position += writer.length - start;
  }

  async #write(conn: ChannelConn): Promise<void> {
    // Let the rest of this tick's messages join the first.
    await undefined;
    while (this.#gathered.length > 0) {
      const writer = this.#gathered;
      this.#gathered = this.#spare;
      this.#spare = writer;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#sent = promise;
      try {
        await this.#writeAll(conn, writer.bytes.subarray(0, writer.length));
      } catch {
        // The other end is gone; the read reports it.
        this.#gathered.length = 0;
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

  async #writeAll(conn: ChannelConn, bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      this.#sending = bytes.length - sent;
      sent += await conn.write(sent === 0 ? bytes : bytes.subarray(sent));
    }
  }
}

function isWrittenByV8({ bytes }: ByteWriter, start: number): boolean {
  return bytes[start] === TAGS.v8 || bytes[start] === TAGS.v8Exceptions;
}

/**
 * Returns the limits of a call's arguments, which are read at once.
 *
 * @param sender What calls.
 * @returns The limits.
 */
export function limitsOfCalls(sender: Sender): MessageLimits {
  return MESSAGE_LIMITS[sender === "confined" ? "replica" : sender];
}

/**
 * Writes a call's arguments.
 *
 * @param args The arguments.
 * @param sender What calls.
 * @returns Their bytes.
 * @throws {RangeError} If they are over the limits.
 * @throws {TypeError} If they contain what no queue can hold.
 */
export function encodeArgs(
  args: unknown[],
  sender: Sender,
): Uint8Array {
  const writer = new ByteWriter(256);
  const values = encodeInto(writer, args, refuseItem);
  const { length } = writer;
  const isV8 = values === 0;
  assertWithin(limitsOfCalls(sender), length, values, isV8);
  // A part of a larger buffer would cross by V8, and with all of it
  return writer.bytes.slice(0, length);
}

/** Throws for a message that its reader would refuse. */
function assertWithin(
  limits: MessageLimits,
  bytes: number,
  values: number,
  isV8: boolean,
): void {
  const [size, most, what] = isV8 && bytes > limits.v8
    ? [bytes, limits.v8, "bytes with dates, maps or rings"]
    : values > limits.values
    ? [values, limits.values, "values"]
    : [bytes, limits.bytes, "bytes"];
  if (size <= most) return;
  throw new RangeError(
    `Cannot send a message of ${size} ${what} to or from a process: at ` +
      `most ${most} can cross at once${
        limits.v8 < TRUSTED.v8 ? " from one with permissions of its own" : ""
      }; send it in parts`,
  );
}
