/**
 * The end of a relay in the runner. It receives connections and packets, and
 * serves them.
 *
 * The hub can know of a request's beginning before any code of the handler runs:
 * if this runner ends, requests that have not begun go to another one. A thread
 * counts them in memory that the hub shares, so that `began` may wait for the
 * end of the turn, together with the answer. A process sends it at once.
 *
 * @module
 */

import type { RunnerPort } from "../runner/runner.ts";
import {
  Op,
  type Opcode,
  readFrames,
  readJson,
  readNumber,
  readPacket,
  readSent,
} from "./frames.ts";
import { LineReader, LineWriter, type RelayMemory } from "./memory_line.ts";
import { type Post, RelayLink } from "./relay_link.ts";
import { type ConnAddresses, RelayedConn } from "./relayed_conn.ts";
import { FRAME_COST, RelaySide, SendWindow } from "./window.ts";

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
  #port: Pick<RunnerPort, "post" | "flushed">;
  #side: RelaySide;
  #handlers: RelayHandlers;
  #begun: Int32Array | null = null;
  #reader: LineReader | null = null;
  #requests: (RelayedConn | PacketReplies | null)[] = [];
  #toBegin: RequestToBegin[] = [];
  #beginning = false;
  #allBegun: (() => void) | null = null;

  /**
   * Constructs it.
   *
   * @param port The runner's port.
   * @param handlers Serve the requests.
   * @param memory What it shares with the hub, if this is a thread.
   * @param broken Called if the hub has broken the protocol.
   */
  constructor(
    port: Pick<RunnerPort, "post" | "flushed">,
    handlers: RelayHandlers,
    memory: RelayMemory | null,
    broken: (error: unknown) => void,
  ) {
    this.#port = port;
    this.#handlers = handlers;
    let post: Post = (message, transfer) => port.post(message, transfer);
    if (memory !== null) {
      const writer = new LineWriter(memory.fromRunner, post);
      post = (message, transfer) => writer.send(message, transfer);
      this.#begun = memory.begun;
      this.#reader = new LineReader(
        memory.toRunner,
        (message) => this.#receive(message),
        broken,
      );
    }
    this.#side = new RelaySide(new RelayLink(post));
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
    if (this.#reader === null) this.#receive(message);
    else this.#reader.receive(message);
  }

  /** Takes what the hub has written: call it before its other messages. */
  drain(): void {
    this.#reader?.drain();
  }

  #receive(message: Uint8Array): void {
    readFrames(message, this.#onFrame);
    if (this.#toBegin.length > 0 && !this.#beginning) void this.#beginAll();
  }

  /**
   * Sends the frames that wait for the end of the turn, because there may be
   * none.
   */
  flush(): void {
    this.#side.link.flush();
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    if (op === Op.open) return this.#open(id, bytes);
    if (op === Op.packet) return this.#openPacket(id, bytes);
    const request = this.#requests[id] ?? null;
    if (request instanceof RelayedConn) request.receive(op, bytes);
    else if (request !== null) request.receive(bytes);
    else if (op === Op.credit) this.#side.budget.credit(readNumber(bytes));
    // Anything else crossed the end of its request on the way
  };

  #open(id: number, bytes: Uint8Array): void {
    const addresses = readJson(bytes) as ConnAddresses;
    const conn = new RelayedConn(id, this.#side, addresses);
    this.#requests[id] = conn;
    this.#begin({ id, isPacket: false, serve: () => this.#serve(id, conn) });
  }

  #openPacket(id: number, bytes: Uint8Array): void {
    const { number, address, packet } = readPacket(bytes);
    const replies = new PacketReplies(id, this.#side);
    this.#requests[id] = replies;
    const serve = () =>
      this.#servePacket(
        id,
        replies,
        // A copy: a handler may keep it, or transfer its buffer
        [packet.slice(), address as Deno.Addr, number === 1],
      );
    this.#begin({ id, isPacket: true, serve });
  }

  #begin(request: RequestToBegin): void {
    if (this.#begun === null) return void this.#toBegin.push(request);
    Atomics.add(this.#begun, 0, 1);
    this.#side.link.send(Op.began, request.id);
    void request.serve();
  }

  /**
   * Begins connections one after the other: each handler may end the runner.
   * Packets may get lost anyway, and begin together.
   */
  async #beginAll(): Promise<void> {
    this.#beginning = true;
    while (this.#toBegin.length > 0) {
      const count = this.#toBegin[0]!.isPacket ? this.#toBegin.length : 1;
      const requests = this.#toBegin.splice(0, count);
      for (const { id } of requests) this.#side.link.send(Op.began, id);
      this.flush();
      await this.#port.flushed();
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
      this.#end(id);
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
      this.#end(id);
    }
  }

  #end(id: number): void {
    this.#requests[id] = null;
    this.#side.link.send(Op.done, id);
  }
}

interface PacketReply {
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
  #waiting: PacketReply[] = [];
  #sent: Map<number, PacketReply> = new Map();
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
