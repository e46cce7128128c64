/**
 * A replica as its server sees it.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_types.ts";
import { Histogram } from "../../workers/base/histogram.ts";
import type { RunnerExitError } from "../../workers/base/errors.ts";
import {
  type Line,
  MemoryLine,
  type RelayMemory,
} from "../../workers/line/shared_line.ts";
import { RelayHub } from "../../workers/relay/hub.ts";
import { plainAddress } from "../../workers/relay/frames.ts";
import { Ending } from "../../workers/base/progress.ts";
import type { Runner } from "../../workers/runner/runner.ts";
import type { Member } from "../../workers/runner/supervisor.ts";
import { core } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { COUNTS } from "../core/faults.ts";
import type { ReplicaOptions } from "../options.ts";
import { Life } from "./life.ts";
import {
  type CountValues,
  decodeFromReplica,
  detailsOf,
  type EventDetails,
  type FromReplica,
  outOfOrder,
  type Question,
  type ReplicaEventName,
  type ToReplica,
} from "./protocol.ts";

const ACCEPTED = COUNTS.indexOf("accepted");

/** The messages about requests. */
const TOLD_LATE: ReadonlySet<string> = new Set(["opened", "cut", "ended"]);

/** More bytes than this don't wait for a replica that asks for more. */
const MAX_BACKLOG = 8 * 2 ** 20;

/** More open requests than a process has descriptors for are a lie. */
const MAX_OPEN = 2 ** 18;

/** The replica set, as a replica sees it. */
export interface ReplicaOwner {
  readonly server: BaseServer;
  readonly options: ReplicaOptions;
  /** How long a replica may not answer. */
  readonly stallTimeout: number;
  /** Whether others take all clients on the port when a replica leaves it. */
  readonly othersStay: boolean;
  /** The counts of the whole server; `own` are those of the server itself. */
  stats(own: ServerStats): ServerStats;
  /** A request that it had accepted by itself has ended. */
  finished(clientAddress: Deno.Addr, ending: number): void;
  /** It has cut off a request of the server. */
  wasCut(request: unknown): void;
  /** Something happened in the replica. */
  observed(name: ReplicaEventName, details: EventDetails): void;
  /** The replica is over a limit. */
  exceeded(replica: Replica, limit: "maxRequests" | "maxMemory"): void;
  /** Something else asked the replica to leave; it reports each such request. */
  leaving(replica: Replica): void;
  /** The replica has ended, or was given up. */
  ended(replica: Replica, cause: RunnerExitError): void;
}

/** A request that a replica has accepted by itself. */
interface AcceptedRequest {
  clientAddress: Deno.Addr;
  since: number;
  /** Whether a deadline or `disconnect()` has ended it. */
  isCut: boolean;
}

/** A runner and the requests in it. */
export class Replica implements Member {
  readonly number: number;
  readonly runner: Runner;
  readonly relay: RelayHub;
  readonly life: Life;
  /** The requests that it has accepted by itself. */
  readonly accepted: Map<number, AcceptedRequest> = new Map();
  /** Its counts, in the order of {@linkcode COUNTS}. */
  counts: CountValues = COUNTS.map(() => 0);
  /** The durations of its requests. */
  readonly duration: Histogram = new Histogram();
  /** For how long it has made no progress, in ms, while it owes an answer. */
  silence = 0;
  #line: Line;
  /** Grows while the handlers of a thread go on. */
  #progress: Int32Array | null;
  #arrived = 0;
  #seen = 0;
  #owner: ReplicaOwner;
  #maxRequests: number;
  #maxMemory: number;
  #requests = 0;
  #lastId = 0;
  #pinged = false;
  #resumed = false;

  constructor(
    number: number,
    runner: Runner,
    memory: RelayMemory | null,
    owner: ReplicaOwner,
    isHeld = false,
  ) {
    this.number = number;
    this.runner = runner;
    this.#owner = owner;
    const { options, server, stallTimeout } = owner;
    const { maxRequests = Infinity, maxRequestsJitter = 0 } = options;
    const extra = Math.floor(Math.random() * (maxRequestsJitter + 1));
    this.#maxRequests = maxRequests + extra;
    this.#maxMemory = options.maxMemory ?? Infinity;
    this.#progress = memory?.progress ?? null;
    const memoryLine = memory === null ? null : new MemoryLine(
      runner,
      memory.fromRunner,
      memory.toRunner,
      (error) => runner.fail(error),
    );
    this.#line = memoryLine ?? runner;
    void runner.exited.then(() => memoryLine?.stop());
    this.relay = new RelayHub({
      post: (message, transfer) => this.#line.post(message, transfer),
      begun: memory?.begun ?? null,
      wasCut: (request) => owner.wasCut(request),
      answersOnly: (options.permissions ?? "inherit") !== "inherit",
    });
    this.life = new Life(runner, {
      send: (message) => this.#command(message),
      ended: (cause) => owner.ended(this, cause),
      get commandTimeout() {
        return server.shutdownTimeout + stallTimeout;
      },
      get othersStay() {
        return owner.othersStay;
      },
    }, isHeld);
    // An error thrown here ends the runner
    this.#line.onmessage = (message) =>
      this.#receive(decodeFromReplica(message));
  }

  get ready(): Promise<void> {
    return this.life.ready;
  }

  get wasUsed(): boolean {
    return this.#requests > 0;
  }

  /** How many requests it has. */
  get load(): number {
    return this.relay.load + this.accepted.size;
  }

  /** It gets a request. */
  begin(): void {
    if (++this.#requests >= this.#maxRequests) {
      this.#owner.exceeded(this, "maxRequests");
    }
  }

  /** Sends a message that is no command. */
  send(message: ToReplica): void {
    this.#line.post(message);
  }

  /** The server closes, and cuts off what is open at the time `deadline`. */
  drain(deadline: number): void {
    this.relay.flush(); // what has arrived comes first
    this.send(["drain", Math.max(0, deadline - performance.now())]);
  }

  /**
   * Looks for progress since the last look, `interval` ms ago, and pings it.
   *
   * @returns For how long there was none.
   */
  watch(interval: number): number {
    const seen = this.#arrived + (this.#progress?.[0] ?? 0);
    if (seen !== this.#seen) this.silence = 0;
    else if (this.#pinged) this.silence += interval;
    this.#seen = seen;
    if (!this.#pinged) {
      this.#pinged = true;
      this.send(["ping"]);
    }
    return this.silence;
  }

  #command(message: ToReplica): void {
    this.relay.flush(); // relayed requests come first
    this.#resumed ||= (message as unknown[])[0] === "resume";
    this.send(message);
  }

  #receive(message: FromReplica): void {
    this.#arrived++;
    if (message instanceof Uint8Array) return this.relay.receive(message);
    const isGivenUp = this.life.state === "ended";
    // Until its exit, requests that it reports late are known to be lost
    if (isGivenUp && !TOLD_LATE.has(message[0])) return;
    switch (message[0]) {
      case "opened":
        return this.#opened(message[1], message[2]);
      case "cut":
        return this.#cut(message[1]);
      case "ended":
        return this.#ended(message[1], message[2], message[3], message[4]);
      case "event":
        return this.#owner.observed(message[1], detailsOf(message[2]));
      case "pong":
        return this.#pong(message[1]);
      case "done":
        return this.life.acknowledge();
      case "closed":
        return this.life.closed();
      case "ask":
        return void this.#answer(message[1], message[2]);
      case "leaving":
        return this.#owner.leaving(this);
      case "working":
        return;
    }
  }

  #pong(memory: number): void {
    if (!this.#pinged) throw outOfOrder("pong");
    this.#pinged = false;
    this.silence = 0;
    if (memory > this.#maxMemory) this.#owner.exceeded(this, "maxMemory");
  }

  #opened(id: number, clientAddress: Deno.Addr): void {
    if (this.accepted.size >= MAX_OPEN) throw outOfOrder("opened");
    if (!this.#resumed || id !== this.#lastId + 1) throw outOfOrder("opened");
    this.#lastId = id;
    this.accepted.set(id, {
      clientAddress: plainAddress(clientAddress),
      since: performance.now(),
      isCut: false,
    });
    // It reports each end, but may end before it can
    if (this.counts[ACCEPTED]! < id) this.counts[ACCEPTED] = id;
    this.begin();
  }

  #cut(id: number): void {
    const request = this.accepted.get(id);
    if (request === undefined) throw outOfOrder("cut");
    if (request.isCut) return;
    request.isCut = true;
    this.#owner.finished(request.clientAddress, Ending.aborted);
  }

  #ended(
    ids: number[],
    counts: CountValues,
    durations: number[],
    endings: number[],
  ): void {
    const { length } = ids;
    if (length !== durations.length || length !== endings.length) {
      throw outOfOrder("durations");
    }
    ids.forEach((id, i) => {
      const request = this.accepted.get(id);
      if (request === undefined) throw outOfOrder("ended");
      this.accepted.delete(id);
      const ending = endings[i]!;
      const isKnown = request.isCut && (ending & Ending.aborted) !== 0;
      if (durations[i]! < 0 || isKnown) return;
      this.#owner.finished(request.clientAddress, ending);
    });
    if (counts.some((count, i) => count < this.counts[i]!)) {
      throw outOfOrder("counts");
    }
    this.counts = counts;
    for (const duration of durations) {
      if (duration < 0) continue;
      this.duration.record(duration);
      this.#owner.server[core].cycle.meter.measured(duration);
    }
  }

  async #answer(id: number, question: Question): Promise<void> {
    // It does not read what it asks for
    if (this.runner.backlog > MAX_BACKLOG) {
      return this.runner.fail(outOfOrder("ask"));
    }
    const serving = this.#owner.server[core];
    let value: ServerStats | null = null;
    // Methods that a subclass overrides run in the replica, and may fail there
    if (question === "stats") value = this.#owner.stats(serving.stats());
    else await serving.endServing();
    this.send(["answer", id, value]);
  }
}
