/**
 * The reply to a packet, gathered until it is sent.
 *
 * @module
 */

import { checkData, enlarge, giveBack, putText } from "./_bytes.ts";
import { BufferedWriter, type WriterSink } from "./buffered_writer.ts";

const EMPTY = new Uint8Array(0);
/** A reply is sent by its handler. */
const NOWHERE: WriterSink = {
  write: (bytes) => Promise.resolve(bytes.length),
};

/** A writer into memory. */
export class PacketWriter extends BufferedWriter {
  #buffer: Uint8Array = EMPTY;
  #sent: Uint8Array = EMPTY;
  #length = 0;
  #written = false;

  constructor() {
    super(NOWHERE);
  }

  override get bufferedBytes(): number {
    return this.#length;
  }

  override write(data: string | Uint8Array): Promise<number> {
    checkData(data);
    const isText = typeof data === "string";
    const start = this.#length;
    this.#written = true;
    this.#makeRoom(start + (isText ? data.length * 3 : data.length));
    if (isText) this.#length = putText(data, this.#buffer, start);
    else {
      this.#buffer.set(data, start);
      this.#length += data.length;
    }
    return Promise.resolve(data.length);
  }

  /** All written bytes, or `null` if `write()` was never called. */
  takeReply(): Uint8Array | null {
    if (!this.#written) return null;
    const reply = this.#buffer.subarray(0, this.#length);
    this.#sent = this.#buffer;
    this.#buffer = EMPTY;
    this.#length = 0;
    this.#written = false;
    return reply;
  }

  /** Reuses the memory of a reply that has been sent. */
  recycle(): void {
    giveBack(this.#sent);
    this.#sent = EMPTY;
  }

  #makeRoom(size: number): void {
    if (size <= this.#buffer.length) return;
    this.#buffer = enlarge(this.#buffer, this.#length, size);
  }
}
