/**
 * The replicas of a server: which there are, and who gets what.
 *
 * @module
 */

import type { DatagramRequest } from "../../handlers/datagram_request.ts";
import type { ServerStats } from "../../handlers/request_server.ts";
import { type RunnerExit, RunnerExitError } from "../../workers/errors.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import { NotBegunError } from "../../workers/relay/errors.ts";
import { startRunner } from "../../workers/runner/start_runner.ts";
import { Supervisor } from "../../workers/runner/supervisor.ts";
import { core, type OpenListener, type ServerRole } from "../_internal.ts";
import { optionsForReplicas } from "../core/check_options.ts";
import { inTime } from "../core/in_time.ts";
import { MutableAcceptor } from "../sockets/mutable_acceptor.ts";
import { canShare, openShared } from "./port_sharing.ts";
import { Replica, type ReplicaOwner } from "./replica.ts";
import {
  draftPlan,
  type ReplicaDraft,
  type ReplicaPlan,
  type Sharing,
} from "./plan.ts";
import { addStats } from "../core/counts.ts";
import type { BaseServer } from "../base_server.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { Dispatch, ReplicaOptions } from "../options.ts";

const MAIN_URL = new URL("./main.ts", import.meta.url).href;
const DEFAULT_STALL_TIMEOUT_MS = 5_000;
const PING_INTERVAL_MS = 1_000;
const KILL_AFTER_MS = 1_000;
const MAX_ISOLATED = 40;
/** So many packets at most are in a replica: the rest wait in the socket. */
const PACKETS_PER_REPLICA = 1_024;
/** To so many replicas a request goes before one begins with it. */
const MAX_TRIES = 3;
/** Replicas cut off later than their server, which so can tell what it cut. */
const CUT_OFF_AFTER_MS = 100;

/** Runs a server's handlers in replicas. */
export class ReplicaSet implements ServerRole {
  /** Ends the wait of `start()`: a module may never have done with loading. */
  interrupt: () => void = () => {};
  #server: BaseServer;
  #kind: RunnerKind;
  #options: ReplicaOptions;
  #owner: ReplicaOwner;
  #draft: ReplicaDraft;
  #workers: number;
  #sharing: Sharing | null = null;
  #supervisor: Supervisor<Replica>;
  #replicas: Set<Replica> = new Set();
  #isolated: Set<Replica> = new Set();
  #started = false;
  #sharingNow = false;
  #muted: MutableAcceptor<unknown> | null = null;
  #pings: ReturnType<typeof setInterval> | undefined;
  #restarts = 0;
  #past: ServerStats[] = [];
  /** The requests that no replica has yet. */
  #waiting: Set<Promise<void>> = new Set();
  #draining = false;
  #finishing = false;

  constructor(server: BaseServer, kind: RunnerKind, options: ReplicaOptions) {
    this.#server = server;
    this.#kind = kind;
    this.#options = options;
    const { permissions = "inherit" } = options;
    this.#owner = {
      confines: permissions !== "inherit",
      isSharing: () => this.#sharingNow,
      shutdown: () => server[core].endServing(),
      stats: async () => await server.stats(),
      leaving: (replica) => this.#letGo(replica),
    };
    this.#workers = Math.min(
      options.workers ?? (this.#isolates ? MAX_ISOLATED : cores()),
      options.maxConnections ?? Infinity,
    );
    this.#draft = draftPlan(server, kind, options);
    this.#supervisor = new Supervisor({
      start: () => this.#startReplica(),
      ended: (replica, exit, meant) => this.#ended(replica, exit, meant),
      gaveUp: (cause) => server[core].failServing(cause),
    });
  }

  get limit(): number {
    if (this.#isolates) return this.#workers;
    return this.#server.serverAddress.transport === "tcp" ||
        this.#server.serverAddress.transport === "unix"
      ? Infinity
      : this.#workers * PACKETS_PER_REPLICA;
  }

  /** How the replicas get their requests, now that the address is bound. */
  get dispatch(): Exclude<Dispatch, "auto"> {
    if (this.#isolates) return "isolate";
    return this.#sharing === null ? "relay" : "shard";
  }

  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    const { dispatch = "auto" } = this.#options;
    if (
      (dispatch !== "shard" && dispatch !== "auto") ||
      !canShare(this.#kind, address, this.#options)
    ) return open(address, {});
    const [listener, sharing] = openShared(this.#kind, address, open);
    this.#sharing = sharing;
    return listener;
  }

  async start(forever: boolean): Promise<void> {
    this.#sharingNow = forever && this.#sharing !== null;
    if (this.#sharing === "loadBalanced") this.#mute(forever);
    // The one request must not come to a listener that nobody looks at
    if (!forever && this.#sharing !== null) await this.#pauseAll(true);
    const { promise: interrupted, resolve } = Promise.withResolvers<void>();
    this.interrupt = resolve;
    const started = this.#keep();
    started.catch(() => {}); // nobody looks at it after an interrupt
    await Promise.race([started, interrupted]);
    if (!this.#sharingNow) return;
    const ready = [...this.#supervisor.ready];
    // What ends meanwhile is replaced, and told of elsewhere
    await Promise.all(ready.map((r) => r.resume().catch(() => {})));
  }

  async pause(): Promise<void> {
    if (!this.#sharingNow) return;
    this.#sharingNow = false;
    // An accept that is pending would keep a client; where each has a queue of
    // its own, closing it may lose some
    await this.#pauseAll(this.#sharing === "loadBalanced");
  }

  async process(request: unknown, clientAddress: Deno.Addr): Promise<void> {
    const { promise: handedOn, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(handedOn);
    try {
      for (let tries = 1;; tries++) {
        const error = await this.#tryOne(request, clientAddress, resolve);
        if (error === null) return;
        // It may be what ends them
        if (tries === MAX_TRIES) throw error.cause;
      }
    } finally {
      resolve();
      this.#waiting.delete(handedOn);
    }
  }

  /** Has a replica serve a request; returns the error if it never began. */
  async #tryOne(
    request: unknown,
    clientAddress: Deno.Addr,
    handedOn: () => void,
  ): Promise<NotBegunError | null> {
    const replica = await this.#choose();
    try {
      const served = this.#relay(replica, request, clientAddress);
      handedOn();
      await served;
      return null;
    } catch (error) {
      if (error instanceof NotBegunError) return error;
      throw error;
    } finally {
      if (this.#isolated.delete(replica)) void this.#retire(replica);
    }
  }

  #relay(
    replica: Replica,
    request: unknown,
    clientAddress: Deno.Addr,
  ): Promise<void> {
    if ("packet" in (request as DatagramRequest)) {
      const { packet, truncated, socket } = request as DatagramRequest;
      return replica.relay.relayPacket(
        packet,
        clientAddress,
        truncated,
        (reply, to) => socket.send(reply, to),
      );
    }
    return replica.relay.relay(request as Deno.Conn);
  }

  drain(): void {
    this.#draining = true;
    if (this.#muted !== null) this.#muted.muted = false;
    for (const replica of this.#replicas) replica.drain();
  }

  async finish(deadline: number): Promise<DrainReport> {
    const chosen = Promise.allSettled(this.#waiting);
    await inTime(chosen, deadline - performance.now());
    this.#finishing = true;
    this.#supervisor.stop(
      new ServerClosedError("The request was lost: the server was closed"),
    );
    const reports = await Promise.all(
      [...this.#replicas].map((replica) => this.#close(replica, deadline)),
    );
    clearInterval(this.#pings);
    return {
      completed: reports.reduce((sum, { completed }) => sum + completed, 0),
      aborted: reports.flatMap(({ aborted }) => aborted),
    };
  }

  async stats(own: ServerStats): Promise<ServerStats> {
    const ready = [...this.#supervisor.ready, ...this.#isolated];
    const ofReplicas = await Promise.all(ready.map((r) => r.stats()));
    const stats = addStats([own, ...this.#past, ...ofReplicas]);
    // What is relayed is open here and there
    const accepted = ready.reduce((sum, r) => sum + r.accepted.size, 0);
    return {
      ...stats,
      open: own.open + accepted,
      dispatch: this.dispatch,
      workers: this.#replicas.size,
      restarts: this.#restarts,
    };
  }

  /** Puts a new replica in the place of each, one after the other. */
  async recycle(): Promise<void> {
    for (const replica of [...this.#supervisor.ready]) {
      if (this.#finishing) return;
      if (!this.#isolates) await this.#supervisor.keep(this.#workers + 1);
      // It may have ended, or have been taken for a request
      if (!this.#supervisor.ready.has(replica)) continue;
      this.#supervisor.release(replica, false);
      if (!this.#isolates) this.#keep().catch(() => {}); // told by gaveUp()
      await this.#retire(replica);
    }
    if (!this.#isolates && !this.#finishing) await this.#keep();
  }

  get #isolates(): boolean {
    return this.#options.dispatch === "isolate";
  }

  #mute(muted: boolean): void {
    const { acceptor } = this.#server;
    if (acceptor === null) return;
    this.#muted ??= new MutableAcceptor(acceptor);
    this.#muted.muted = muted;
    this.#server.acceptor = this.#muted;
  }

  /** Has the supervisor keep as many replicas as there should be now. */
  #keep(): Promise<void> {
    this.#started = true;
    this.#pings ??= this.#startPinging();
    if (!this.#isolates) return this.#supervisor.keep(this.#workers);
    const room = this.#workers - this.#isolated.size;
    return this.#supervisor.keep(Math.min(cores(), room));
  }

  #startReplica(): Replica {
    const { plan, modules } = this.#draft;
    const { constructor, serverAddress } = this.#server;
    const slot = this.#freeSlot();
    const data: ReplicaPlan = {
      ...plan,
      address: serverAddress,
      sharing: this.#sharing,
      options: {
        ...optionsForReplicas(this.#options, this.#sharing !== null),
        maxConnections: this.#shareOf(slot),
      },
    };
    const runner = startRunner(this.#kind, {
      main: MAIN_URL,
      modules,
      data,
      name: constructor.name,
      permissions: this.#options.permissions ?? "inherit",
    });
    const replica = new Replica(runner, this.#owner, slot);
    this.#replicas.add(replica);
    if (this.#draining) replica.drain();
    return replica;
  }

  #freeSlot(): number {
    const taken = new Set([...this.#replicas].map(({ slot }) => slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }

  /** The part of `maxConnections` that one replica may accept by itself. */
  #shareOf(slot: number): number {
    const { maxConnections } = this.#server;
    if (maxConnections === Infinity) return Infinity;
    const extra = slot < maxConnections % this.#workers ? 1 : 0;
    return Math.max(1, Math.floor(maxConnections / this.#workers) + extra);
  }

  #ended(replica: Replica, exit: RunnerExit, meant: boolean): void {
    this.#replicas.delete(replica);
    this.#isolated.delete(replica);
    if (!meant) this.#restarts++;
    const error = replica.lostBy(exit);
    replica.relay.fail(error, this.#server.shutdownTimeout);
    if (this.#finishing) return;
    for (const address of replica.accepted.values()) {
      void this.#server[core].report(error, address);
    }
  }

  /** Closes a replica while the server goes on. */
  async #retire(replica: Replica): Promise<void> {
    const closed = await replica.close(this.#server.shutdownTimeout);
    if (closed !== null) this.#past.push(closed.stats);
    if (this.#isolates && !this.#finishing) {
      void this.#keep().catch(() => {}); // told by gaveUp()
    }
  }

  /** Replaces a replica that was told to end, once its requests have ended. */
  #letGo(replica: Replica): void {
    if (this.#finishing || !this.#supervisor.ready.has(replica)) return;
    this.#supervisor.release(replica);
    void this.#retire(replica);
  }

  /** Closes a replica together with the server. */
  async #close(replica: Replica, deadline: number): Promise<DrainReport> {
    if (!replica.isReady) {
      await replica.kill();
      return { completed: 0, aborted: [] };
    }
    const left = Math.max(0, deadline - performance.now());
    const closed = await replica.close(left + CUT_OFF_AFTER_MS);
    if (closed === null) {
      return { completed: 0, aborted: [...replica.accepted.values()] };
    }
    this.#past.push(closed.stats);
    return closed.report;
  }

  #startPinging(): ReturnType<typeof setInterval> | undefined {
    const { stallTimeout = DEFAULT_STALL_TIMEOUT_MS } = this.#options;
    if (stallTimeout === Infinity) return undefined;
    const interval = Math.min(PING_INTERVAL_MS, Math.ceil(stallTimeout / 2));
    const timer = setInterval(() => {
      for (const replica of this.#replicas) {
        if (!replica.isReady || replica.givenUp !== null) continue;
        replica.ping();
        if (replica.unanswered * interval >= stallTimeout) {
          this.#setAside(replica);
        }
      }
    }, interval);
    Deno.unrefTimer(timer as unknown as number);
    return timer;
  }

  /** Replaces a replica in an endless loop, and ends it if that can be. */
  #setAside(replica: Replica): void {
    replica.unanswered = 0;
    this.#restarts++;
    this.#supervisor.release(replica);
    const { runner } = replica;
    const { stallTimeout = DEFAULT_STALL_TIMEOUT_MS } = this.#options;
    const error = replica.givenUp = new RunnerExitError(
      `The ${runner.kind} of a replica was given up, with the requests in it: it did not answer for ${stallTimeout} ms, as in an endless loop`,
      { code: 1, reason: "terminated" },
    );
    if (replica.load === 0) void this.#server[core].report(error, null);
    replica.relay.fail(error, this.#server.shutdownTimeout);
    runner.terminate();
    const timer = setTimeout(() => runner.kill(), KILL_AFTER_MS);
    void runner.exited.then(() => clearTimeout(timer));
  }

  async #pauseAll(leaves: boolean): Promise<void> {
    await Promise.all([...this.#replicas].map((r) => r.pause(leaves)));
  }

  async #choose(): Promise<Replica> {
    if (!this.#started) void this.#keep().catch(() => {});
    for (;;) {
      await this.#supervisor.someReady();
      const replica = this.#leastBusy();
      if (replica === null) continue;
      if (this.#isolates) {
        this.#isolated.add(replica);
        this.#supervisor.release(replica, false);
        void this.#keep().catch(() => {}); // told by gaveUp()
      }
      return replica;
    }
  }

  #leastBusy(): Replica | null {
    let best: Replica | null = null;
    for (const replica of this.#supervisor.ready) {
      if (best === null || replica.load < best.load) best = replica;
    }
    return best;
  }
}

function cores(): number {
  return navigator.hardwareConcurrency;
}
