/**
 * One end of a relay: it sends frames, and limits the bytes in transit.
 *
 * A sender counts each frame until the receiver has passed it on and credits
 * it. One connection may have {@linkcode WINDOW} bytes in transit, all of a
 * runner together {@linkcode BUDGET}. Beyond that, each may still have
 * {@linkcode MIN_WINDOW}, so that stalled connections don't block others, plus
 * the bytes of a read that began before.
 *
 * @module
 */

import { ProtocolError } from "../line/dialect.ts";
import {
  BUDGET,
  type ErrorFrame,
  FRAME_COST,
  HEADER,
  MIN_WINDOW,
  NO_REQUEST,
  Op,
  type Opcode,
  SENT_SIZE,
  toJson,
  WINDOW,
} from "./frames.ts";

/** Credits are sent for this many bytes: half of the smallest window. */
const CREDIT_AFTER = MIN_WINDOW / 2;

const NOTHING = new Uint8Array(0);
const INITIAL_SIZE = 65_536;
/** More bytes than this are sent before the end of the turn. */
const FULL = 262_144;
/** Copying fewer bytes than this takes half the time of transferring them. */
const TRANSFERRED = 4_096;
/**
 * The first messages, this many, are sent in a microtask. For later ones
 * `setImmediate()` gathers more: its first use loads node's timers for 3 ms, too
 * long for a replica that serves one request.
 */
const SENT_AT_ONCE = 16;

/** Sends a message to the other end. */
export type Post = (message: Uint8Array, transfer?: Transferable[]) => void;

/**
 * Gathers the frames of one turn of the event loop into one message, and counts
 * the bytes of all requests.
 */
export class RelayLink {
  /** The number of bytes in transit to the other end. */
  inTransit = 0;
  /** The number of bytes from the other end that were not passed on. */
  held = 0;
  /** The windows that wait for room. */
  readonly waiting: Set<SendWindow> = new Set();
  #post: Post;
  #turned: () => void;
  #buffer = new Uint8Array(INITIAL_SIZE);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;
  #owed = 0;
  #scheduled = false;
  #closed = false;
  #sentAtOnce = 0;

  /**
   * Constructs it.
   *
   * @param post Sends a message to the other end.
   * @param turned Called at the end of turns in which something was sent.
   */
  constructor(post: Post, turned: () => void = () => {}) {
    this.#post = post;
    this.#turned = turned;
  }

  /** Sends nothing from now on: the other end is gone. */
  close(): void {
    this.#closed = true;
  }

  /** Counts bytes that have arrived at the other end. */
  credit(count: number): void {
    const wasUsedUp = this.inTransit >= BUDGET;
    this.inTransit -= count;
    if (!wasUsedUp || this.inTransit >= BUDGET) return;
    for (const window of [...this.waiting]) window.wake();
  }

  /** Credits bytes of requests that the other end is done with. */
  sendCredit(count: number): void {
    this.#owed += count;
    if (this.#owed < MIN_WINDOW) return;
    this.sendNumber(Op.credit, NO_REQUEST, this.#owed);
    this.#owed = 0;
  }

  /** Adds a frame, to be sent at the end of this turn. */
  send(op: Opcode, id: number, bytes: Uint8Array = NOTHING): void {
    const start = this.#begin(op, id, bytes.length);
    this.#buffer.set(bytes, start);
    this.#added();
  }

  /** Adds a frame that holds a number. */
  sendNumber(op: Opcode, id: number, value: number): void {
    const start = this.#begin(op, id, 4);
    this.#view.setUint32(start, value);
    this.#added();
  }

  /** Adds a frame that holds a value as JSON. */
  sendJson(op: Opcode, id: number, value: unknown): void {
    this.send(op, id, toJson(value));
  }

  /** Adds a frame that holds a packet; no address stands for the client's. */
  sendPacket(
    id: number,
    number: number,
    address: Deno.Addr | null,
    packet: Uint8Array,
  ): void {
    const head = address === null ? NOTHING : toJson(address);
    const start = this.#begin(Op.packet, id, 6 + head.length + packet.length);
    this.#view.setUint32(start, number);
    this.#view.setUint16(start + 4, head.length);
    this.#buffer.set(head, start + 6);
    this.#buffer.set(packet, start + 6 + head.length);
    this.#added();
  }

  /** Adds a frame with the outcome of a packet: the bytes sent, or an error. */
  sendSent(id: number, number: number, outcome: number | ErrorFrame): void {
    const error = typeof outcome === "number" ? null : toJson(outcome);
    const size = error === null ? SENT_SIZE : 4 + error.length;
    const start = this.#begin(Op.sent, id, size);
    this.#view.setUint32(start, number);
    if (error === null) this.#view.setUint32(start + 4, outcome as number);
    else this.#buffer.set(error, start + 4);
    this.#added();
  }

  /** Sends the gathered frames. */
  flush(): void {
    if (this.#length === 0) return;
    const message = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    if (message.length < TRANSFERRED) this.#post(message);
    else this.#post(message, [message.buffer]);
  }

  /** Makes room for a frame; returns the position of its payload. */
  #begin(op: Opcode, id: number, length: number): number {
    const start = this.#length;
    const end = this.#length = start + HEADER + length;
    if (end > this.#buffer.length) this.#grow(end, start);
    this.#view.setUint32(start, op);
    this.#view.setUint32(start + 4, id);
    this.#view.setUint32(start + 8, length);
    return start + HEADER;
  }

  #added(): void {
    if (this.#closed) this.#length = 0;
    else if (this.#length > FULL) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      if (++this.#sentAtOnce <= SENT_AT_ONCE) queueMicrotask(this.#onTask);
      // Looked up at each call: a simulation replaces it
      else setImmediate(this.#onTurn);
    }
  }

  #onTask = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  #onTurn = (): void => {
    this.#onTask();
    this.#turned();
  };

  #grow(size: number, used: number): void {
    const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, used));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** The bytes of one request in transit to the other end. */
export class SendWindow {
  #link: RelayLink;
  #used = 0;
  #wake: (() => void) | null = null;

  constructor(link: RelayLink) {
    this.#link = link;
  }

  /** The longest payload of the next frame; 0 or less if none. */
  get room(): number {
    const limit = this.#link.inTransit < BUDGET ? WINDOW : MIN_WINDOW;
    return limit - this.#used - FRAME_COST;
  }

  /** The same, as if the budget were used up. */
  get minRoom(): number {
    return MIN_WINDOW - this.#used - FRAME_COST;
  }

  /** Counts a frame that is sent. */
  take(length: number): void {
    this.#used += FRAME_COST + length;
    this.#link.inTransit += FRAME_COST + length;
  }

  /** Counts bytes that the other end has passed on. */
  credit(count: number): void {
    if (count > this.#used) {
      throw new ProtocolError(
        `Cannot credit ${count} bytes: ${this.#used} are under way`,
      );
    }
    this.#used -= count;
    this.#link.credit(count);
    this.wake();
  }

  /** Calls back, once, when there is room. */
  whenRoom(wake: () => void): void {
    this.#wake = wake;
    this.#link.waiting.add(this);
  }

  /** Calls back the waiter, if there is room. */
  wake(): void {
    if (this.#wake === null || this.room <= 0) return;
    const wake = this.#wake;
    this.leave();
    wake();
  }

  /** Ends all waits. */
  leave(): void {
    this.#wake = null;
    this.#link.waiting.delete(this);
  }

  /** Uncounts everything: the other end is gone, or has dropped it. */
  clear(): void {
    this.leave();
    this.#link.credit(this.#used);
    this.#used = 0;
  }
}

/** The bytes of one request that were received and not passed on. */
export class ReceiveWindow {
  #link: RelayLink;
  #id: number;
  /** The bytes that the other end counts as in transit. */
  #open = 0;
  #owed = 0;
  #detached = false;

  constructor(link: RelayLink, id: number) {
    this.#link = link;
    this.#id = id;
  }

  /** Counts a received frame. */
  take(length: number): void {
    if (length === 0 || this.#open + FRAME_COST + length > WINDOW) {
      throw new ProtocolError(
        `Cannot take ${length} bytes: ${this.#open} are under way`,
      );
    }
    this.#open += FRAME_COST + length;
    this.#link.held += FRAME_COST + length;
    this.release(FRAME_COST);
  }

  /** Counts bytes that were passed on, and credits them soon. */
  release(count: number): void {
    this.#link.held -= count;
    if (this.#detached) {
      this.#open -= count;
      return this.#link.sendCredit(count);
    }
    this.#owed += count;
    if (this.#owed < CREDIT_AFTER) return;
    this.#link.sendNumber(Op.credit, this.#id, this.#owed);
    this.#open -= this.#owed;
    this.#owed = 0;
  }

  /** The other end is done: what is still held is its runner's to count. */
  detach(): void {
    this.#detached = true;
    this.#link.sendCredit(this.#owed);
    this.#open -= this.#owed;
    this.#owed = 0;
  }

  /** Stops passing on: the bytes were dropped. */
  clear(): void {
    this.release(this.#open - this.#owed);
  }
}
