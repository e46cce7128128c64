import { ByteWriter } from "../../codec/byte_writer.ts";
import { decode, encodeInto } from "../../codec/codec.ts";

/** Room for what is read at once, and what is gathered for one write. */
const BUFFER_SIZE = 128 * 1024;
/** A buffer that a rush made larger than this is given back. */
const MAX_KEPT = 4 * BUFFER_SIZE;
/** Before each frame: its kind, one byte, and its length, four. */
const HEADER_SIZE = 5;

/** The kind of a frame with a message. */
const MESSAGE = 0;
/** The kind of a frame with a message of the runner itself. */
const CONTROL = 1;

/** Whom a {@linkcode Channel} tells. */
export interface ChannelListener {
  /** Called with each message, in order. */
  message(message: unknown): void;
  /** Called with each message of the runner itself, in order. */
  control(message: unknown): void;
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
  #attached: PromiseWithResolvers<void> = Promise.withResolvers();
  #referenced = true;
  #closed = false;

  /**
   * Constructs a channel, which keeps what is sent until `run()`.
   *
   * @param listener Whom to tell.
   */
  constructor(listener: ChannelListener) {
    this.#listener = listener;
  }

  /** How many bytes wait to be sent. */
  get backlog(): number {
    return this.#gathered.length + this.#sending;
  }

  /**
   * Sends a message.
   *
   * @param message What is to cross, copied before this returns.
   */
  post(message: unknown): void {
    if (!this.#closed) this.#append(MESSAGE, message);
  }

  /**
   * Sends a message of the runner itself.
   *
   * @param message What is to cross, copied before this returns.
   */
  control(message: unknown): void {
    if (!this.#closed) this.#append(CONTROL, message);
  }

  /** Settles when everything sent has been handed to the system. */
  async flushed(): Promise<void> {
    if (this.#gathered.length > 0) await this.#attached.promise;
    while (this.#writing !== null) await this.#writing;
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

  /** Closes the connection; what has not been sent is lost. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gathered.length = 0;
    this.#attached.resolve();
    try {
      this.#conn?.close();
    } catch {
      // Closed already, by its other end's reset.
    }
  }

  /**
   * Reads until the other end closes; never rejects for what that does.
   *
   * @param conn The connection, the channel's own from now on.
   */
  async run(conn: ChannelConn): Promise<void> {
    this.#conn = conn;
    if (!this.#referenced) conn.unref();
    if (this.#closed) conn.close();
    else if (this.#gathered.length > 0) this.#writing = this.#write(conn);
    this.#attached.resolve();
    let buffer = new Uint8Array(BUFFER_SIZE);
    let length = 0;
    while (!this.#closed) {
      let count: number | null;
      try {
        count = await conn.read(buffer.subarray(length));
      } catch {
        break;
      }
      if (count === null) break;
      length += count;
      const used = this.#deliver(buffer, length);
      const needed = this.#needed(buffer, used, length);
      length -= used;
      if (needed > buffer.length) {
        const larger = new Uint8Array(needed);
        larger.set(buffer.subarray(used, used + length));
        buffer = larger;
      } else if (buffer.length > BUFFER_SIZE && needed <= BUFFER_SIZE) {
        const smaller = new Uint8Array(Math.max(BUFFER_SIZE, length));
        smaller.set(buffer.subarray(used, used + length));
        buffer = smaller;
      } else if (used > 0) {
        buffer.copyWithin(0, used, used + length);
      }
    }
    this.close();
    this.#listener.end();
  }

  /** How long the frame that begins at `start` is, or might be. */
  #needed(buffer: Uint8Array, start: number, end: number): number {
    return end - start < HEADER_SIZE
      ? HEADER_SIZE
      : HEADER_SIZE + readLength(buffer, start);
  }

  /** Delivers the whole frames of a buffer, and tells where they end. */
  #deliver(buffer: Uint8Array<ArrayBuffer>, length: number): number {
    let start = 0;
    while (length - start >= HEADER_SIZE && !this.#closed) {
      const from = start + HEADER_SIZE;
      const to = from + readLength(buffer, start);
      if (to > length) break;
      try {
        const message = decode(buffer, from, to);
        if (buffer[start] === MESSAGE) this.#listener.message(message);
        else this.#listener.control(message);
      } catch (error) {
        // As if an event's listener had thrown it: the next one is called.
        reportError(error);
      }
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
    writer.setInt32(start + 1, writer.length - start - HEADER_SIZE);
    if (this.#conn !== null) this.#writing ??= this.#write(this.#conn);
  }

  async #write(conn: ChannelConn): Promise<void> {
    // Let the rest of this tick's messages join the first.
    await undefined;
    while (this.#gathered.length > 0) {
      const writer = this.#gathered;
      this.#gathered = this.#spare;
      this.#spare = writer;
      try {
        await this.#writeAll(conn, writer.bytes.subarray(0, writer.length));
      } catch {
        // The other end is gone; the reading side says so.
        this.#gathered.length = 0;
      }
      this.#sending = 0;
      writer.length = 0;
      if (writer.bytes.length > MAX_KEPT) {
        writer.bytes = new Uint8Array(BUFFER_SIZE);
      }
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

function readLength(buffer: Uint8Array, start: number): number {
  return buffer[start + 1]! + buffer[start + 2]! * 0x100 +
    buffer[start + 3]! * 0x10000 + buffer[start + 4]! * 0x1000000;
}
