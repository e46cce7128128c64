/**
 * Frames between a relay and its runner, gathered so that those of one turn of
 * the event loop travel as one message.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** What a frame says. */
export const Op = {
  /** A connection begins; its addresses as JSON. */
  open: 1,
  /** Bytes of a connection. */
  data: 2,
  /** No more bytes follow in this direction. */
  end: 3,
  /** The connection is gone; the name of the error. */
  reset: 4,
  /** So many bytes have been taken: more may be sent. */
  ack: 5,
  /** The runner has closed the connection. */
  close: 6,
  /** The runner is done with the request. */
  done: 7,
  /** A packet, behind its address. */
  packet: 8,
  /** Options of the connection, as JSON. */
  option: 9,
} as const;

/** One of {@linkcode Op}. */
export type Opcode = typeof Op[keyof typeof Op];

/** Called with each frame; the bytes are its own. */
export type FrameHandler = (op: Opcode, id: number, bytes: Uint8Array) => void;

/** How many bytes of a connection may be under way in one direction. */
export const WINDOW = 262_144;
/** So many bytes taken are acknowledged at once. */
export const ACK_AFTER = WINDOW / 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const HEADER = 12;
const INITIAL_SIZE = 65_536;
/** More than this is sent without waiting for the turn's end. */
const FULL = 262_144;

/** The sending end of a link. */
export class RelayLink {
  #post: (message: Uint8Array, transfer: Transferable[]) => void;
  #buffer = new Uint8Array(INITIAL_SIZE);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;
  #scheduled = false;

  /**
   * Constructs a link.
   *
   * @param post Sends a message to the other end.
   */
  constructor(post: (message: Uint8Array, transfer: Transferable[]) => void) {
    this.#post = post;
  }

  /** Adds a frame to what is sent at the end of this turn. */
  send(op: Opcode, id: number, bytes: Uint8Array): void {
    const start = this.#length;
    const end = start + HEADER + bytes.length;
    if (end > this.#buffer.length) this.#grow(end);
    this.#view.setUint32(start, op);
    this.#view.setUint32(start + 4, id);
    this.#view.setUint32(start + 8, bytes.length);
    this.#buffer.set(bytes, start + HEADER);
    this.#length = end;
    if (end > FULL) this.flush();
    else if (!this.#scheduled) this.#schedule();
  }

  /** Adds a frame that holds a value as JSON. */
  sendJson(op: Opcode, id: number, value: unknown): void {
    this.send(op, id, encoder.encode(JSON.stringify(value)));
  }

  /** Adds a frame that holds an address and a packet. */
  sendPacket(id: number, address: Deno.Addr, packet: Uint8Array): void {
    const head = encoder.encode(JSON.stringify(address));
    const bytes = new Uint8Array(2 + head.length + packet.length);
    new DataView(bytes.buffer).setUint16(0, head.length);
    bytes.set(head, 2);
    bytes.set(packet, 2 + head.length);
    this.send(Op.packet, id, bytes);
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#length === 0) return;
    const message = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    this.#post(message, [message.buffer]);
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(this.#onTurn);
  }

  #onTurn = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  #grow(size: number): void {
    const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Takes a message apart. */
export function readFrames(message: Uint8Array, handle: FrameHandler): void {
  const { buffer, byteOffset, length } = message;
  const view = new DataView(buffer, byteOffset, length);
  for (let at = 0; at < length;) {
    const end = at + HEADER + view.getUint32(at + 8);
    handle(
      view.getUint32(at) as Opcode,
      view.getUint32(at + 4),
      message.subarray(at + HEADER, end),
    );
    at = end;
  }
}

/** Takes a frame of JSON apart. */
export function readJson(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes));
}

/** Takes a frame of a packet apart. */
export function readPacket(bytes: Uint8Array): [Deno.Addr, Uint8Array] {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
  const address = readJson(bytes.subarray(2, 2 + size)) as Deno.Addr;
  return [address, bytes.slice(2 + size)];
}
