/**
 * The requests that a hub carries.
 *
 * @module
 */

import { ProtocolError } from "../line/dialect.ts";
import {
  FRAME_COST,
  isPacketAddress,
  isSameAddress,
  notBegun,
  Op,
  type Opcode,
  readEnding,
  readPacket,
  toErrorFrame,
  WINDOW,
} from "./frames.ts";
import type { RelayLink } from "./flow.ts";

/** A request that a hub carries. */
export interface Carried {
  /**
   * Takes a frame from the runner; throws for one that may not come now.
   *
   * @returns Whether to call `advance()` after the last frame of the message:
   * ends often come together.
   */
  receive(op: Opcode, bytes: Uint8Array): boolean;
  /** Does the next steps. */
  advance(): void;
  /**
   * The runner has ended; `begun` if it had begun the request. Returns whether
   * that ends the request.
   */
  fail(error: Error, begun: boolean): boolean;
  /** The time for delivery is over. */
  cut(error: Error): void;
}

/** The hub, as a request sees it. */
export interface Carrier {
  readonly id: number;
  readonly link: RelayLink;
  /** Ends the carrying: by an error, or by how the request ended. */
  readonly settle: (error: Error | null, ending?: number) => void;
}

/** The error for a frame that may not come now. */
export function outOfOrder(op: Opcode): ProtocolError {
  return new ProtocolError(
    `Cannot take a frame with code ${op}: the request is not in a state for it`,
  );
}

/** Sends a packet from the relay's socket. */
export type SendPacket = (packet: Uint8Array, to: Deno.Addr) => Promise<number>;

/** A packet, and how to send replies. */
export interface PacketToCarry {
  packet: Uint8Array;
  from: Deno.Addr;
  truncated: boolean;
  send: SendPacket;
  /** Whether only the client may be sent packets. */
  answersOnly: boolean;
}

/** Carries a packet to a runner. */
export class CarriedPacket implements Carried {
  #carried: PacketToCarry;
  #carrier: Carrier;
  #size: number;
  #begun = false;
  #done = false;
  #held = 0;
  #isSettled = false;
  #ending = 0;
  #failure: Error | null = null;

  constructor(carried: PacketToCarry, carrier: Carrier) {
    const { packet, from, truncated } = carried;
    this.#carried = carried;
    this.#carrier = carrier;
    this.#size = FRAME_COST + packet.length;
    const { id, link } = carrier;
    link.inTransit += this.#size;
    link.sendPacket(id, Number(truncated), from, packet);
  }

  receive(op: Opcode, bytes: Uint8Array): boolean {
    if (this.#done) throw outOfOrder(op);
    if (op === Op.began && !this.#begun) this.#begun = true;
    else if (op === Op.packet && this.#begun) void this.#send(bytes);
    else if (op === Op.done && this.#begun) {
      this.#done = true;
      this.#ending = readEnding(bytes);
    } else if (op !== Op.cut || !this.#begun) throw outOfOrder(op);
    return this.#done;
  }

  fail(error: Error, begun: boolean): boolean {
    const isLost = !this.#done && (this.#begun || begun);
    if (!this.#done) {
      this.#done = true;
      this.#failure = isLost ? error : notBegun(error);
    }
    this.advance();
    return isLost;
  }

  cut(error: Error): void {
    this.#failure ??= error;
    this.#settle();
  }

  /** Sends a packet; throws at once if it is not allowed. */
  #send(bytes: Uint8Array): Promise<void> {
    const { number, address, packet } = readPacket(bytes);
    if (address !== null && !isPacketAddress(address)) {
      throw new ProtocolError("Cannot send a packet: no address");
    }
    const { length } = packet;
    if (this.#held + FRAME_COST + length > WINDOW) {
      throw new ProtocolError(
        `Cannot take a packet of ${length} bytes: ${this.#held} wait`,
      );
    }
    this.#held += FRAME_COST + length;
    this.#carrier.link.held += FRAME_COST + length;
    return this.#deliver(number, address, packet);
  }

  async #deliver(
    number: number,
    address: Deno.Addr | null,
    packet: Uint8Array,
  ): Promise<void> {
    const { id, link } = this.#carrier;
    const { length } = packet;
    try {
      const to = this.#allowed(address);
      // A copy, if it would hold a message much larger than itself
      const isSmall = length * 2 < packet.buffer.byteLength;
      const count = await this.#carried.send(
        isSmall ? packet.slice() : packet,
        to,
      );
      link.sendSent(id, number, count);
    } catch (error) {
      link.sendSent(id, number, toErrorFrame(error));
    }
    link.held -= FRAME_COST + length;
    this.#held -= FRAME_COST + length;
    this.advance();
  }

  /** The address to send to: the runner can't be trusted to have checked it. */
  #allowed(address: Deno.Addr | null): Deno.Addr {
    const { from, answersOnly } = this.#carried;
    if (address === null || isSameAddress(address, from)) return from;
    if (!answersOnly) return address;
    const { hostname, port, path } = address as Deno.NetAddr & Deno.UnixAddr;
    const to = hostname === undefined ? path : `${hostname}:${port}`;
    throw new Deno.errors.NotCapable(
      `Cannot send a packet to "${to}": with permissions of its own a handler may answer its client alone; send from the program that started the server`,
    );
  }

  /** The socket may be closed when the request has ended. */
  advance(): void {
    if (this.#done && this.#held === 0) this.#settle();
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#carrier.link.credit(this.#size);
    this.#carrier.settle(this.#failure, this.#ending);
  }
}
