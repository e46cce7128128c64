/**
 * The replicas of a server, and what the server asks of them together.
 *
 * @module
 */

import type {
  ReplicaStats,
  ServerStats,
} from "../../handlers/request_server.ts";
import type { RunnerExitError } from "../../workers/errors.ts";
import type {
  Runner,
  RunnerKind,
  RunnerOptions,
} from "../../workers/runner/runner.ts";
import { fromErrorRecord } from "../../workers/runner/error_record.ts";
import { describeExit } from "../../workers/runner/lifecycle.ts";
import { startRunner } from "../../workers/runner/start_runner.ts";
import { Supervisor } from "../../workers/runner/supervisor.ts";
import { core, type OpenListener, type ServerRole } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { exactLimit, optionsForReplicas } from "../core/check_options.ts";
import { COUNTS } from "../core/counts.ts";
import { inTime } from "../core/in_time.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { ReplicaOptions, ServerLimits } from "../options.ts";
import { type BootDraft, draftBoot } from "./boot.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Goal } from "./life.ts";
import {
  bindShared,
  NoSharing,
  type PortSharing,
  whyNotShared,
} from "./port_sharing.ts";
import {
  type Boot,
  type EventDetails,
  REPLICA_EVENTS,
  type ReplicaEventName,
} from "./protocol.ts";
import { Replica, type ReplicaOwner } from "./replica.ts";
import { Statistics } from "./statistics.ts";
import { Watchdog } from "./watchdog.ts";

const MAIN_URL = new URL("./main.ts", import.meta.url).href;
const DEFAULT_STALL_TIMEOUT_MS = 5_000;
const MAX_ISOLATED = 40;
const ERRORS = COUNTS.indexOf("errors");
/** So many packets at most are in a replica: the rest wait in the socket. */
const PACKETS_PER_REPLICA = 1_024;
/** So many bytes of packets, and one more packet. */
const BYTES_PER_REPLICA = 8_388_608;
/** Replicas cut off later than their server, which so can tell what it cut. */
const CUT_OFF_AFTER_MS = 100;
/** How long the server waits for replicas that are to accept no more. */
const PAUSE_TIMEOUT_MS = 1_000;

/** Why replicas end that lost nothing, and are told of all the same. */
const GIVEN_UP: ReadonlySet<string> = new Set(["terminated", "protocol"]);

/** How runners are started. */
export type StartRunner = (kind: RunnerKind, options: RunnerOptions) => Runner;

/** Runs a server's handlers in replicas. */
export class ReplicaSet implements ServerRole {
  /** Ends the wait of `start()`: a module may never have done with loading. */
  interrupt: () => void = () => {};
  #server: BaseServer;
  #kind: RunnerKind;
  #options: ReplicaOptions;
  #startRunner: StartRunner;
  #owner: ReplicaOwner;
  #draft: BootDraft;
  #workers: number;
  #sharing: PortSharing = new NoSharing();
  #goal: Goal = "leave";
  /** What they do again when the server is no longer suspended. */
  #goalAfter: Goal = "leave";
  #replicas: Set<Replica> = new Set();
  /** Those that have the one request that they are there for. */
  #isolated: Set<Replica> = new Set();
  #supervisor: Supervisor<Replica>;
  #dispatcher: Dispatcher;
  #watchdog: Watchdog;
  #statistics = new Statistics();
  #lastNumber = 0;
  #started = false;
  #draining = false;
  #finishing = false;
  #recycling: Promise<void> | null = null;

  constructor(
    server: BaseServer,
    kind: RunnerKind,
    options: ReplicaOptions,
    start: StartRunner = startRunner,
  ) {
    this.#server = server;
    this.#kind = kind;
    this.#options = options;
    this.#startRunner = start;
    assertDispatch(this.#whyNotShared(), options);
    this.#draft = draftBoot(server, kind, options);
    this.#workers = Math.min(
      options.workers ?? (this.#isolates ? MAX_ISOLATED : cores()),
      options.maxConnections ?? Infinity,
    );
    const { stallTimeout = DEFAULT_STALL_TIMEOUT_MS } = options;
    this.#watchdog = new Watchdog(
      this.#replicas,
      stallTimeout,
      (replica) => this.#tell("replicaStall", replica),
    );
    this.#owner = {
      confines: (options.permissions ?? "inherit") !== "inherit",
      get commandTimeout() {
        return server.shutdownTimeout + stallTimeout;
      },
      shutdown: () => server[core].endServing(),
      stats: () => server.stats(),
      measured: (duration) => server[core].meter.measured(duration),
      told: (name, details) => this.#told(name, details),
      leaving: (replica) => this.#letGo(replica),
      ended: (replica, cause) => this.#ended(replica, cause),
    };
    this.#supervisor = new Supervisor({
      start: () => this.#start(),
      ended: () => {}, // told by its life, which knows it earlier
      gaveUp: (cause) => {
        this.#dispatcher.fail(cause);
        server[core].failServing(cause);
      },
    });
    this.#dispatcher = new Dispatcher({
      candidates: () => this.#candidates(),
      wanted: () => this.#started || this.#keepQuietly(),
      chosen: (replica) => this.#isolates && this.#isolate(replica),
      served: (replica, duration) => {
        replica.duration.record(duration);
        if (this.#isolates) void this.#retire(replica);
      },
    });
  }

  get limit(): number {
    if (this.#isolates) return this.#workers;
    const { transport } = this.#server.serverAddress;
    if (transport === "tcp" || transport === "unix") return Infinity;
    let bytes = 0;
    for (const { relay } of this.#replicas) bytes += relay.backlog;
    // Packets may be large: what is in the replicas has to end first
    if (bytes > this.#workers * BYTES_PER_REPLICA) return 0;
    return this.#workers * PACKETS_PER_REPLICA;
  }

  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    const { dispatch = "auto" } = this.#options;
    const shares = dispatch === "auto" || dispatch === "shard";
    if (!shares || this.#whyNotShared() !== null) return open(address, {});
    const [listener, sharing] = bindShared(
      this.#kind,
      address,
      open,
    );
    if (dispatch === "shard" && sharing.name === null) {
      listener.close();
      assertDispatch("this version of Deno can't share a port", this.#options);
    }
    this.#sharing = sharing;
    return listener;
  }

  async start(forever: boolean): Promise<void> {
    const { promise: interrupted, resolve } = Promise.withResolvers<void>();
    this.interrupt = resolve;
    await Promise.race([this.#prepare(forever), interrupted]);
  }

  async pause(): Promise<void> {
    // An accept that is pending would keep a client; where each has a queue of
    // its own, closing it may lose some
    this.#goalAfter = "leave";
    if (this.#goal === "serve") {
      await this.#lead(this.#sharing.sharesQueue ? "leave" : "pause");
    }
  }

  async process(request: unknown, clientAddress: Deno.Addr): Promise<void> {
    await this.#dispatcher.process(request, clientAddress);
  }

  drain(): void {
    this.#draining = true;
    this.#mute(false);
    for (const replica of this.#replicas) replica.drain();
  }

  async finish(deadline: number): Promise<DrainReport> {
    this.#sharing.leave();
    await inTime(this.#dispatcher.handedOn(), deadline - performance.now());
    this.#finishing = true;
    const reason = new ServerClosedError(
      "The request was lost: the server was closed",
    );
    this.#supervisor.stop(reason);
    this.#dispatcher.fail(reason);
    const reports = await Promise.all(
      [...this.#replicas].map((replica) => this.#close(replica, deadline)),
    );
    this.#watchdog.stop();
    return {
      completed: reports.reduce((sum, { completed }) => sum + completed, 0),
      aborted: reports.flatMap(({ aborted }) => aborted),
    };
  }

  stats(own: ServerStats): Promise<ServerStats> {
    const dispatch = this.#sharing.name === null ? "relay" : "shard";
    return Promise.resolve({
      ...this.#statistics.sum(own, this.#replicas),
      dispatch: this.#isolates ? "isolate" : dispatch,
      workers: this.#replicas.size,
      replicas: [...this.#replicas].map((replica) => this.#statsOf(replica)),
    });
  }

  /** Throws for a limit that can't be kept where replicas accept. */
  // deno-lint-ignore require-await -- what can't be had is told by a rejection
  async setLimits(limits: ServerLimits): Promise<void> {
    const exact = exactLimit(limits);
    if (exact !== null && this.#sharing.name !== null) {
      throw new TypeError(
        `Cannot change "${exact}" while replicas accept by themselves: give the server the option, or the option "dispatch: \"relay\""`,
      );
    }
    this.#options = { ...this.#options, ...limits };
    for (const replica of this.#replicas) replica.setLimits(limits);
  }

  async suspend(): Promise<void> {
    this.#mute(false);
    this.#sharing.leave();
    const goal = this.#goal;
    await this.#lead("leave");
    this.#goalAfter = goal;
  }

  async resume(): Promise<void> {
    this.#mute(this.#goalAfter === "serve");
    await this.#lead(this.#goalAfter);
  }

  watch(): void {
    const names = this.#watched();
    for (const replica of this.#replicas) replica.watch(names);
  }

  recycle(): Promise<void> {
    return this.#recycling ??= this.#recycle().finally(() => {
      this.#recycling = null;
    });
  }

  #watched(): ReplicaEventName[] {
    const { telemetry } = this.#server[core];
    return REPLICA_EVENTS.filter((name) => telemetry.isWatched(name));
  }

  /** Tells what a replica has told. */
  #told(name: ReplicaEventName, { error, ...details }: EventDetails): void {
    const { meter, telemetry } = this.#server[core];
    if (name === "requestEnd") return meter.ended(details as never);
    telemetry.emit(name, {
      ...details,
      ...(error !== undefined && { error: fromErrorRecord(error) }),
    } as never);
  }

  /** Tells what happened to a replica. */
  #tell(
    name: "replicaStart" | "replicaReplace" | "replicaStall",
    { number }: Replica,
  ): void {
    const { telemetry } = this.#server[core];
    telemetry.emit(name, { replica: number, kind: this.#kind });
  }

  #statsOf({ number, load, life, counts, duration }: Replica): ReplicaStats {
    return {
      replica: number,
      state: life.state,
      open: load,
      errors: counts[ERRORS]!,
      duration: duration.distribution(),
    };
  }

  get #isolates(): boolean {
    return this.#options.dispatch === "isolate";
  }

  #whyNotShared(): string | null {
    return whyNotShared(
      this.#kind,
      this.#server.serverAddress,
      this.#options,
    );
  }

  async #prepare(forever: boolean): Promise<void> {
    this.#mute(forever);
    // The one request must not come to a listener that nobody looks at
    await this.#lead(forever ? "serve" : "leave");
    await this.#keep();
  }

  #mute(muted: boolean): void {
    const { acceptor } = this.#server;
    if (acceptor === null) return;
    this.#server.acceptor = this.#sharing.mute(acceptor, muted);
  }

  /** Leads all replicas to a goal, and those to come. */
  async #lead(goal: Goal): Promise<void> {
    if (this.#sharing.name === null) return;
    this.#goal = goal;
    const all = [...this.#replicas].map(({ life }) => life.lead(goal));
    await inTime(Promise.all(all), PAUSE_TIMEOUT_MS);
  }

  /** Has the supervisor keep as many replicas as there should be now. */
  #keep(): Promise<void> {
    this.#started = true;
    this.#dispatcher.open();
    this.#watchdog.start();
    if (!this.#isolates) return this.#supervisor.keep(this.#workers);
    const room = this.#workers - this.#isolated.size;
    return this.#supervisor.keep(Math.min(cores(), room));
  }

  #keepQuietly(): void {
    if (!this.#finishing) this.#keep().catch(() => {}); // told by gaveUp()
  }

  #start(): Replica {
    const { boot, modules } = this.#draft;
    const { constructor, serverAddress } = this.#server;
    const sharing = this.#sharing.name;
    const options = optionsForReplicas(this.#options, sharing !== null);
    const data: Boot = { ...boot, address: serverAddress, sharing, options };
    const runner = this.#startRunner(this.#kind, {
      main: MAIN_URL,
      modules,
      data,
      name: constructor.name,
      permissions: this.#options.permissions ?? "inherit",
    });
    const replica = new Replica(++this.#lastNumber, runner, this.#owner);
    this.#replicas.add(replica);
    void replica.life.lead(this.#goal);
    replica.ready.then(() => {
      this.#tell("replicaStart", replica);
      this.#dispatcher.wake();
    }, () => {});
    const names = this.#watched();
    if (names.length > 0) replica.watch(names);
    if (this.#draining) replica.drain();
    return replica;
  }

  #candidates(): Iterable<Replica> {
    return [...this.#replicas].filter((replica) =>
      replica.life.isUsable && !this.#isolated.has(replica)
    );
  }

  #isolate(replica: Replica): void {
    this.#isolated.add(replica);
    this.#supervisor.release(replica, false);
    this.#keepQuietly();
  }

  #ended(replica: Replica, cause: RunnerExitError): void {
    const { load, accepted, relay, life } = replica;
    this.#replicas.delete(replica);
    this.#isolated.delete(replica);
    this.#statistics.keep(replica);
    relay.fail(cause, this.#server.shutdownTimeout);
    this.#server[core].telemetry.emit("replicaExit", {
      replica: replica.number,
      kind: this.#kind,
      expected: life.isClosing,
      status: describeExit(cause.exit),
    });
    if (this.#finishing) return;
    if (life.wasReady && !life.isClosing) {
      this.#statistics.restarts++;
      this.#tell("replicaReplace", replica);
    }
    for (const address of accepted.values()) {
      void this.#server[core].report(cause, address);
    }
    if (load === 0 && life.wasReady && GIVEN_UP.has(cause.exit.reason)) {
      void this.#server[core].report(cause, null);
    }
  }

  async #recycle(): Promise<void> {
    for (const replica of [...this.#supervisor.ready]) {
      const successor = this.#start();
      await successor.ready;
      if (this.#finishing) return;
      // It may have ended, or have been taken for a request
      const isIn = this.#supervisor.replace(replica, successor);
      if (isIn) this.#tell("replicaReplace", replica);
      await this.#retire(isIn ? replica : successor);
    }
  }

  /** Closes a replica while the server goes on. */
  async #retire(replica: Replica): Promise<void> {
    await replica.life.close(this.#server.shutdownTimeout);
    if (this.#isolates) this.#keepQuietly();
  }

  /** Replaces a replica that was told to end, once its requests have ended. */
  #letGo(replica: Replica): void {
    if (this.#finishing || !replica.life.isUsable) return;
    this.#supervisor.release(replica);
    void this.#retire(replica);
  }

  /** Closes a replica together with the server. */
  async #close(replica: Replica, deadline: number): Promise<DrainReport> {
    const left = Math.max(0, deadline - performance.now());
    const report = await replica.life.close(left + CUT_OFF_AFTER_MS);
    return report ?? { completed: 0, aborted: [...replica.accepted.values()] };
  }
}

/** Throws where the dispatch that was asked for can't be had. */
function assertDispatch(
  whyNotShared: string | null,
  { dispatch }: ReplicaOptions,
): void {
  if (dispatch !== "shard" || whyNotShared === null) return;
  throw new TypeError(
    `Cannot use "shard" as "dispatch": ${whyNotShared}; use "auto" or "relay"`,
  );
}

function cores(): number {
  return navigator.hardwareConcurrency;
}
