/**
 * The end of a relay that owns the sockets. It carries connections and packets
 * to one runner and back.
 *
 * Its owner's calls:
 * - `relay(conn)`, `relayPacket(packet, ...)`: settle when the runner is done
 *   with the request and what it wrote is delivered, with how it ended: a sum of
 *   `Ending`, 0 if well. They reject with a `NotBegunError` if the runner ended
 *   before it began: give the
 *   same to another hub (a connection keeps what its client has sent), or close
 *   it. They reject with the error of `fail()` if the runner had begun. Close
 *   the connection when its promise has settled.
 * - `receive(message)`: takes each `Uint8Array` from the runner. Throws for one
 *   that breaks the protocol: end the runner then, and take no more from it.
 * - `fail(error, deliverFor)`: the runner has ended. What had come from it by
 *   then is delivered, for at most `deliverFor` ms.
 * - `load`: how many requests the runner has; `size`: with those that it is
 *   done with and that are not delivered yet; `backlog`: bytes under way to it.
 *
 * Deno can't reset a connection: an aborted connection ends for its client like
 * any other. Only the promise reports the abort.
 *
 * To abort a request, close its connection. The handler's next read or write
 * fails, and the promise settles when the runner is done with it or has ended.
 * With `cutOff()` its `signal` is aborted as well.
 *
 * @module
 */

import { ProtocolError } from "../line/dialect.ts";
import {
  type Carried,
  CarriedPacket,
  type Carrier,
  type SendPacket,
} from "./packets.ts";
import { carriedOf } from "./carried_conn.ts";
import {
  BUDGET,
  MIN_WINDOW,
  notBegun,
  Op,
  type Opcode,
  readFrames,
  WINDOW,
} from "./frames.ts";
import { type Post, RelayLink } from "./flow.ts";

/** The owner of a hub. */
export interface RelayHubOptions {
  /** Sends a message to the runner. */
  post: Post;
  /** The number of requests that a thread has begun, in memory that it shares. */
  begun?: Int32Array | null;
  /** Whether handlers may send packets to their clients alone. */
  answersOnly?: boolean;
  /**
   * Called when the runner has cut off a request, with its connection or its
   * packet's `subject`.
   */
  wasCut?: (subject: unknown) => void;
}

/** A request that a hub carries. */
interface HubRequest {
  readonly id: number;
  /** Its place among the requests that the runner was given. */
  readonly order: number;
  /** The connection, or what the owner knows the packet's request by. */
  readonly subject: unknown;
  readonly carried: Carried;
}

/** Carries connections and packets to one runner and back. */
export class RelayHub {
  #link: RelayLink;
  #begun: Int32Array | null;
  #answersOnly: boolean;
  #wasCut: (subject: unknown) => void;
  #requests: RequestTable<HubRequest> = new RequestTable();
  #toAdvance: Carried[] = [];
  #load = 0;
  #given = 0;
  #failure: Error | null = null;
  #deliverTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RelayHubOptions) {
    const { post, begun = null, answersOnly = false, wasCut } = options;
    this.#link = new RelayLink(post);
    this.#begun = begun;
    this.#answersOnly = answersOnly;
    this.#wasCut = wasCut ?? (() => {});
  }

  /** The number of requests, including those still being delivered. */
  get size(): number {
    return this.#requests.size;
  }

  /** The number of requests in the runner. */
  get load(): number {
    return this.#load;
  }

  /** The number of bytes in transit to the runner. */
  get backlog(): number {
    return this.#link.inTransit;
  }

  /** Carries a connection. */
  relay(conn: Deno.Conn): Promise<number> {
    return this.#carry(conn, (carrier) => {
      const carried = carriedOf(conn);
      carried.attach(carrier);
      return carried;
    });
  }

  /**
   * Carries a packet, and those sent in return. Its owner knows the request by
   * `subject`.
   */
  relayPacket(
    packet: Uint8Array,
    from: Deno.Addr,
    truncated: boolean,
    send: SendPacket,
    subject: unknown = packet,
  ): Promise<number> {
    const answersOnly = this.#answersOnly;
    return this.#carry(
      subject,
      (carrier) =>
        new CarriedPacket(
          { packet, from, truncated, send, answersOnly },
          carrier,
        ),
    );
  }

  /** Takes a message from the runner. */
  receive(message: Uint8Array): void {
    if (this.#failure !== null) return;
    readFrames(message, this.#onFrame);
    for (const carried of this.#toAdvance) carried.advance();
    this.#toAdvance.length = 0;
  }

  /**
   * Sends the frames that wait for the end of the turn, because another message
   * follows.
   */
  flush(): void {
    this.#link.flush();
  }

  /** Has the runner cut off a request, if it has it. */
  cutOff(subject: unknown): void {
    for (const request of this.#requests.all()) {
      if (request.subject === subject) this.#link.send(Op.cut, request.id);
    }
  }

  /**
   * The runner has ended: its bytes are delivered for at most `deliverFor` ms.
   *
   * @returns The connections, and subjects of packets, that are lost with it.
   */
  fail(error: Error, deliverFor: number): unknown[] {
    if (this.#failure !== null) return [];
    this.#failure = error;
    this.#link.close();
    this.#load = 0;
    const lost = this.#requests.all().filter((request) =>
      request.carried.fail(error, this.#hasBegun(request))
    );
    if (this.#requests.size > 0 && deliverFor !== Infinity) {
      this.#deliverTimer = setTimeout(() => this.#cut(deliverFor), deliverFor);
    }
    return lost.map(({ subject }) => subject);
  }

  #cut(after: number): void {
    const error = new Deno.errors.TimedOut(
      `Cannot deliver the rest of an answer: the client did not read it within ${after} ms`,
    );
    for (const { carried } of this.#requests.all()) carried.cut(error);
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    const request = this.#requests.get(id);
    if (request === null) {
      throw new ProtocolError(`Cannot find the request ${id}`);
    }
    const { carried, subject } = request;
    if (carried.receive(op, bytes)) this.#toAdvance.push(carried);
    if (op === Op.done) this.#load--;
    else if (op === Op.cut) this.#wasCut(subject);
    const { held } = this.#link;
    if (held > this.#mostHeld) {
      throw new ProtocolError(
        `Cannot take more: ${held} bytes wait to be delivered`,
      );
    }
  };

  /** The most that a runner within its budget can have in transit. */
  get #mostHeld(): number {
    return BUDGET + WINDOW + this.#requests.size * MIN_WINDOW;
  }

  /** Whether the runner had begun a request, by the shared memory. */
  #hasBegun({ order }: HubRequest): boolean {
    if (this.#begun === null) return false;
    return (Atomics.load(this.#begun, 0) - order | 0) >= 0;
  }

  #carry(
    subject: unknown,
    begin: (carrier: Carrier) => Carried,
  ): Promise<number> {
    if (this.#failure !== null) {
      return Promise.reject(notBegun(this.#failure));
    }
    const id = this.#requests.nextId();
    const order = this.#given = this.#given + 1 | 0;
    this.#load++;
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null, ending = 0) => {
        this.#requests.delete(id);
        if (this.#requests.size === 0) clearTimeout(this.#deliverTimer);
        if (error === null) resolve(ending);
        else reject(error);
      };
      const carrier = { id, link: this.#link, settle };
      const carried = begin(carrier);
      this.#requests.set(id, { id, order, subject, carried });
    });
  }
}

/**
 * The requests of one end of a relay. A number is free again once its request
 * has ended at both ends: frames arrive in order, so none of the old request
 * can follow the `open` of a new one.
 *
 * It is an array, not a map. A map that grows and shrinks with each request
 * leaves a chain of old tables, through which the garbage collector keeps old
 * requests: it then took a third of the time of a short connection.
 */
class RequestTable<T> {
  // The first number is that of frames without a request
  #requests: (T | null)[] = [null];
  #free: number[] = [];
  #size = 0;

  /** The number of requests. */
  get size(): number {
    return this.#size;
  }

  /** Returns a free number. */
  nextId(): number {
    return this.#free.pop() ?? this.#requests.push(null) - 1;
  }

  /** Returns a request. */
  get(id: number): T | null {
    return this.#requests[id] ?? null;
  }

  /** Adds a request. */
  set(id: number, request: T): void {
    this.#requests[id] = request;
    this.#size++;
  }

  /** Removes a request. */
  delete(id: number): void {
    this.#requests[id] = null;
    this.#size--;
    this.#free.push(id);
  }

  /** The requests. */
  all(): T[] {
    return this.#requests.filter((request) => request !== null);
  }
}
