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
  FRAME_COST,
  Op,
  type Opcode,
  readFrames,
  readJson,
  readNumber,
  readPacket,
  readSent,
} from "./frames.ts";
import { PendingCalls } from "../line/pending.ts";
import { progressed } from "../base/progress.ts";
import { RelayLink, SendWindow } from "./flow.ts";
import { type ConnOpening, RelayedConn } from "./relayed_conn.ts";
import { Slices } from "./slices.ts";

/** Sends a packet, to the client if no address is given. */
export type Reply = (
  packet: Uint8Array,
  to: Deno.Addr | null,
) => Promise<number>;

/**
 * A runner's functions for relayed requests. They serve one to its end, and say
 * how it ended: a sum of `Ending`, 0 if well.
 */
export interface RelayHandlers {
  /** Serves a connection. */
  connection(conn: RelayedConn, id: number): Promise<number>;
  /** Serves a packet. */
  packet(
    packet: Uint8Array,
    from: Deno.Addr,
    truncated: boolean,
    reply: Reply,
    id: number,
  ): Promise<number>;
  /** Cuts off a request, if it is still open. */
  cutOff(id: number): void;
}

/** A request that is open here. */
interface Request {
  /** Takes a frame from the hub. */
  receive(op: Opcode, bytes: Uint8Array): void;
  /** Its handler has ended. */
  end(): Promise<void> | void;
}

interface RequestToBegin {
  id: number;
  isPacket: boolean;
  request: Request;
  serve(): Promise<number>;
}

/** Takes connections and packets from a relay. */
export class RelayPort {
  #port: Pick<RunnerPort, "post" | "flushed">;
  #link: RelayLink;
  #handlers: RelayHandlers;
  #begun: Int32Array | null;
  #slices = new Slices();
  #requests: (Request | null)[] = [];
  #toBegin: RequestToBegin[] = [];
  #beginning = false;
  #allBegun: (() => void) | null = null;

  /**
   * Constructs it.
   *
   * @param port The runner's port.
   * @param handlers Serve the requests.
   * @param begun Memory that the hub shares, if this is a thread.
   */
  constructor(
    port: Pick<RunnerPort, "post" | "flushed">,
    handlers: RelayHandlers,
    begun: Int32Array | null,
  ) {
    this.#port = port;
    this.#handlers = handlers;
    this.#begun = begun;
    this.#link = new RelayLink(
      (message, transfer) => port.post(message, transfer),
      () => this.#slices.turned(),
    );
  }

  /**
   * Settles when all requests so far have begun: a later command must wait for
   * it.
   */
  async begun(): Promise<void> {
    if (!this.#beginning && this.#toBegin.length === 0) return;
    await new Promise<void>((resolve) => this.#allBegun = resolve);
  }

  /** Acts when the handlers have got what has arrived. */
  afterArrived(act: () => void): void {
    if (this.#slices.isIdle) act();
    else this.#slices.wait(act);
  }

  /** A request was cut off here. */
  wasCut(id: number): void {
    this.#link.send(Op.cut, id);
  }

  /** Takes a message from the other end. */
  receive(message: Uint8Array): void {
    readFrames(message, this.#onFrame);
    if (this.#begun !== null || this.#beginning) return;
    if (this.#toBegin.length > 0) void this.#beginAll();
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
    if (op === Op.cut) return this.#handlers.cutOff(id);
    const request = this.#requests[id] ?? null;
    if (request !== null) request.receive(op, bytes);
    else if (op === Op.credit) this.#link.credit(readNumber(bytes));
    // Anything else crossed the end of its request on the way
  };

  #open(id: number, bytes: Uint8Array): void {
    const opening = readJson(bytes) as ConnOpening;
    const request = new RelayedConn(id, this.#link, this.#slices, opening);
    const serve = () => this.#handlers.connection(request, id);
    this.#begin({ id, isPacket: false, request, serve });
  }

  #openPacket(id: number, bytes: Uint8Array): void {
    const { number, address, packet } = readPacket(bytes);
    const request = new PacketReplies(id, this.#link);
    // A copy: a handler may keep it, or transfer its buffer
    const copy = packet.slice();
    const serve = () =>
      this.#handlers.packet(
        copy,
        address as Deno.Addr,
        number === 1,
        (reply, to) => request.send(reply, to),
        id,
      );
    this.#begin({ id, isPacket: true, request, serve });
  }

  #begin(one: RequestToBegin): void {
    this.#requests[one.id] = one.request;
    if (this.#begun !== null && this.#slices.enter()) {
      return this.#beginNow(one, this.#begun);
    }
    this.#toBegin.push(one);
    if (this.#begun !== null) this.#slices.wait(this.#beginNext);
  }

  #beginNext = (): void => {
    this.#beginNow(this.#toBegin.shift()!, this.#begun!);
    if (this.#toBegin.length === 0) this.#allBegun?.();
  };

  #beginNow(one: RequestToBegin, begun: Int32Array): void {
    Atomics.add(begun, 0, 1);
    this.#link.send(Op.began, one.id);
    void this.#serve(one);
  }

  /**
   * Begins connections one after the other: each handler may end the runner.
   * Packets may get lost anyway, and begin together.
   */
  async #beginAll(): Promise<void> {
    this.#beginning = true;
    while (this.#toBegin.length > 0) {
      if (!this.#slices.enter()) {
        await new Promise<void>((resolve) => this.#slices.wait(resolve));
      }
      let count = 1;
      while (this.#toBegin[count - 1]!.isPacket) {
        if (count === this.#toBegin.length || !this.#slices.enter()) break;
        count++;
      }
      const requests = this.#toBegin.splice(0, count);
      for (const { id } of requests) this.#link.send(Op.began, id);
      this.flush();
      await this.#port.flushed();
      for (const one of requests) void this.#serve(one);
    }
    this.#beginning = false;
    this.#allBegun?.();
  }

  async #serve({ id, request, serve }: RequestToBegin): Promise<void> {
    let ending = 0;
    try {
      ending = await serve();
    } finally {
      progressed();
      const ended = request.end();
      // A connection's close and its end leave in one message
      if (ended !== undefined) await ended;
      this.#requests[id] = null;
      if (ending === 0) this.#link.send(Op.done, id);
      else this.#link.send(Op.done, id, Uint8Array.of(ending));
    }
  }
}

interface PacketReply {
  packet: Uint8Array;
  to: Deno.Addr | null;
  resolve: (count: number) => void;
  reject: (error: Error) => void;
}

/**
 * Sends a handler's packets through the other end of a relay, and receives the
 * outcomes.
 */
class PacketReplies implements Request {
  #id: number;
  #link: RelayLink;
  #window: SendWindow;
  #waiting: PacketReply[] = [];
  // Most packets get one reply
  #sent: PendingCalls<PacketReply> = new PendingCalls(1);
  #ended: (() => void) | null = null;

  constructor(id: number, link: RelayLink) {
    this.#id = id;
    this.#link = link;
    this.#window = new SendWindow(link);
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
    return new Promise((resolve) => {
      this.#ended = resolve;
      this.#endIfSent();
    });
  }

  receive(_op: Opcode, bytes: Uint8Array): void {
    const { number, result } = readSent(bytes);
    const reply = this.#sent.take(number);
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
      this.#link.sendPacket(this.#id, this.#sent.add(reply), to, packet);
      this.#window.take(packet.length);
    }
  };
}
