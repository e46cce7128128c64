/**
 * The socket under a Unix datagram server.
 *
 * @module
 */

import { IdleTimer } from "../../handlers/io/_idle_timer.ts";
import {
  type DatagramConn,
  maxPayload,
  type PacketSocket,
  packetTooLong,
} from "./packet_socket.ts";
import { isAbstract, removeSocketFile, takeUnixPath } from "./unix_path.ts";

/** How long a client may leave a reply unread before the server drops it. */
const STALL_MS = 1_000;

interface Reply {
  packet: Uint8Array;
  address: Deno.Addr;
  resolve: (count: number) => void;
  reject: (error: unknown) => void;
}

/**
 * A Unix datagram socket that can send replies while a receive is pending.
 *
 * Deno refuses to send while a receive is pending, and the reverse. So a reply
 * wakes the pending receive with a packet that only this object can have sent;
 * all waiting replies are sent, and the receive begins again. A send to a
 * client that never reads does not end and can't be cancelled. After
 * `STALL_MS`, a new socket is bound to the path in place of this one.
 */
export class UnixPacketSocket implements PacketSocket {
  readonly addr: Deno.UnixAddr;
  #socket: DatagramConn;
  #waker: Deno.DatagramConn;
  #file: string | null;
  #wakeWord: Uint8Array = crypto.getRandomValues(new Uint8Array(16));
  #dropped = 0;
  #receiving = false;
  #waking = false;
  #closed = false;
  #replies: Reply[] = [];
  #sending: Promise<void> | null = null;
  #stall: IdleTimer = new IdleTimer(STALL_MS, () => this.#stalled());
  #giveUp: ((error: Error) => void) | null = null;

  constructor(address: Deno.UnixAddr) {
    this.addr = address;
    this.#waker = bindWaker(address.path);
    try {
      [this.#socket, this.#file] = takeUnixPath(address.path, bind);
    } catch (error) {
      this.#waker.close();
      throw error;
    }
  }

  get dropped(): number {
    return this.#dropped;
  }

  drop(): void {
    this.#dropped++;
  }

  /** Nobody can send in another's name here. */
  isServer(): boolean {
    return false;
  }

  async receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]> {
    for (;;) {
      while (this.#sending !== null) await this.#sending;
      if (this.#closed) throw new Deno.errors.BadResource("Socket closed");
      this.#receiving = true;
      try {
        const received = await this.#socket.receive(buffer);
        if (!this.#isWakeWord(received[0])) return received;
        this.#waking = false;
      } finally {
        this.#receiving = false;
        if (this.#replies.length > 0) this.#sending ??= this.#sendReplies();
      }
    }
  }

  send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    if (!("path" in address) || !address.path) {
      this.#dropped++;
      return Promise.resolve(0);
    }
    const limit = maxPayload(this.addr);
    if (packet.length > limit) {
      return Promise.reject(packetTooLong(packet.length, limit));
    }
    return new Promise((resolve, reject) => {
      this.#replies.push({ packet, address, resolve, reject });
      if (!this.#receiving) this.#sending ??= this.#sendReplies();
      else if (!this.#waking) this.#wake();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stall.stop();
    this.#socket.close();
    this.#waker.close();
    removeSocketFile(this.addr.path, this.#file);
    const error = new Deno.errors.BadResource("Cannot send: socket closed");
    this.#giveUp?.(error);
    for (const { reject } of this.#replies.splice(0)) reject(error);
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #wake(): void {
    this.#waking = true;
    this.#waker.send(this.#wakeWord, this.addr).catch(() => {
      // The pending receive has ended, by a packet or by close()
      this.#waking = false;
    });
  }

  async #sendReplies(): Promise<void> {
    for (let reply; (reply = this.#replies.shift()) !== undefined;) {
      const { packet, address, resolve, reject } = reply;
      try {
        resolve(await this.#sendOne(packet, address));
      } catch (error) {
        reject(error);
        if (error instanceof Deno.errors.TimedOut) this.#drop(address, error);
      }
    }
    this.#sending = null;
  }

  /** Drops the other replies for the same client: each would take as long. */
  #drop(address: Deno.Addr, error: Error): void {
    const { path } = address as Deno.UnixAddr;
    this.#replies = this.#replies.filter((reply) => {
      if ((reply.address as Deno.UnixAddr).path !== path) return true;
      reply.reject(error);
      return false;
    });
  }

  async #sendOne(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    this.#stall.begin();
    try {
      return await new Promise<number>((resolve, reject) => {
        this.#giveUp = reject;
        this.#socket.send(packet, address).then(resolve, reject);
      });
    } catch (error) {
      throw isGone(error)
        ? new Deno.errors.NotConnected(
          `Cannot send to "${(address as Deno.UnixAddr).path}": nobody listens`,
          { cause: error },
        )
        : error;
    } finally {
      this.#giveUp = null;
      this.#stall.end();
    }
  }

  #stalled(): void {
    const error = new Deno.errors.TimedOut(
      `Cannot send a reply: the client read nothing for ${STALL_MS} ms`,
    );
    this.#socket.close();
    this.#waking = false;
    removeSocketFile(this.addr.path, this.#file);
    try {
      [this.#socket, this.#file] = takeUnixPath(this.addr.path, bind);
    } catch (cause) {
      // Another process has taken the path: the next receive() reports it
      error.cause = cause;
    }
    this.#giveUp?.(error);
  }

  #isWakeWord(packet: Uint8Array): boolean {
    // Always: a receive may wait behind an abandoned socket
    return packet.length === this.#wakeWord.length &&
      packet.every((byte, index) => byte === this.#wakeWord[index]);
  }
}

/** Whether a packet had no receiver: its socket was closed, or its path removed. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.NotFound;
}

function bind(path: string): DatagramConn {
  return Deno.listenDatagram({ transport: "unixpacket", path }) as DatagramConn;
}

/**
 * Binds a second socket to send from. Deno lets the system choose a name only
 * with all permissions. The file can be removed at once, because nobody sends
 * there.
 */
function bindWaker(beside: string): DatagramConn {
  const name = crypto.randomUUID().slice(0, 6);
  if (isAbstract(beside)) return bind(`\0${name}`);
  const path = `${beside.slice(0, beside.lastIndexOf("/") + 1)}.${name}`;
  const waker = bind(path);
  Deno.removeSync(path);
  return waker;
}
