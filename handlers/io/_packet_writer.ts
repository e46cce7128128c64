/**
 * The reply to a packet, gathered until it is sent.
 *
 * @module
 */

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
    if (chunks.length <= 1) return chunks[0] ?? null;
    const reply = new Uint8Array(
      chunks.reduce((n, { length }) => n + length, 0),
    );
    let offset = 0;
    for (const chunk of chunks) {
      reply.set(chunk, offset);
      offset += chunk.length;
    }
    return reply;
  }
}
