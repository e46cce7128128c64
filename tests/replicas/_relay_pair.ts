/** A relay whose two ends are in one thread, and connections made up. */

import { RelayHub } from "../../workers/relay/hub.ts";
import type { RelayedConn } from "../../workers/relay/relayed_conn.ts";
import {
  type RelayHandlers,
  RelayPort,
  type Reply,
} from "../../workers/relay/port.ts";

const ADDRESS = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;

/** The address of a client of packets. */
export const CLIENT = {
  transport: "udp",
  hostname: "127.0.0.1",
  port: 2,
} as const;

/** A connection without a socket. */
export class FakeConn {
  readonly localAddr: Deno.Addr = ADDRESS;
  readonly remoteAddr: Deno.Addr = ADDRESS;
  /** Whether writes wait, as for a client that does not read. */
  isDeaf = false;
  /** Whether reads give bytes without end. */
  isFlood = false;
  written: number[] = [];
  closed = false;
  #input: (Uint8Array | Error | null)[] = [];
  #wake: (() => void)[] = [];

  /** What the client sends: bytes, its end, or an error. */
  arrive(input: Uint8Array | Error | null): void {
    this.#input.push(input);
    this.#wakeAll();
  }

  /** The client reads again. */
  listen(): void {
    this.isDeaf = false;
    this.#wakeAll();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.closed) throw new Deno.errors.Interrupted("canceled");
      if (this.isFlood) {
        await new Promise((resolve) => setImmediate(() => resolve(0)));
        return into.length;
      }
      const [first] = this.#input;
      if (first === null) return null;
      if (first instanceof Error) throw first;
      if (first !== undefined) {
        const count = Math.min(first.length, into.length);
        into.set(first.subarray(0, count));
        if (count === first.length) this.#input.shift();
        else this.#input[0] = first.subarray(count);
        return count;
      }
      await this.#change();
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.isDeaf && !this.closed) await this.#change();
    if (this.closed) throw new Deno.errors.Interrupted("canceled");
    this.written.push(...bytes);
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("closed");
    this.closed = true;
    this.#wakeAll();
  }

  /** What a hub takes it for. */
  get conn(): Deno.Conn {
    return this as unknown as Deno.Conn;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Gives a hub messages until it refuses one, as a runner does. */
export function tell(
  hub: RelayHub,
  broken: Error[],
): (message: Uint8Array) => void {
  return (message) => {
    if (broken.length > 0) return;
    try {
      hub.receive(message);
    } catch (error) {
      broken.push(error as Error);
    }
  };
}

/** A packet that has come to the port. */
export interface ArrivedPacket {
  packet: Uint8Array;
  reply: Reply;
  end: () => void;
}

/** A hub and a port that hand each other their messages. */
export class Pair {
  readonly hub: RelayHub;
  readonly port: RelayPort;
  readonly conns: RelayedConn[] = [];
  readonly packets: ArrivedPacket[] = [];
  readonly broken: Error[] = [];
  /** The numbers of the requests that the hub wanted cut off. */
  readonly cut: number[] = [];
  toPort = 0;
  toHub = 0;
  /** Whether the port takes nothing, as in a thread that is busy. */
  isBusy = false;
  #ends: (() => void)[] = [];

  constructor(answersOnly = false) {
    this.hub = new RelayHub({
      post: (message) => {
        this.toPort += message.length;
        if (!this.isBusy) this.port.receive(message);
      },
      answersOnly,
    });
    const port = {
      post: (message: unknown) => {
        this.toHub += (message as Uint8Array).length;
        tell(this.hub, this.broken)(message as Uint8Array);
      },
      flushed: () => Promise.resolve(),
    };
    this.port = new RelayPort(port, this.#handlers(), null);
  }

  /** Ends all handlers. */
  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  #handlers(): RelayHandlers {
    const ended = () =>
      new Promise<number>((resolve) => this.#ends.push(() => resolve(0)));
    return {
      connection: (conn) => {
        this.conns.push(conn);
        return ended();
      },
      packet: (packet, _from, _truncated, reply) => {
        const { promise, resolve } = Promise.withResolvers<number>();
        this.packets.push({ packet, reply, end: () => resolve(0) });
        return promise;
      },
      cutOff: (id) => void this.cut.push(id),
    };
  }
}

/** Lets what was sent arrive, and what that leads to. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
