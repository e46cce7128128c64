/**
 * The end of a relay that is in the runner.
 *
 * @module
 */

import {
  Op,
  type Opcode,
  readFrames,
  readJson,
  readPacket,
  RelayLink,
} from "./frames.ts";
import { RelayedConn } from "./relayed_conn.ts";

const NOTHING = new Uint8Array(0);

/** Sends a packet as a reply. */
export type Reply = (packet: Uint8Array, to: Deno.Addr) => void;

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

/** Takes connections and packets from a relay. */
export class RelayPort {
  #link: RelayLink;
  #handlers: RelayHandlers;
  #conns: Map<number, RelayedConn> = new Map();
  #truncated: Set<number> = new Set();

  constructor(
    post: (message: Uint8Array, transfer: Transferable[]) => void,
    handlers: RelayHandlers,
  ) {
    this.#link = new RelayLink(post);
    this.#handlers = handlers;
  }

  /** Takes a message from the other end. */
  receive(message: Uint8Array): void {
    readFrames(message, this.#onFrame);
  }

  /** Sends what waits for the end of the turn: no other may follow. */
  flush(): void {
    this.#link.flush();
  }

  #onFrame = (op: Opcode, id: number, bytes: Uint8Array): void => {
    if (op === Op.open) void this.#serve(id, bytes);
    else if (op === Op.packet) void this.#servePacket(id, bytes);
    else if (this.#conns.has(id)) this.#conns.get(id)!.receive(op, bytes);
    else if (op === Op.option) this.#truncated.add(id);
  };

  async #serve(id: number, bytes: Uint8Array): Promise<void> {
    const addresses = readJson(bytes) as RelayedConn;
    const conn = new RelayedConn(id, this.#link, addresses);
    this.#conns.set(id, conn);
    try {
      await this.#handlers.connection(conn);
    } finally {
      conn[Symbol.dispose]();
      this.#conns.delete(id);
      this.#link.send(Op.done, id, NOTHING);
    }
  }

  async #servePacket(id: number, bytes: Uint8Array): Promise<void> {
    const [from, packet] = readPacket(bytes);
    const truncated = this.#truncated.delete(id);
    const reply: Reply = (bytes, to) => this.#link.sendPacket(id, to, bytes);
    try {
      await this.#handlers.packet(packet, from, truncated, reply);
    } finally {
      this.#link.send(Op.done, id, NOTHING);
    }
  }
}
