/**
 * The packets that the handler of a packet sends.
 *
 * @module
 */

import { readSent } from "./frames.ts";
import type { RelayLink } from "./relay_link.ts";
import { FRAME_COST, type RelaySide, SendWindow } from "./window.ts";

interface Reply {
  packet: Uint8Array;
  to: Deno.Addr | null;
  resolve: (count: number) => void;
  reject: (error: Error) => void;
}

/**
 * Sends packets through the other end of a relay, and receives the outcomes.
 */
export class PacketReplies {
  #id: number;
  #link: RelayLink;
  #window: SendWindow;
  #waiting: Reply[] = [];
  #sent: Map<number, Reply> = new Map();
  #lastNumber = 0;
  #ended: (() => void) | null = null;

  constructor(id: number, side: RelaySide) {
    this.#id = id;
    this.#link = side.link;
    this.#window = new SendWindow(side.budget);
  }

  /** Sends a packet, to the client if no address is given. */
  send(packet: Uint8Array, to: Deno.Addr | null): Promise<number> {
    if (this.#ended !== null) {
      return Promise.reject(
        new Deno.errors.BadResource("Cannot send: the request has ended"),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ packet, to, resolve, reject });
      if (this.#waiting.length === 1) this.#advance();
    });
  }

  /** Takes no more packets; settles when all are sent. */
  end(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    this.#endIfSent();
    return promise;
  }

  /** Takes the outcome of a packet. */
  receive(bytes: Uint8Array): void {
    const { number, result } = readSent(bytes);
    const reply = this.#sent.get(number)!;
    this.#sent.delete(number);
    this.#window.credit(FRAME_COST + reply.packet.length);
    if (typeof result === "number") reply.resolve(result);
    else reply.reject(result);
    this.#endIfSent();
  }

  #endIfSent(): void {
    if (this.#sent.size + this.#waiting.length === 0) this.#ended?.();
  }

  /** Sends as many packets as there is room for. */
  #advance = (): void => {
    for (let reply; (reply = this.#waiting[0]) !== undefined;) {
      const { packet, to } = reply;
      if (packet.length > this.#window.room) {
        return this.#window.whenRoom(this.#advance);
      }
      this.#waiting.shift();
      const number = ++this.#lastNumber;
      this.#link.sendPacket(this.#id, number, to, packet);
      this.#window.take(packet.length);
      this.#sent.set(number, reply);
    }
  };
}
