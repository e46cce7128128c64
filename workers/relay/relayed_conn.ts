/**
 * A connection as the runner at the other end of a relay sees it.
 *
 * @module
 */

import {
  ACK_AFTER,
  Op,
  type Opcode,
  readJson,
  type RelayLink,
  WINDOW,
} from "./frames.ts";

const CHUNK_SIZE = 16_384;
const NOTHING = new Uint8Array(0);

interface Waiter {
  resolve: () => void;
  reject: (error: Error) => void;
}

/** A `Deno.Conn` whose socket another thread or process holds. */
export class RelayedConn implements Deno.Conn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  #id: number;
  #link: RelayLink;
  #chunks: Uint8Array[] = [];
  #taken = 0;
  #underWay = 0;
  #ended = false;
  #closed = false;
  #writeClosed = false;
  #lost: Error | null = null;
  #reader: Waiter | null = null;
  #writer: Waiter | null = null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | null = null;

  constructor(
    id: number,
    link: RelayLink,
    addresses: { localAddr: Deno.Addr; remoteAddr: Deno.Addr },
  ) {
    this.#id = id;
    this.#link = link;
    this.localAddr = addresses.localAddr;
    this.remoteAddr = addresses.remoteAddr;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.length === 0) return 0;
    while (this.#chunks.length === 0) {
      if (this.#closed) throw badResource();
      if (this.#lost !== null) throw this.#lost;
      if (this.#ended) return null;
      if (this.#reader !== null) throw new Deno.errors.Busy("Already reading");
      await new Promise<void>((resolve, reject) => {
        this.#reader = { resolve, reject };
      });
    }
    return this.#take(into);
  }

  async write(bytes: Uint8Array): Promise<number> {
    for (;;) {
      if (this.#closed) throw badResource();
      if (this.#lost !== null) throw this.#lost;
      if (this.#writeClosed) throw new Deno.errors.BrokenPipe("Broken pipe");
      const count = Math.min(WINDOW - this.#underWay, bytes.length);
      if (count > 0 || bytes.length === 0) {
        this.#underWay += count;
        this.#link.send(Op.data, this.#id, bytes.subarray(0, count));
        return count;
      }
      if (this.#writer !== null) throw new Deno.errors.Busy("Already writing");
      await new Promise<void>((resolve, reject) => {
        this.#writer = { resolve, reject };
      });
    }
  }

  close(): void {
    if (this.#closed) throw badResource();
    this[Symbol.dispose]();
  }

  // deno-lint-ignore require-await -- what is wrong is told by a rejection
  async closeWrite(): Promise<void> {
    if (this.#closed) throw badResource();
    if (this.#lost !== null) throw this.#lost;
    if (this.#writeClosed) return;
    this.#writeClosed = true;
    this.#link.send(Op.end, this.#id, NOTHING);
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        const chunk = new Uint8Array(CHUNK_SIZE);
        const count = await this.read(chunk);
        if (count !== null) controller.enqueue(chunk.subarray(0, count));
        else {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
      cancel: () => this[Symbol.dispose](),
    });
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= new WritableStream({
      write: async (bytes) => {
        for (let sent = 0; sent < bytes.length;) {
          sent += await this.write(bytes.subarray(sent));
        }
      },
      close: () => this.closeWrite(),
      abort: () => this[Symbol.dispose](),
    });
  }

  /** Sends small writes without waiting for earlier ones (TCP). */
  setNoDelay(noDelay = true): void {
    this.#link.sendJson(Op.option, this.#id, { noDelay });
  }

  /** Has the system look now and then whether the client is there (TCP). */
  setKeepAlive(keepAlive = true): void {
    this.#link.sendJson(Op.option, this.#id, { keepAlive });
  }

  /** Does nothing: it is the runner that keeps its program alive. */
  ref(): void {}

  /** Does nothing. */
  unref(): void {}

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#chunks = [];
    this.#link.send(Op.close, this.#id, NOTHING);
    const error = new Deno.errors.Interrupted("Operation canceled");
    this.#reader?.reject(error);
    this.#writer?.reject(error);
  }

  /** Takes a frame from the other end. */
  receive(op: Opcode, bytes: Uint8Array): void {
    switch (op) {
      case Op.data:
        if (!this.#closed) this.#chunks.push(bytes);
        return this.#wakeReader();
      case Op.end:
        this.#ended = true;
        return this.#wakeReader();
      case Op.ack:
        this.#underWay -= readJson(bytes) as number;
        break;
      case Op.reset:
        this.#lost = lossOf(readJson(bytes) as Error);
        this.#wakeReader();
        break;
    }
    const writer = this.#writer;
    this.#writer = null;
    writer?.resolve();
  }

  #wakeReader(): void {
    const reader = this.#reader;
    this.#reader = null;
    reader?.resolve();
  }

  #take(into: Uint8Array): number {
    const chunk = this.#chunks[0]!;
    const count = Math.min(chunk.length, into.length);
    into.set(count === chunk.length ? chunk : chunk.subarray(0, count));
    if (count === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(count);
    this.#taken += count;
    if (this.#taken >= ACK_AFTER) {
      this.#link.sendJson(Op.ack, this.#id, this.#taken);
      this.#taken = 0;
    }
    return count;
  }
}

function badResource(): Error {
  return new Deno.errors.BadResource("Bad resource ID");
}

/** What the other end met, as an error of the same class. */
function lossOf({ name, message }: { name: string; message: string }): Error {
  const classes = Deno.errors as unknown as Record<string, ErrorConstructor>;
  return new (classes[name] ?? Deno.errors.ConnectionReset)(message);
}
