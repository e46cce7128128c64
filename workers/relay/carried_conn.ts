/**
 * A relayed connection at the end that owns the socket.
 *
 * @module
 */

import { Ending } from "../base/progress.ts";
import { STALL_MS } from "../base/waits.ts";
import { BlockPool, ConnWriter } from "./conn_writer.ts";
import { ReceiveWindow, SendWindow } from "./flow.ts";
import {
  ConnOption,
  type ErrorFrame,
  notBegun,
  Op,
  type Opcode,
  readEnding,
  readNumber,
  readOption,
  toErrorFrame,
} from "./frames.ts";
import { type Carried, type Carrier, outOfOrder } from "./packets.ts";
import type { ConnOpening } from "./relayed_conn.ts";

/** The buffer of an idle connection, and of one that fills it. */
const smallBlocks = new BlockPool(4_096);
const largeBlocks = new BlockPool(32_768);

/** The handler's error when the connection was closed here. */
const CLOSED_HERE: ErrorFrame = {
  name: "ConnectionAborted",
  message: "The server closed the connection",
};

/** How long a read that is pending gets what the system has received. */
const STOP_MS = 10;
/** After that it waits for one turn, and a few more while they are late. */
const LAST_LOOKS = 3;
/** Says that an end is the answer to a stop. */
const STOPPED = Uint8Array.of(1);

/** A connection, and what the steps before its request came to. */
type Entered =
  & Deno.Conn
  & Pick<ConnOpening, "proxyInfo" | "handshakeInfo">;

/** The stages of a connection in the runner. */
type Stage = "waiting" | "begun" | "ended" | "closed" | "done" | "failed";

/**
 * Carries a connection to a runner, and to another one if the first ends before
 * it begins. Bytes that have arrived here from a handler are delivered even if
 * the runner ends.
 */
export class CarriedConnection implements Carried {
  readonly conn: Deno.Conn;
  readonly #since = performance.now();
  #writer: ConnWriter;
  #carrier: Carrier | null = null;
  #stage: Stage = "waiting";
  #sending!: SendWindow;
  #receiving!: ReceiveWindow;
  /** The client's bytes before the runner began, to be sent again. */
  #kept: Uint8Array[] | null = [];
  #isHandedBack = false;
  #canRead: (() => void) | null = null;
  /** The number of bytes that the runner was sent. */
  #sent = 0;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  #clientEnded = false;
  #ending = 0;
  /** The error that ended reading and writing. */
  #lost: ErrorFrame | null = null;
  #undelivered: Error | null = null;
  #failure: Error | null = null;

  constructor(conn: Deno.Conn) {
    this.conn = conn;
    this.#writer = new ConnWriter(conn, this);
  }

  /** Begins to be carried, by one hub after the other. */
  attach(carrier: Carrier): void {
    const isFirst = !this.#isHandedBack;
    this.#carrier = carrier;
    this.#sent = 0;
    const { id, link } = carrier;
    this.#sending = new SendWindow(link);
    this.#receiving = new ReceiveWindow(link, id);
    const { localAddr, remoteAddr, proxyInfo, handshakeInfo } = this
      .conn as Entered;
    const age = Math.round(performance.now() - this.#since);
    const opening: ConnOpening = { localAddr, remoteAddr, age };
    if (proxyInfo !== undefined) opening.proxyInfo = proxyInfo;
    if (handshakeInfo !== undefined) opening.handshakeInfo = handshakeInfo;
    link.sendJson(Op.open, id, opening);
    if (isFirst) return void this.#readAll();
    for (const bytes of this.#kept!) this.#send(bytes);
    if (this.#clientEnded) link.send(Op.end, id);
    if (this.#lost !== null) this.#tellLoss();
    this.#resumeReading();
  }

  receive(op: Opcode, bytes: Uint8Array): boolean {
    this.#step(op);
    if (op === Op.data) {
      this.#receiving.take(bytes.length);
      if (this.#lost !== null) this.#receiving.release(bytes.length);
      else this.#writer.write(bytes);
    } else if (op === Op.credit) {
      this.#sending.credit(readNumber(bytes));
    } else if (op === Op.option) {
      this.#setOption(readOption(bytes));
    } else if (op === Op.stop) {
      this.#stopAfter(readNumber(bytes));
    } else if (op === Op.done) {
      this.#ending = readEnding(bytes);
      this.#receiving.detach();
    }
    // What is on its way to the handler is dropped there
    if (op === Op.close || op === Op.done) this.#sending.clear();
    if (op === Op.done) this.#resumeReading();
    return op === Op.done || op === Op.close || op === Op.end;
  }

  fail(error: Error, begun: boolean): boolean {
    const carrier = this.#carrier!;
    this.#sending.clear();
    if (this.#stage === "waiting" && !begun) {
      this.#isHandedBack = true;
      this.#carrier = null;
      handedBack.set(this.conn, this);
      carrier.settle(notBegun(error));
      return false;
    }
    const isLost = this.#stage !== "done";
    if (isLost) {
      this.#failure = error;
      this.#stage = "failed";
    }
    this.#resumeReading();
    this.advance();
    return isLost;
  }

  cut(error: Error): void {
    this.#close();
    this.#settle(this.#failure ?? error);
  }

  /** Checks that a frame may come now, and goes on to the next stage. */
  #step(op: Opcode): void {
    const stage = this.#stage;
    const isOpen = stage === "begun" || stage === "ended";
    if (op === Op.began && stage === "waiting") {
      this.#stage = "begun";
      this.#kept = null;
      this.#resumeReading();
    } else if (op === Op.end && stage === "begun") this.#stage = "ended";
    else if (op === Op.close && isOpen) this.#stage = "closed";
    else if (op === Op.done && (isOpen || stage === "closed")) {
      this.#stage = "done";
    } else if (
      !(op === Op.data && stage === "begun") &&
      !(op === Op.cut && (isOpen || stage === "closed")) &&
      !((op === Op.credit || op === Op.option || op === Op.stop) && isOpen)
    ) throw outOfOrder(op);
  }

  /** Reads no more, unless the runner has not read all so far, or more comes now. */
  #stopAfter(received: number, wait = STOP_MS, looks = LAST_LOOKS): void {
    clearTimeout(this.#stopTimer);
    const { id, link } = this.#carrier!;
    const due = performance.now() + wait;
    this.#stopTimer = setTimeout(() => {
      const isOver = this.#clientEnded || this.#isReadingOver();
      if (isOver || this.#sent !== received) return;
      if (wait > 0) return this.#stopAfter(received, 0);
      if (performance.now() > due + STALL_MS && looks > 0) {
        return this.#stopAfter(received, 0, looks - 1);
      }
      this.#isStopped = true;
      link.send(Op.end, id, STOPPED);
    }, wait);
  }

  async #readAll(): Promise<void> {
    let blocks = smallBlocks;
    let buffer = blocks.take();
    try {
      for (;;) {
        if (this.#isReadingOver()) return;
        const room = this.#room;
        if (room <= 0) {
          await this.#untilRoom();
          continue;
        }
        const count = await this.conn.read(
          room < buffer.length ? buffer.subarray(0, room) : buffer,
        );
        if (this.#isReadingOver()) return;
        if (count === null) {
          this.#clientEnded = true;
          return this.#carrier?.link.send(Op.end, this.#carrier.id);
        }
        const bytes = buffer.subarray(0, count);
        this.#kept?.push(bytes.slice());
        if (this.#carrier !== null) this.#send(bytes);
        if (count === smallBlocks.size) {
          blocks.giveBack(buffer);
          blocks = largeBlocks;
          buffer = blocks.take();
        }
      }
    } catch (error) {
      this.lose(error);
    } finally {
      blocks.giveBack(buffer);
    }
  }

  #send(bytes: Uint8Array): void {
    const { link, id } = this.#carrier!;
    link.send(Op.data, id, bytes);
    this.#sending.take(bytes.length);
    this.#sent = this.#sent + bytes.length >>> 0;
  }

  /** The number of bytes that may be read now; 0 or less if none. */
  get #room(): number {
    if (this.#carrier === null) return 0;
    // Until the runner begins, what is sent is kept as well
    return this.#kept === null ? this.#sending.room : this.#sending.minRoom;
  }

  #isReadingOver(): boolean {
    const stage = this.#stage;
    return stage === "closed" || stage === "done" || stage === "failed" ||
      this.#lost !== null || this.#isStopped;
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

  taken(count: number): void {
    if (this.#lost === null) this.#receiving.release(count);
  }

  /** Continues when everything is written. */
  advance(): void {
    if (!this.#writer.isIdle) return;
    const stage = this.#stage;
    if (stage === "ended" && this.#lost === null) this.#writer.closeWrite();
    else if (stage === "closed") this.#close();
    else if (stage === "done") this.#settle(this.#undelivered);
    else if (stage === "failed") this.#settle(this.#failure);
  }

  /** Reading or writing has failed. */
  lose(error: unknown): void {
    const isClosedHere = error instanceof Deno.errors.Interrupted ||
      error instanceof Deno.errors.BadResource;
    if (isClosedHere) return this.#letGo(CLOSED_HERE);
    // The handler can't learn of a loss after its end
    if (this.#stage === "done") this.#undelivered ??= error as Error;
    this.#letGo(toErrorFrame(error));
  }

  /** Nothing can be read or written any more. */
  #letGo(why: ErrorFrame): void {
    if (this.#lost !== null) return;
    this.#lost = why;
    this.#writer.clear();
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
    this.#letGo(CLOSED_HERE);
    try {
      this.conn.close();
    } catch {
      // The server has closed it already
    }
  }

  #settle(error: Error | null): void {
    const carrier = this.#carrier;
    this.#carrier = null;
    clearTimeout(this.#stopTimer);
    if (carrier === null) return;
    this.#receiving.clear();
    const isOver = this.#clientEnded || this.#lost !== null;
    carrier.settle(error, this.#ending + (isOver ? Ending.isOver : 0));
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

/** Connections that no runner has begun, until they are carried again. */
const handedBack: WeakMap<Deno.Conn, CarriedConnection> = new WeakMap();

/** Returns a connection's carrier: a new one, or the one handed back. */
export function carriedOf(conn: Deno.Conn): CarriedConnection {
  const carried = handedBack.get(conn);
  if (carried === undefined) return new CarriedConnection(conn);
  handedBack.delete(conn);
  return carried;
}
