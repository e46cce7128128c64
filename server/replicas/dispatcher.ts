/**
 * Chooses the replica for a request that the server has accepted.
 *
 * @module
 */

import type { DatagramRequest } from "../../handlers/request_types.ts";
import { NotBegunError } from "../../workers/relay/frames.ts";
import type { Members } from "./members.ts";
import type { Replica } from "./replica.ts";

/** Most replicas to try for one request. */
const MAX_TRIES = 3;
/** More requests than a replica can have. */
const SILENT = 2 ** 32;

/** A request that a replica has got. */
interface Given {
  replica: Replica;
  carrying: Promise<number>;
}

/** Gives requests to replicas, and again those that a replica never began. */
export class Dispatcher {
  #members: Members;
  #wanted: () => void;
  #waiting: (() => void)[] = [];
  #choosing = 0;
  #failure: Error | null = null;
  #allHandedOn: (() => void) | null = null;

  /**
   * Constructs it.
   *
   * @param members The replicas.
   * @param wanted Called when a request waits, and there is no candidate.
   */
  constructor(members: Members, wanted: () => void) {
    this.#members = members;
    this.#wanted = wanted;
  }

  /** Serves a request; settles with its ending when the answer is delivered. */
  async process(request: unknown, clientAddress: Deno.Addr): Promise<number> {
    for (let tries = 1;; tries++) {
      const { replica, carrying } = this.#give(request, clientAddress) ??
        await this.#wait(request, clientAddress);
      const started = performance.now();
      try {
        return await carrying;
      } catch (error) {
        if (!(error instanceof NotBegunError)) throw error;
        // This request may be what ends the replicas
        if (tries === MAX_TRIES) throw error.cause;
      } finally {
        replica.duration.record(performance.now() - started);
        this.#members.served(replica);
      }
    }
  }

  /** There may be a candidate. */
  wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** Requests without a replica may wait. */
  open(): void {
    this.#failure = null;
  }

  /** No request may wait any longer. */
  fail(cause: Error): void {
    this.#failure = cause;
    this.wake();
  }

  /** Settles when each request that waited has a replica. */
  handedOn(): Promise<void> {
    if (this.#choosing === 0) return Promise.resolve();
    return new Promise((resolve) => this.#allHandedOn = resolve);
  }

  /** Gives a request to a replica once one can take it. */
  async #wait(request: unknown, clientAddress: Deno.Addr): Promise<Given> {
    this.#choosing++;
    try {
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#waiting.push(resolve);
        this.#wanted();
        await promise;
        const given = this.#give(request, clientAddress);
        if (given !== null) return given;
      }
    } finally {
      if (--this.#choosing === 0) this.#allHandedOn?.();
    }
  }

  /**
   * Gives a request to the least busy replica, if one can take it. It does so
   * without waiting: in the next task the replica may already be closing.
   */
  #give(request: unknown, clientAddress: Deno.Addr): Given | null {
    const replica = this.#choose();
    if (replica === null) return null;
    const carrying = carry(replica, request, clientAddress);
    return { replica, carrying };
  }

  /** Chooses the least busy replica, if one can take a request. */
  #choose(): Replica | null {
    if (this.#failure !== null) throw this.#failure;
    let best: Replica | null = null;
    for (const replica of this.#members.all) {
      if (!this.#members.canTake(replica)) continue;
      if (best === null || weight(replica) < weight(best)) best = replica;
    }
    if (best !== null) this.#members.take(best);
    return best;
  }
}

/** A replica that does not answer is busier than any that does. */
function weight({ load, silence }: Replica): number {
  return silence > 0 ? load + SILENT : load;
}

function carry(
  { relay }: Replica,
  request: unknown,
  clientAddress: Deno.Addr,
): Promise<number> {
  if (!("packet" in (request as DatagramRequest))) {
    return relay.relay(request as Deno.Conn);
  }
  const { packet, truncated, socket } = request as DatagramRequest;
  return relay.relayPacket(
    packet,
    clientAddress,
    truncated,
    (reply, to) => socket.send(reply, to),
    request,
  );
}
