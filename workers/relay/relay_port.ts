/**
 * The end of a relay that is in the runner: takes connections and packets, and
 * has them served.
 *
 * The hub is told that a request begins before anything of the handler runs:
 * one that it was not told of goes to another runner when this one ends.
 *
 * @module
 */

import {
  Op,
  type Opcode,
  readFrames,
  readJson,
  readNumber,
  readPacket,
} from "./frames.ts";
import { PacketReplies } from "./packet_replies.ts";
import { RelayLink } from "./relay_link.ts";
import { type ConnOrigin, RelayedConn } from "./relayed_conn.ts";
import type { RunnerPort } from "../runner/runner.ts";
import { Budget, Intake } from "./window.ts";

/** Sends a packet, to the client if no address is given. */
export type Reply = (
  packet: Uint8Array,
  to: Deno.Addr | null,
) => Promise<number>;

/** What a runner does with what is relayed to it. */
export interface RelayHandlers {
  /** Serves a connection to its end. */
  connection(conn: RelayedConn): Promise<void>;
  /** Serves a packet to its end. */
  packet(
    packet: Uint8Array,
    from: Deno.Addr,
    truncated: boolean,
    reply: Reply,
  ): Promise<void>;
}

interface RequestToBegin {
  id: number;
  isPacket: boolean;
  serve(): Promise<void>;
}

/** Takes connections and packets from a relay. */
export class RelayPort {
  #port: Pick<RunnerPort, "kind" | "post" | "flushed">;
  #link: RelayLink;
  #handlers: RelayHandlers;
  #budget = new Budget();
  #intake: Intake;
  #requests: Map<number, RelayedConn | PacketReplies> = new Map();
  #toBegin: RequestToBegin[] = [];
  #beginning = false;
  #allBegun: (() => void) | null = null;

  constructor(
    port: Pick<RunnerPort, "kind" | "post" | "flushed">,
    handlers: RelayHandlers,
  ) {
    this.#port = port;
    this.#handlers = handlers;
    this.#link = new RelayLink((message, transfer) =>
      port.post(message, transfer)
    );
    this.#intake = new Intake(this.#link);
  }

  /**
   * Settles when all requests that have come have begun: a command that came
   * behind them has to wait for it.
   */
  async begun(): Promise<void> {
    if (!this.#beginning) return;
    await new Promise<void>((resolve) => this.#allBegun = resolve);
  }

  /** Takes a message from the other end. */
  receive(message: Uint8Array): void {
    readFrames(message, this.#onFrame);
    if (this.#toBegin.length > 0 && !this.#beginning) void this.#begin();
  }

  /** Sends what waits for the end of the turn: no other may follow. */
  flush(): void {
    this.#link.flush();
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    if (op === Op.open) return this.#open(id, bytes);
    if (op === Op.packet) return this.#openPacket(id, bytes);
    const request = this.#requests.get(id);
    if (request instanceof RelayedConn) request.receive(op, bytes);
    else if (request !== undefined) request.receive(bytes);
    else if (op === Op.credit) this.#budget.credit(readNumber(bytes));
    // Anything else crossed the end of its request on the way
  };

  #open(id: number, bytes: Uint8Array): void {
    const conn = new RelayedConn({
      id,
      link: this.#link,
      budget: this.#budget,
      intake: this.#intake,
      addresses: readJson(bytes) as ConnOrigin["addresses"],
    });
    this.#requests.set(id, conn);
    const serve = () => this.#serve(id, conn);
    this.#toBegin.push({ id, isPacket: false, serve });
  }

  #openPacket(id: number, bytes: Uint8Array): void {
    const { number, address, packet } = readPacket(bytes);
    const replies = new PacketReplies(id, this.#link, this.#budget);
    this.#requests.set(id, replies);
    const serve = () =>
      this.#servePacket(
        id,
        replies,
        // Its own: a handler may keep it, or transfer its buffer
        [packet.slice(), address as Deno.Addr, number === 1],
      );
    this.#toBegin.push({ id, isPacket: true, serve });
  }

  /**
   * Begins with one connection after the other: each may be the last thing done
   * here. Packets get lost anyway, and begin together.
   */
  async #begin(): Promise<void> {
    this.#beginning = true;
    while (this.#toBegin.length > 0) {
      const count = this.#toBegin[0]!.isPacket ? this.#toBegin.length : 1;
      const requests = this.#toBegin.splice(0, count);
      for (const { id } of requests) this.#link.send(Op.began, id);
      this.#link.flush();
      // What a thread has posted is away, unlike what a process has
      if (this.#port.kind === "process") await this.#port.flushed();
      for (const request of requests) void request.serve();
    }
    this.#beginning = false;
    this.#allBegun?.();
  }

  async #serve(id: number, conn: RelayedConn): Promise<void> {
    try {
      await this.#handlers.connection(conn);
    } finally {
      conn[Symbol.dispose]();
      this.#requests.delete(id);
      this.#link.send(Op.done, id);
    }
  }

  async #servePacket(
    id: number,
    replies: PacketReplies,
    packet: [Uint8Array, Deno.Addr, boolean],
  ): Promise<void> {
    try {
      await this.#handlers.packet(
        ...packet,
        (reply, to) => replies.send(reply, to),
      );
    } finally {
      await replies.end();
      this.#requests.delete(id);
      this.#link.send(Op.done, id);
    }
  }
}
