/**
 * The reply to a packet, gathered until it is sent.
 *
 * @module
 */

import { concat } from "./_bytes.ts";
import { BufferedWriter } from "./buffered_writer.ts";

const encoder = new TextEncoder();

/** A writer into memory. */
export class PacketWriter extends BufferedWriter {
  #chunks: Uint8Array[] = [];

  constructor() {
    super({ write: (bytes) => Promise.resolve(bytes.length) });
  }

  override write(data: string | Uint8Array): Promise<number> {
    const bytes = typeof data === "string"
      ? encoder.encode(data)
      : data.slice();
    this.#chunks.push(bytes);
    return Promise.resolve(bytes.length);
  }

  /** All that was written, or `null` when `write()` was never called. */
  takeReply(): Uint8Array | null {
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks.length === 0 ? null : concat(chunks);
  }
}
