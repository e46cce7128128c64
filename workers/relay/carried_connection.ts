/**
 * A connection that is carried to a runner: the end that holds the socket.
 *
 * @module
 */

import { ByteQueue } from "./byte_queue.ts";
import { BLOCK_SIZE, copyToBlock, giveBack } from "./blocks.ts";
import { type Carried, type Carrier, outOfOrder } from "./carried.ts";
import { notBegun } from "./errors.ts";
import {
  ConnOption,
  type ErrorFrame,
  Op,
  type Opcode,
  readNumber,
  readOption,
  toErrorFrame,
} from "./frames.ts";
import { ReceiveWindow, SendWindow } from "./window.ts";

const READ_SIZE = 16_384;

/** How far the runner has come with a connection. */
type Stage = "waiting" | "begun" | "ended" | "closed" | "done" | "failed";

/**
 * Carries a connection to a runner and, if that one ends before it began with
 * it, to another. What a handler wrote and what has come here belongs to the
 * connection: it is delivered whatever becomes of the runner.
 */
export class CarriedConnection implements Carried {
  readonly conn: Deno.Conn;
  #carrier: Carrier | null = null;
  #stage: Stage = "waiting";
  #sending!: SendWindow;
  #receiving!: ReceiveWindow;
  /** What the client sent before the runner began, to be sent again. */
  #kept: ByteQueue | null = new ByteQueue();
  #isHandedBack = false;
  #canRead: (() => void) | null = null;
  #clientEnded = false;
  #toWrite = new ByteQueue();
  #writing: Uint8Array | null = null;
  #isBlock = false;
  #closingWrite = false;
  #halfClosed = false;
  /** Why nothing can be read or written any more. */
  #lost: ErrorFrame | null = null;
  #undelivered: Error | null = null;
  #failure: Error | null = null;

  constructor(conn: Deno.Conn) {
    this.conn = conn;
  }

  /** Begins to be carried, by one hub after the other. */
  attach(carrier: Carrier): void {
    const isFirst = !this.#isHandedBack;
    this.#carrier = carrier;
    this.#sending = new SendWindow(carrier.budget);
    this.#receiving = new ReceiveWindow(carrier.intake, carrier.id);
    const { localAddr, remoteAddr } = this.conn;
    carrier.link.sendJson(Op.open, carrier.id, { localAddr, remoteAddr });
    if (isFirst) return void this.#readAll();
    for (const bytes of this.#kept!.peek()) this.#send(bytes);
    if (this.#clientEnded) carrier.link.send(Op.end, carrier.id);
    if (this.#lost !== null) this.#tellLoss();
    this.#resumeReading();
  }

  receive(op: Opcode, bytes: Uint8Array): void {
    this.#step(op);
    if (op === Op.data) {
      this.#receiving.take(bytes.length);
      if (this.#lost !== null) this.#receiving.release(bytes.length);
      else if (this.#isWriting) this.#toWrite.push(bytes);
      else this.#write(this.#ownCopy(bytes));
    } else if (op === Op.credit) {
      this.#sending.credit(readNumber(bytes));
    } else if (op === Op.option) {
      this.#setOption(readOption(bytes));
    } else if (op === Op.done) {
      this.#receiving.detach();
      this.#sending.clear();
      this.#resumeReading();
    }
    if (!this.#isWriting) this.#advance();
  }

  fail(error: Error): void {
    const carrier = this.#carrier!;
    this.#sending.clear();
    if (this.#stage === "waiting") {
      this.#isHandedBack = true;
      this.#carrier = null;
      handedBack.set(this.conn, this);
      return carrier.settle(notBegun(error));
    }
    if (this.#stage !== "done") {
      this.#failure = error;
      this.#stage = "failed";
    }
    this.#resumeReading();
    if (!this.#isWriting) this.#advance();
  }

  cut(error: Error): void {
    this.#close();
    this.#settle(this.#failure ?? error);
  }

  get #isWriting(): boolean {
    return this.#writing !== null || this.#closingWrite;
  }

  /** Checks that a frame may come now, and goes on to the next stage. */
  #step(op: Opcode): void {
    const stage = this.#stage;
    const isOpen = stage === "begun" || stage === "ended";
    if (op === Op.began && stage === "waiting") {
      this.#stage = "begun";
      this.#kept = null;
    } else if (op === Op.end && stage === "begun") this.#stage = "ended";
    else if (op === Op.close && isOpen) this.#stage = "closed";
    else if (op === Op.done && (isOpen || stage === "closed")) {
      this.#stage = "done";
    } else if (
      !(op === Op.data && stage === "begun") &&
      !((op === Op.credit || op === Op.option) && isOpen)
    ) throw outOfOrder(op);
  }

  async #readAll(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        if (this.#isReadingOver()) return;
        const room = this.#carrier === null ? 0 : this.#sending.room;
        if (room <= 0) {
          await this.#untilRoom();
          continue;
        }
        const count = await this.conn.read(
          room < READ_SIZE ? buffer.subarray(0, room) : buffer,
        );
        if (this.#isReadingOver()) return;
        if (count === null) {
          this.#clientEnded = true;
          return this.#carrier?.link.send(Op.end, this.#carrier.id);
        }
        const bytes = buffer.subarray(0, count);
        this.#kept?.push(bytes);
        if (this.#carrier !== null) this.#send(bytes);
      }
    } catch (error) {
      this.#lose(error);
    }
  }

  #send(bytes: Uint8Array): void {
    const { link, id } = this.#carrier!;
    link.send(Op.data, id, bytes);
    this.#sending.take(bytes.length);
  }

  #isReadingOver(): boolean {
    const stage = this.#stage;
    return stage === "closed" || stage === "done" || stage === "failed" ||
      this.#lost !== null;
  }

  #untilRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#canRead = resolve;
      if (this.#carrier !== null) {
        this.#sending.whenRoom(() => this.#resumeReading());
      }
    });
  }

  #resumeReading(): void {
    const canRead = this.#canRead;
    this.#canRead = null;
    canRead?.();
  }

  // With callbacks, not an async function: it is done for each message
  #write(bytes: Uint8Array): void {
    this.#writing = bytes;
    this.conn.write(bytes).then(this.#onWritten, this.#onWriteFailed);
  }

  /** The same bytes in memory that holds little more than them. */
  #ownCopy(bytes: Uint8Array): Uint8Array {
    if (bytes.length * 2 >= bytes.buffer.byteLength) return bytes;
    if (bytes.length > BLOCK_SIZE) return bytes.slice();
    this.#isBlock = true;
    return copyToBlock(bytes);
  }

  #onWritten = (count: number): void => {
    const bytes = this.#writing!;
    if (this.#lost === null) this.#receiving.release(count);
    if (count < bytes.length) return this.#write(bytes.subarray(count));
    if (this.#isBlock) giveBack(bytes);
    this.#isBlock = false;
    const next = this.#toWrite.shift();
    if (next !== null) return this.#write(next);
    this.#writing = null;
    this.#advance();
  };

  #onWriteFailed = (error: unknown): void => {
    this.#writing = null;
    this.#lose(error);
    this.#advance();
  };

  /** Does what comes when everything is written. */
  #advance(): void {
    const stage = this.#stage;
    if (stage === "ended") return this.#closeWrite();
    if (stage === "closed") return this.#close();
    if (stage === "done") {
      // The handler was not told of a loss that came after its end
      this.#settle(this.#undelivered);
    } else if (stage === "failed") this.#settle(this.#failure);
  }

  #closeWrite(): void {
    if (this.#halfClosed || this.#lost !== null) return;
    this.#halfClosed = true;
    this.#closingWrite = true;
    this.conn.closeWrite().catch((error) => this.#lose(error)).then(() => {
      this.#closingWrite = false;
      this.#advance();
    });
  }

  /** Nothing can be read or written any more. */
  #lose(error: unknown): void {
    if (this.#lost !== null) return;
    const isClosedHere = error instanceof Deno.errors.Interrupted ||
      error instanceof Deno.errors.BadResource;
    if (this.#stage === "done") {
      this.#undelivered = isClosedHere ? null : error as Error;
    }
    this.#lost = isClosedHere
      // What the handler then meets is not its fault
      ? { name: "ConnectionAborted", message: "The server closed it" }
      : toErrorFrame(error);
    this.#toWrite.clear();
    this.#receiving.clear();
    if (this.#carrier !== null) this.#tellLoss();
    this.#resumeReading();
  }

  #tellLoss(): void {
    const stage = this.#stage;
    if (stage !== "waiting" && stage !== "begun" && stage !== "ended") return;
    const { link, id } = this.#carrier!;
    link.sendJson(Op.lost, id, this.#lost);
  }

  #close(): void {
    this.#lose(new Deno.errors.Interrupted("Operation canceled"));
    try {
      this.conn.close();
    } catch {
      // The server has closed it already
    }
  }

  #settle(error: Error | null): void {
    const carrier = this.#carrier;
    this.#carrier = null;
    if (carrier === null) return;
    this.#receiving.clear();
    carrier.settle(error);
  }

  #setOption({ option, enabled }: ReturnType<typeof readOption>): void {
    const conn = this.conn as Partial<Deno.TcpConn>;
    try {
      if (option === ConnOption.noDelay) conn.setNoDelay?.(enabled);
      else conn.setKeepAlive?.(enabled);
    } catch {
      // The server has closed it already
    }
  }
}

/** Those that no runner has begun with, until they are carried again. */
const handedBack: WeakMap<Deno.Conn, CarriedConnection> = new WeakMap();

/** What carries a connection: a new one, or what was handed back. */
export function carriedOf(conn: Deno.Conn): CarriedConnection {
  const carried = handedBack.get(conn);
  if (carried === undefined) return new CarriedConnection(conn);
  handedBack.delete(conn);
  return carried;
}
