/**
 * The current replicas of a set.
 *
 * @module
 */

import {
  Supervisor,
  type SupervisorHost,
} from "../../workers/runner/supervisor.ts";
import { core } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { inTime } from "../../workers/base/waits.ts";
import { arrivals } from "../core/watched_conn.ts";
import type { Goal } from "./life.ts";
import { CUT_OFF_AFTER_MS } from "./protocol.ts";
import type { Monitor } from "./monitor.ts";
import type { Replica } from "./replica.ts";

/** How long the server waits for replicas to stop accepting. */
const LEAD_TIMEOUT_MS = 1_000;

/** Most packets in one replica; others wait in the socket. */
const PACKETS_PER_REPLICA = 1_024;
/** Most bytes of packets in one replica, plus one packet. */
const BYTES_PER_REPLICA = 8_388_608;

/** The replica set, as its members see it. */
export interface MembersHost {
  readonly server: BaseServer;
  readonly monitor: Monitor;
  /** The number of replicas; with one request each, the maximum. */
  readonly workers: number;
  /** Whether each serves only one request. */
  readonly isolates: boolean;
  /** How long a replica may not answer. */
  readonly stallTimeout: number;
  /** Starts a replica; one that is held only loads its modules. */
  launch(isHeld: boolean): Replica;
  /** A replica is usable. */
  launched(): void;
  /** Fewer replicas listen than before. */
  listensNoMore(): void;
  /** Replicas repeatedly end before they are ready, and there is no other. */
  gaveUp(cause: Error): void;
}

/** Starts and closes replicas, and keeps them complete. */
export class Members implements SupervisorHost<Replica> {
  readonly all: Set<Replica> = new Set();
  /** All replicas, and those given up whose runners have not ended. */
  readonly alive: Set<Replica> = new Set();
  readonly supervisor: Supervisor<Replica>;
  /** Whether missing replicas are started. */
  isKeeping = false;
  #host: MembersHost;
  /** The replicas that have got their only request. */
  #taken: Set<Replica> = new Set();
  #goal: Goal = "leave";
  #watchdog: Watchdog;

  constructor(host: MembersHost) {
    this.#host = host;
    this.#watchdog = new Watchdog(
      this.all,
      host.stallTimeout,
      (replica) => host.monitor.tell("replicaStall", replica),
    );
    this.supervisor = new Supervisor(this);
  }

  get workers(): number {
    return this.#host.workers;
  }

  /** The replicas' goal. */
  get goal(): Goal {
    return this.#goal;
  }

  /** Whether any accepts by itself, and will go on. */
  get someListen(): boolean {
    return [...this.all].some(({ life }) => life.listens);
  }

  /** Whether all wanted replicas listen: none is starting or leaving the port. */
  get allListen(): boolean {
    const going = [...this.all].filter(({ life }) => !life.isClosing);
    return going.length >= this.workers &&
      going.every(({ life }) => life.listens);
  }

  /** Whether a replica can take a request. */
  canTake(replica: Replica): boolean {
    return replica.life.isUsable && !this.#taken.has(replica);
  }

  /** Most requests that they can have. */
  mostRequests(transport: Deno.Addr["transport"]): number {
    const { workers } = this;
    if (this.#host.isolates) return workers;
    if (transport === "tcp" || transport === "unix") return Infinity;
    let bytes = 0;
    for (const { relay } of this.all) bytes += relay.backlog;
    // Packets may be large: those in the replicas must end first
    return bytes > workers * BYTES_PER_REPLICA
      ? 0
      : workers * PACKETS_PER_REPLICA;
  }

  /** Starts missing replicas. Settles when one is usable. */
  keep(): Promise<void> {
    this.isKeeping = true;
    this.#watchdog.start();
    const { workers } = this;
    if (!this.#host.isolates) return this.supervisor.keep(workers);
    const room = workers - this.#taken.size;
    return this.supervisor.keep(Math.min(cores(), room));
  }

  /** Starts a replica; one that is held only loads its modules. */
  start(isHeld = false): Replica {
    const replica = this.#host.launch(isHeld);
    this.all.add(replica);
    this.alive.add(replica);
    void replica.runner.exited.then(() => {
      this.alive.delete(replica);
      this.#host.monitor.left(replica);
    });
    void replica.life.lead(this.#goal);
    replica.ready.then(() => {
      this.#host.monitor.tell("replicaStart", replica);
      this.#host.launched();
    }, () => {});
    return replica;
  }

  failing(cause: Error): void {
    void this.#host.server[core].cycle.report(cause, null, null);
  }

  gaveUp(cause: Error): void {
    this.isKeeping = false;
    for (const { life } of [...this.all]) {
      if (life.state === "starting") life.terminate("is not needed any more");
    }
    this.#host.gaveUp(cause);
  }

  /** Sets the goal of all replicas, also of later ones. */
  async lead(goal: Goal): Promise<void> {
    this.#goal = goal;
    const all = [...this.all].map(({ life }) => life.lead(goal));
    await inTime(Promise.all(all), LEAD_TIMEOUT_MS);
  }

  /** Makes every replica open its listener again. */
  async rejoin(): Promise<void> {
    const staying = [...this.all].filter(({ life }) => !life.isClosing);
    await Promise.all(staying.map(async ({ life }) => {
      await life.lead("leave");
      await life.lead(this.#goal);
    }));
  }

  /** One was chosen for a request. */
  take(replica: Replica): void {
    if (this.#host.isolates) {
      this.#taken.add(replica);
      this.supervisor.release(replica, false);
      this.#keepOn();
    }
    replica.begin();
  }

  /** A request that one was chosen for has ended. */
  served(replica: Replica): void {
    if (this.#host.isolates) void this.retire(replica);
  }

  /** One has ended, or was given up. */
  remove(replica: Replica): void {
    this.all.delete(replica);
    this.#taken.delete(replica);
  }

  /**
   * Closes all replicas and starts no more.
   *
   * @returns The clients whose requests a replica accepted and never ended,
   * except those that were cut off before.
   */
  async close(deadline: number, reason: Error): Promise<Deno.Addr[]> {
    this.isKeeping = false;
    this.supervisor.stop(reason);
    const left = Math.max(0, deadline - performance.now());
    const all = [...this.all];
    await Promise.all(
      all.map(({ life }) => life.close(left + CUT_OFF_AFTER_MS)),
    );
    await Promise.all([...this.alive].map(({ runner }) => runner.exited));
    this.#watchdog.stop();
    return all.flatMap(({ accepted }) =>
      [...accepted.values()].filter(({ isCut }) => !isCut)
        .map(({ clientAddress }) => clientAddress)
    );
  }

  #keepOn(): void {
    if (this.isKeeping) this.keep().catch(() => {}); // gaveUp() reports it
  }

  /** Lets a replica finish its requests; settles when it takes no more. */
  async retire(replica: Replica): Promise<void> {
    // Its requests first get the bytes that the system has received for them
    const { shutdownTimeout } = this.#host.server;
    const deadline = performance.now() + shutdownTimeout;
    if (replica.relay.size > 0) await arrivals(deadline);
    void replica.life.close(shutdownTimeout);
    this.#host.listensNoMore();
    if (this.#host.isolates) {
      void replica.runner.exited.then(() => this.#keepOn());
    }
    await replica.life.settled();
  }
}

/** The number of threads that the machine runs at once. */
export function cores(): number {
  return navigator.hardwareConcurrency;
}

const PING_INTERVAL_MS = 1_000;
/** How often it looks within the time-out: the last may come that much late. */
const LOOKS = 4;

/**
 * Ends each replica that owes an answer and has made no progress for
 * `stallTimeout` ms. It counts its looks, not time: a program that was stopped
 * for a while finds all its replicas silent.
 */
class Watchdog {
  #replicas: Iterable<Replica>;
  #stallTimeout: number;
  #stalled: (replica: Replica) => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    replicas: Iterable<Replica>,
    stallTimeout: number,
    stalled: (replica: Replica) => void,
  ) {
    this.#replicas = replicas;
    this.#stalled = stalled;
    this.#stallTimeout = stallTimeout;
  }

  /** Begins, or goes on. */
  start(): void {
    if (this.#timer !== undefined) return;
    const part = Math.ceil(this.#stallTimeout / LOOKS);
    const interval = Math.min(PING_INTERVAL_MS, part);
    this.#timer = setInterval(() => this.#look(interval), interval);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(interval: number): void {
    for (const replica of this.#replicas) {
      const { state } = replica.life;
      if (state === "starting" || state === "ended") continue;
      if (replica.watch(interval) >= this.#stallTimeout) {
        this.#stalled(replica);
        replica.life.terminate(
          `did not answer for ${this.#stallTimeout} ms and made no progress, as in an endless loop`,
        );
      }
    }
  }
}
