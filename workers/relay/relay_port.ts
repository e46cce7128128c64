/**
 * The end of a relay in the runner. It receives connections and packets, and
 * serves them.
 *
 * The hub learns of a request's beginning before any code of the handler runs.
 * If this runner ends, requests that have not begun go to another one.
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

/** A runner's functions for relayed requests. */
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
  #requests: (RelayedConn | PacketReplies | null)[] = [];
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
   * Settles when all requests so far have begun: a later command must wait for
   * it.
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

  /**
   * Sends the frames that wait for the end of the turn, because there may be
   * none.
   */
  flush(): void {
    this.#link.flush();
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    if (op === Op.open) return this.#open(id, bytes);
    if (op === Op.packet) return this.#openPacket(id, bytes);
    const request = this.#requests[id] ?? null;
    if (request instanceof RelayedConn) request.receive(op, bytes);
    else if (request !== null) request.receive(bytes);
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
    this.#requests[id] = conn;
    const serve = () => this.#serve(id, conn);
    this.#toBegin.push({ id, isPacket: false, serve });
  }

  #openPacket(id: number, bytes: Uint8Array): void {
    const { number, address, packet } = readPacket(bytes);
    const replies = new PacketReplies(id, this.#link, this.#budget);
    this.#requests[id] = replies;
    const serve = () =>
      this.#servePacket(
        id,
        replies,
        // A copy: a handler may keep it, or transfer its buffer
        [packet.slice(), address as Deno.Addr, number === 1],
      );
    this.#toBegin.push({ id, isPacket: true, serve });
  }

  /**
   * Begins connections one after the other: each handler may end the runner.
   * Packets may get lost anyway, and begin together.
   */
  async #begin(): Promise<void> {
    this.#beginning = true;
    while (this.#toBegin.length > 0) {
      const count = this.#toBegin[0]!.isPacket ? this.#toBegin.length : 1;
      const requests = this.#toBegin.splice(0, count);
      for (const { id } of requests) this.#link.send(Op.began, id);
      this.#link.flush();
      // A thread's messages are sent at once, unlike those of a process
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
      this.#requests[id] = null;
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
      this.#requests[id] = null;
      this.#link.send(Op.done, id);
    }
  }
}
