/**
 * The replicas of a server as a group.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import type { RunnerExitError } from "../../workers/errors.ts";
import { newRelayMemory } from "../../workers/relay/memory_line.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import { startRunner } from "../../workers/runner/start_runner.ts";
import {
  type Certificate,
  core,
  type OpenListener,
  type ServerRole,
} from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import {
  type AnyOptions,
  exactLimit,
  optionsForReplicas,
} from "../core/check_options.ts";
import { inTime } from "../core/drain.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { ReplicaOptions, ServerLimits } from "../options.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Goal } from "./life.ts";
import { cores, Members, type MembersHost, Watchdog } from "./members.ts";
import type { ReplicaPlan } from "./plan.ts";
import type { Boot } from "./protocol.ts";
import { Replica, type ReplicaOwner } from "./replica.ts";
import { ReplicaEvents, Statistics } from "./statistics.ts";

const MAIN_URL = new URL("./main.ts", import.meta.url).href;
const DEFAULT_STALL_TIMEOUT_MS = 5_000;
const MAX_ISOLATED = 40;
/** Reasons to report the end of a replica that lost no request. */
const GIVEN_UP: ReadonlySet<string> = new Set(["terminated", "protocol"]);

/** Runs a server's handlers in replicas. */
export class ReplicaSet implements ServerRole {
  /** Ends the wait of `start()`: a module may never finish loading. */
  interrupt: () => void = () => {};
  #server: BaseServer;
  #kind: RunnerKind;
  #options: ReplicaOptions;
  #plan: ReplicaPlan;
  #isolates: boolean;
  #workers: number;
  /** The replicas' goal after `resume()`. */
  #goalAfter: Goal = "leave";
  #owner: ReplicaOwner;
  #members: Members;
  #dispatcher: Dispatcher;
  #watchdog: Watchdog;
  #events: ReplicaEvents;
  #statistics = new Statistics();
  #lastNumber = 0;
  #isKept = false;
  #draining = false;
  #finishing = false;

  constructor(plan: ReplicaPlan) {
    const { server, kind, options } = plan;
    this.#server = server;
    this.#kind = kind;
    this.#options = options;
    this.#plan = plan;
    this.#isolates = options.dispatch === "isolate";
    this.#workers = Math.min(
      options.workers ?? (this.#isolates ? MAX_ISOLATED : cores()),
      options.maxConnections ?? Infinity,
    );
    this.#events = new ReplicaEvents(server, kind);
    const { stallTimeout = DEFAULT_STALL_TIMEOUT_MS } = options;
    this.#owner = this.#makeOwner(stallTimeout);
    this.#members = new Members(this.#makeHost());
    this.#watchdog = new Watchdog(
      this.#members.all,
      stallTimeout,
      (replica) => this.#events.tell("replicaStall", replica),
    );
    this.#dispatcher = new Dispatcher({
      replicas: this.#members.all,
      canTake: (replica) => this.#members.canTake(replica),
      wanted: () => this.#isKept || this.#keep().catch(() => {}),
      chosen: (replica) => this.#members.take(replica),
      served: (replica, duration) => {
        replica.duration.record(duration);
        this.#members.served(replica);
      },
    });
  }

  get limit(): number {
    return this.#members.mostRequests(this.#server.serverAddress.transport);
  }

  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return this.#plan.open(address, open);
  }

  openBeside(
    address: Deno.NetAddr,
    open: OpenListener,
  ): Deno.TcpListener | null {
    const { sharing } = this.#plan.port;
    return sharing.name === null ? null : sharing.join(address, open);
  }

  async start(forever: boolean): Promise<void> {
    const { promise: interrupted, resolve } = Promise.withResolvers<void>();
    this.interrupt = resolve;
    await Promise.race([this.#prepare(forever), interrupted]);
  }

  async pause(): Promise<void> {
    // A pending accept would keep a client. If each has its own queue, closing
    // it may lose clients
    this.#goalAfter = "leave";
    if (this.#members.goal === "serve") {
      await this.#lead(this.#plan.port.sharing.sharesQueue ? "leave" : "pause");
    }
  }

  process(request: unknown, clientAddress: Deno.Addr): Promise<void> {
    return this.#dispatcher.process(request, clientAddress);
  }

  drain(): void {
    this.#draining = true;
    this.#plan.port.mute(false);
    for (const replica of this.#members.all) replica.drain();
  }

  async finish(deadline: number): Promise<DrainReport> {
    this.#plan.port.sharing.leave();
    await inTime(this.#dispatcher.handedOn(), deadline - performance.now());
    this.#finishing = true;
    const reason = new ServerClosedError(
      "The request was lost: the server was closed",
    );
    this.#dispatcher.fail(reason);
    const report = await this.#members.close(deadline, reason);
    this.#watchdog.stop();
    return report;
  }

  stats(own: ServerStats): Promise<ServerStats> {
    const dispatch = this.#plan.port.sharing.name === null ? "relay" : "shard";
    return Promise.resolve({
      ...this.#statistics.sum(own, this.#members.all),
      dispatch: this.#isolates ? "isolate" : dispatch,
    });
  }

  /** Throws for a limit that does not work if replicas accept. */
  // deno-lint-ignore require-await -- errors must reject
  async setLimits(limits: ServerLimits): Promise<void> {
    const exact = exactLimit(limits);
    if (exact !== null && this.#plan.port.sharing.name !== null) {
      throw new TypeError(
        `Cannot change "${exact}" while replicas accept by themselves: give it to the constructor, or use the dispatch "relay"`,
      );
    }
    this.#options = { ...this.#options, ...limits };
    for (const replica of this.#members.all) replica.setLimits(limits);
  }

  async replaceCertificate(tls: Certificate): Promise<void> {
    const options: AnyOptions = { ...this.#options, ...tls };
    this.#options = options;
    if (this.#plan.port.sharing.name === null) return;
    for (const replica of this.#members.all) replica.setCertificate(tls);
    await this.#members.rejoin();
  }

  async suspend(): Promise<void> {
    this.#plan.port.mute(false);
    this.#plan.port.sharing.leave();
    const { goal } = this.#members;
    await this.#lead("leave");
    this.#goalAfter = goal;
  }

  async resume(): Promise<void> {
    this.#plan.port.mute(this.#goalAfter === "serve");
    await this.#lead(this.#goalAfter);
  }

  watch(): void {
    const { watched } = this.#events;
    for (const replica of this.#members.all) replica.watch(watched);
  }

  async recycle(): Promise<void> {
    await this.#members.recycle();
  }

  #makeOwner(stallTimeout: number): ReplicaOwner {
    const server = this.#server;
    return {
      options: () => this.#options,
      get commandTimeout() {
        return server.shutdownTimeout + stallTimeout;
      },
      shutdown: () => server[core].endServing(),
      stats: () => server.stats(),
      measured: (duration) => server[core].meter.measured(duration),
      told: (name, details) => this.#events.told(name, details),
      worn: (replica, limit) => this.#members.renew(replica, limit),
      leaving: (replica) => this.#members.letGo(replica),
      ended: (replica, cause) => this.#ended(replica, cause),
    };
  }

  #makeHost(): MembersHost {
    const server = this.#server;
    return {
      workers: this.#workers,
      isolates: this.#isolates,
      get shutdownTimeout() {
        return server.shutdownTimeout;
      },
      start: (isHeld) => this.#start(isHeld),
      started: (replica) => {
        this.#events.tell("replicaStart", replica);
        this.#dispatcher.wake();
      },
      replaced: (replica, reason) => {
        this.#statistics.replaced++;
        this.#events.replaced(replica, reason);
      },
      failing: (cause) => void server[core].report(cause, null),
      gaveUp: (cause) => {
        this.#dispatcher.fail(cause);
        server[core].failServing(cause);
      },
    };
  }

  async #prepare(forever: boolean): Promise<void> {
    this.#plan.port.mute(forever);
    // The one request must not reach a listener without a consumer
    await this.#lead(forever ? "serve" : "leave");
    await this.#keep();
  }

  async #lead(goal: Goal): Promise<void> {
    if (this.#plan.port.sharing.name !== null) await this.#members.lead(goal);
  }

  /** Keeps the set complete from now on. */
  async #keep(): Promise<void> {
    this.#isKept = true;
    this.#dispatcher.open();
    this.#watchdog.start();
    if (!this.#finishing) await this.#members.keep();
  }

  #start(isHeld: boolean): Replica {
    const { draft: { boot, modules }, startRunner: start = startRunner } =
      this.#plan;
    const { constructor, serverAddress: address } = this.#server;
    const sharing = this.#plan.port.sharing.name;
    const options = optionsForReplicas(this.#options, sharing !== null);
    const memory = this.#kind === "thread" ? newRelayMemory() : null;
    const data: Boot = { ...boot, address, sharing, options, memory };
    const runner = start(this.#kind, {
      main: MAIN_URL,
      modules,
      data,
      name: constructor.name,
      permissions: this.#options.permissions ?? "inherit",
    });
    const number = ++this.#lastNumber;
    const replica = new Replica(number, runner, memory, this.#owner, isHeld);
    const { watched } = this.#events;
    if (watched.length > 0) replica.watch(watched);
    if (this.#draining) replica.drain();
    return replica;
  }

  #ended(replica: Replica, cause: RunnerExitError): void {
    const { load, accepted, relay, life } = replica;
    this.#members.remove(replica);
    this.#statistics.keep(replica);
    relay.fail(cause, this.#server.shutdownTimeout);
    this.#events.ended(replica, cause);
    if (this.#finishing) return;
    if (life.wasReady && !life.isClosing) {
      this.#statistics.restarts++;
      this.#events.replaced(replica, "exit");
    }
    for (const address of accepted.values()) {
      void this.#server[core].report(cause, address);
    }
    const isGivenUp = GIVEN_UP.has(cause.exit.reason);
    if (load === 0 && life.wasReady && !life.isClosing && isGivenUp) {
      void this.#server[core].report(cause, null);
    }
  }
}
