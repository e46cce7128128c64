/**
 * The socket under a Unix datagram server.
 *
 * @module
 */

import { IdleTimer } from "../../handlers/_internal.ts";
import { inTime } from "../../workers/base/waits.ts";
import {
  type DatagramConn,
  maxPayload,
  type PacketSocket,
  packetTooLong,
  WAKE_WORD_SIZE,
} from "./packet_socket.ts";
import { isAbstract, type SocketFile } from "./unix_path.ts";
import { Detour } from "./detour.ts";

/** How long a client may leave a reply unread before the server drops it. */
const STALL_MS = 1_000;
/** How long a send may take to end when its path leads nowhere any more. */
const CUT_MS = 100;

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
 * client that never reads does not end. After `STALL_MS` it loses its path. If
 * that does not end it, because the unread replies fill the socket's memory, a
 * new socket is bound to the path in place of this one.
 */
export class UnixPacketSocket implements PacketSocket {
  readonly addr: Deno.UnixAddr;
  #socket: DatagramConn;
  #waker: Deno.DatagramConn;
  #file: SocketFile;
  #detour: Detour;
  #wakeWord: Uint8Array = crypto.getRandomValues(
    new Uint8Array(WAKE_WORD_SIZE),
  );
  #dropped = 0;
  #receiving = false;
  #waking = false;
  #closed = false;
  #replies: Reply[] = [];
  #sending: Promise<void> | null = null;
  #stall: IdleTimer = new IdleTimer(STALL_MS, () => this.#giveUp?.());
  #giveUp: (() => void) | null = null;

  constructor(file: SocketFile) {
    const { path } = file;
    this.addr = { transport: "unixpacket", path };
    this.#file = file;
    this.#detour = new Detour(path);
    const sockets: DatagramConn[] = [];
    this.#socket = file.bind((path) => {
      const waker = bindWaker(path);
      try {
        const socket = bind(path);
        sockets.push(waker);
        return socket;
      } catch (error) {
        waker.close();
        throw error;
      }
    });
    this.#waker = sockets[0]!;
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
    this.#file.remove();
    this.#detour.cut();
    this.#giveUp?.();
    for (const { reject } of this.#replies.splice(0)) reject(closedError());
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
    const late = new Promise<null>((resolve) => {
      this.#giveUp = () => resolve(null);
    });
    const sending = this.#transmit(packet, address as Deno.UnixAddr);
    sending.catch(() => {}); // it may be late
    this.#stall.begin();
    try {
      const sent = await Promise.race([sending, late]);
      if (sent !== null) return sent;
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
    if (this.#closed) throw closedError();
    throw await this.#cutOff(sending);
  }

  async #transmit(
    packet: Uint8Array,
    address: Deno.UnixAddr,
  ): Promise<number> {
    const path = this.#detour.to(address.path);
    try {
      return await this.#socket.send(packet, { ...address, path });
    } catch (error) {
      const wasCut = this.#giveUp === null || path === address.path;
      if (wasCut || !(error instanceof Deno.errors.NotFound)) throw error;
      // The client is gone, or another program has removed the folder
      this.#detour.doubt();
      return await this.#socket.send(packet, address);
    }
  }

  /** Ends a send whose client does not read; returns the error to report. */
  async #cutOff(sending: Promise<number>): Promise<Error> {
    const error = new Deno.errors.TimedOut(
      `Cannot send a reply: the client read nothing for ${STALL_MS} ms`,
    );
    this.#detour.cut();
    const ended = await inTime(sending.then(isOver, isOver), CUT_MS);
    if (ended !== null || this.#closed) return error;
    this.#socket.close();
    this.#waking = false;
    this.#file.remove();
    try {
      this.#socket = this.#file.bind(bind);
    } catch (cause) {
      // Another process has taken the path: the next receive() reports it
      error.cause = cause;
    }
    return error;
  }

  #isWakeWord(packet: Uint8Array): boolean {
    // Always: a receive may wait behind an abandoned socket
    return packet.length === this.#wakeWord.length &&
      packet.every((byte, index) => byte === this.#wakeWord[index]);
  }
}

function closedError(): Error {
  return new Deno.errors.BadResource("Cannot send: socket closed");
}

/** Whether a packet had no receiver: its socket was closed, or its path removed. */
function isOver(): true {
  return true;
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.NotFound;
}

function bind(path: string): DatagramConn {
  return Deno.listenDatagram({ transport: "unixpacket", path }) as DatagramConn;
}

/**
 * Binds a second socket to send from, for a moment to the same path: Deno lets
 * the system choose a name only with all permissions, and for another path this
 * program may have none. The file can be removed at once, because nobody sends
 * there.
 */
function bindWaker(path: string): DatagramConn {
  const name = crypto.randomUUID().slice(0, 6);
  if (isAbstract(path)) return bind(`\0${name}`);
  const waker = bind(path);
  Deno.removeSync(path);
  return waker;
}
