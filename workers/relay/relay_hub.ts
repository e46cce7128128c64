/**
 * The end of a relay that holds the sockets.
 *
 * @module
 */

import {
  ACK_AFTER,
  Op,
  type Opcode,
  readFrames,
  readJson,
  readPacket,
  RelayLink,
  WINDOW,
} from "./frames.ts";

const READ_SIZE = 16_384;
const NOTHING = new Uint8Array(0);

/** Sends a packet from the socket that the relay stands in front of. */
export type SendPacket = (packet: Uint8Array, to: Deno.Addr) => Promise<number>;

interface Carried {
  receive(op: Opcode, bytes: Uint8Array): void;
  fail(error: Error): void;
}

/** Carries connections and packets to one runner and back. */
export class RelayHub {
  #link: RelayLink;
  #carried: Map<number, Carried> = new Map();
  #lastId = 0;
  #failure: Error | null = null;

  constructor(post: (message: Uint8Array, transfer: Transferable[]) => void) {
    this.#link = new RelayLink(post);
  }

  /** How many requests the runner has of this relay. */
  get size(): number {
    return this.#carried.size;
  }

  /**
   * Carries a connection.
   *
   * @returns Settles when the runner is done with it and all it wrote is sent.
   */
  relay(conn: Deno.Conn): Promise<void> {
    return this.#carry((id, settle) =>
      new CarriedConnection(id, conn, this.#link, settle)
    );
  }

  /** Carries a packet, and the replies to it. */
  relayPacket(
    packet: Uint8Array,
    from: Deno.Addr,
    truncated: boolean,
    send: SendPacket,
  ): Promise<void> {
    return this.#carry((id, settle) => {
      if (truncated) this.#link.sendJson(Op.option, id, { truncated });
      this.#link.sendPacket(id, from, packet);
      return new CarriedPacket(send, settle);
    });
  }

  /** Takes a message from the runner. */
  receive(message: Uint8Array): void {
    readFrames(message, this.#onFrame);
  }

  /** Sends what waits for the end of the turn: something else follows it. */
  flush(): void {
    this.#link.flush();
  }

  /** The runner has ended: so has all that it had. */
  fail(error: Error): void {
    this.#failure = error;
    for (const carried of [...this.#carried.values()]) carried.fail(error);
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    this.#carried.get(id)?.receive(op, bytes);
  };

  #carry(begin: (id: number, settle: Settle) => Carried): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#lastId = (this.#lastId + 1) >>> 0;
    return new Promise((resolve, reject) => {
      const carried = begin(id, (error) => {
        this.#carried.delete(id);
        if (error === null) resolve();
        else reject(error);
      });
      this.#carried.set(id, carried);
    });
  }
}

type Settle = (error: Error | null) => void;

class CarriedPacket implements Carried {
  #send: SendPacket;
  #settle: Settle;
  #sending = 0;
  #done = false;

  constructor(send: SendPacket, settle: Settle) {
    this.#send = send;
    this.#settle = settle;
  }

  receive(op: Opcode, bytes: Uint8Array): void {
    if (op === Op.done) {
      this.#done = true;
      return this.#settleIfSent();
    }
    const [to, packet] = readPacket(bytes);
    this.#sending++;
    // As on a wire: the handler learned of no more than a full packet
    this.#send(packet, to).catch(() => {}).then(() => {
      this.#sending--;
      this.#settleIfSent();
    });
  }

  /** The socket may be closed when the request has ended. */
  #settleIfSent(): void {
    if (this.#done && this.#sending === 0) this.#settle(null);
  }

  fail(error: Error): void {
    this.#settle(error);
  }
}

class CarriedConnection implements Carried {
  #id: number;
  #conn: Deno.Conn;
  #link: RelayLink;
  #settle: Settle;
  #underWay = 0;
  #room: (() => void) | null = null;
  #queue: Uint8Array[] = [];
  #writing = false;
  #taken = 0;
  #gone = false;
  #end: "none" | "half" | "full" = "none";
  #done = false;

  constructor(id: number, conn: Deno.Conn, link: RelayLink, settle: Settle) {
    this.#id = id;
    this.#conn = conn;
    this.#link = link;
    this.#settle = settle;
    const { localAddr, remoteAddr } = conn;
    link.sendJson(Op.open, id, { localAddr, remoteAddr });
    void this.#readAll();
  }

  receive(op: Opcode, bytes: Uint8Array): void {
    switch (op) {
      case Op.data:
        if (this.#gone) return;
        this.#queue.push(bytes);
        break;
      case Op.ack:
        this.#underWay -= readJson(bytes) as number;
        this.#room?.();
        return;
      case Op.option:
        this.#setOptions(readJson(bytes) as Record<string, boolean>);
        return;
      case Op.end:
        if (this.#end === "none") this.#end = "half";
        break;
      case Op.close:
        this.#end = "full";
        break;
      case Op.done:
        this.#done = true;
        break;
    }
    if (!this.#writing) void this.#writeAll();
  }

  fail(error: Error): void {
    this.#gone = true;
    this.#room?.();
    this.#settle(error);
  }

  async #readAll(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        const count = await this.#conn.read(buffer);
        if (this.#gone) return;
        if (count === null) return this.#link.send(Op.end, this.#id, NOTHING);
        this.#link.send(Op.data, this.#id, buffer.subarray(0, count));
        this.#underWay += count;
        if (this.#underWay >= WINDOW) await this.#waitForRoom();
      }
    } catch (error) {
      this.#lose(error);
    }
  }

  async #waitForRoom(): Promise<void> {
    while (this.#underWay >= WINDOW && !this.#gone) {
      await new Promise<void>((resolve) => this.#room = resolve);
      this.#room = null;
    }
  }

  /** Writes what there is, then does what was to be done behind it. */
  async #writeAll(): Promise<void> {
    this.#writing = true;
    try {
      for (let bytes; (bytes = this.#queue.shift()) !== undefined;) {
        for (let sent = 0; sent < bytes.length;) {
          sent += await this.#conn.write(
            sent === 0 ? bytes : bytes.subarray(sent),
          );
        }
        this.#acknowledge(bytes.length);
      }
      if (this.#end === "half") await this.#conn.closeWrite();
    } catch (error) {
      this.#lose(error);
    }
    this.#writing = false;
    if (this.#queue.length > 0) return await this.#writeAll();
    if (this.#end === "full") this.#close();
    if (this.#done) this.#settle(null);
  }

  #acknowledge(count: number): void {
    this.#taken += count;
    if (this.#taken < ACK_AFTER) return;
    this.#link.sendJson(Op.ack, this.#id, this.#taken);
    this.#taken = 0;
  }

  /** The client is gone: what is still to be written has nowhere to go. */
  #lose(error: unknown): void {
    this.#queue = [];
    if (this.#gone) return;
    this.#gone = true;
    this.#room?.();
    // The server has cut it off, and tells the runner so by itself
    if (error instanceof Deno.errors.Interrupted) return;
    const { name, message } = error as Error;
    this.#link.sendJson(Op.reset, this.#id, { name, message });
  }

  #close(): void {
    this.#gone = true;
    this.#room?.();
    try {
      this.#conn.close();
    } catch {
      // The server has closed it already
    }
  }

  #setOptions({ noDelay, keepAlive }: Record<string, boolean>): void {
    const conn = this.#conn as Partial<Deno.TcpConn>;
    if (noDelay !== undefined) conn.setNoDelay?.(noDelay);
    if (keepAlive !== undefined) conn.setKeepAlive?.(keepAlive);
  }
}
