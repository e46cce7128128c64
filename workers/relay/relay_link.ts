/**
 * The sending end of a relay.
 *
 * @module
 */

import {
  type ErrorFrame,
  HEADER,
  Op,
  type Opcode,
  SENT_SIZE,
} from "./frames.ts";

const NOTHING = new Uint8Array(0);
const INITIAL_SIZE = 65_536;
/** More bytes than this are sent before the end of the turn. */
const FULL = 262_144;

/** Copying fewer bytes than this takes half the time of transferring them. */
const TRANSFERRED = 4_096;

/**
 * As many times it sends as soon as this task has run: the first look at
 * `setImmediate` takes 3 ms, which a replica of one request would not earn.
 */
const SENT_AT_ONCE = 16;

const encoder = new TextEncoder();

/** Sends a message to the other end. */
export type Post = (message: Uint8Array, transfer?: Transferable[]) => void;

/**
 * Gathers the frames of one turn of the event loop into one message.
 */
export class RelayLink {
  #post: Post;
  #buffer = new Uint8Array(INITIAL_SIZE);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;
  #scheduled = false;
  #sentAtOnce = 0;
  #closed = false;

  constructor(post: Post) {
    this.#post = post;
  }

  /** Sends nothing from now on: the other end is gone. */
  close(): void {
    this.#closed = true;
    this.#length = 0;
  }

  /** Adds a frame, to be sent at the end of this turn. */
  send(op: Opcode, id: number, bytes: Uint8Array = NOTHING): void {
    if (this.#closed) return;
    const start = this.#begin(op, id, bytes.length);
    this.#buffer.set(bytes, start);
    this.#added();
  }

  /** Adds a frame that holds a number. */
  sendNumber(op: Opcode, id: number, value: number): void {
    if (this.#closed) return;
    const start = this.#begin(op, id, 4);
    this.#view.setUint32(start, value);
    this.#added();
  }

  /** Adds a frame that holds a value as JSON. */
  sendJson(op: Opcode, id: number, value: unknown): void {
    this.send(op, id, encoder.encode(JSON.stringify(value)));
  }

  /** Adds a frame that holds a packet; no address stands for the client's. */
  sendPacket(
    id: number,
    number: number,
    address: Deno.Addr | null,
    packet: Uint8Array,
  ): void {
    if (this.#closed) return;
    const head = address === null
      ? NOTHING
      : encoder.encode(JSON.stringify(address));
    const start = this.#begin(Op.packet, id, 6 + head.length + packet.length);
    this.#view.setUint32(start, number);
    this.#view.setUint16(start + 4, head.length);
    this.#buffer.set(head, start + 6);
    this.#buffer.set(packet, start + 6 + head.length);
    this.#added();
  }

  /** Adds a frame with the number of bytes sent of a packet. */
  sendSent(id: number, number: number, count: number): void {
    if (this.#closed) return;
    const start = this.#begin(Op.sent, id, SENT_SIZE);
    this.#view.setUint32(start, number);
    this.#view.setUint32(start + 4, count);
    this.#added();
  }

  /** Adds a frame with the error of a packet. */
  sendNotSent(id: number, number: number, error: ErrorFrame): void {
    if (this.#closed) return;
    const json = encoder.encode(JSON.stringify(error));
    const start = this.#begin(Op.sent, id, 4 + json.length);
    this.#view.setUint32(start, number);
    this.#buffer.set(json, start + 4);
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
    if (this.#length > FULL) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      if (++this.#sentAtOnce <= SENT_AT_ONCE) queueMicrotask(this.#onTurn);
      // Looked up at each call: a simulation replaces it
      else setImmediate(this.#onTurn);
    }
  }

  #onTurn = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  #grow(size: number, used: number): void {
    const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, used));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}
