/**
 * The replicas of a server as a group.
 *
 * @module
 */

import { printable } from "../../handlers/_internal.ts";
import type { ServerStats } from "../../handlers/request_types.ts";
import { RunnerExitError } from "../../workers/base/errors.ts";
import { newRelayMemory } from "../../workers/line/shared_line.ts";
import { describeExit } from "../../workers/runner/runner.ts";
import { context, nextIdent } from "../../workers/runner/context.ts";
import { startRunner } from "../../workers/runner/supervisor.ts";
import {
  type Certificate,
  core,
  type Numbered,
  type OpenListener,
  ServerRole,
  settings,
} from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { optionsForReplicas } from "../core/check_options.ts";
import { inTime } from "../../workers/base/waits.ts";
import type { ReplicaOptions, ServerLimits } from "../options.ts";
import type { OpenConnection } from "../open_connection.ts";
import { arrivals } from "../core/watched_conn.ts";
import { ServerClosedError } from "../errors.ts";
import { Dispatcher } from "./dispatcher.ts";
import { cores, Members, type MembersHost } from "./members.ts";
import { Monitor } from "./monitor.ts";
import type { ReplicaPlan } from "./plan.ts";
import type {
  Boot,
  EventDetails,
  ReplicaEventName,
  ToReplica,
} from "./protocol.ts";
import { Presence } from "./port_sharing.ts";
import { Replica, type ReplicaOwner } from "./replica.ts";
import { Turnover } from "./turnover.ts";

const MAIN_URL = new URL("./main.ts", import.meta.url).href;
const DEFAULT_STALL_TIMEOUT_MS = 5_000;
const MAX_ISOLATED = 40;

/** Who takes requests: `serveForever()`'s replicas, or `handleRequest()`. */
type Takers = "replicas" | "server" | "nobody";

/** Runs a server's handlers in replicas. */
export class ReplicaSet extends ServerRole
  implements ReplicaOwner, MembersHost {
  readonly server: BaseServer;
  readonly stallTimeout: number;
  readonly isolates: boolean;
  readonly monitor: Monitor;
  #plan: ReplicaPlan;
  #members: Members;
  #turnover: Turnover;
  #dispatcher: Dispatcher;
  #isSuspended = false;
  #takers: Takers = "nobody";
  #lastNumber = 0;
  #isKept = false;
  /** When the server cuts off what is open, once the replicas know it. */
  #deadline: number | null = null;
  #arrivals: Promise<void> | null = null;
  #finishing = false;
  #presence: Presence;

  constructor(plan: ReplicaPlan) {
    super();
    const { server, kind, options } = plan;
    this.server = server;
    this.stallTimeout = options.stallTimeout ?? DEFAULT_STALL_TIMEOUT_MS;
    this.isolates = options.dispatch === "isolate";
    this.monitor = new Monitor(server, kind);
    this.#plan = plan;
    this.#members = new Members(this);
    this.#presence = new Presence(server[core].listening, {
      othersServe: () => this.#serves && this.#members.allListen,
      othersListen: () => this.#members.someListen,
      silence: () => plan.sharing.silence,
      failed: (error) => void server[core].cycle.report(error, null, null),
    });
    this.#turnover = new Turnover(this.#members, this.monitor);
    this.#dispatcher = new Dispatcher(this.#members, () => {
      if (!this.#isKept) this.#keep().catch(() => {}); // gaveUp() reports it
    });
  }

  get options(): ReplicaOptions {
    return this.server[settings];
  }

  get workers(): number {
    const { workers, maxConnections = Infinity } = this.options;
    const most = this.isolates ? MAX_ISOLATED : cores();
    return Math.min(workers ?? most, maxConnections);
  }

  override get limit(): number {
    return this.#members.mostRequests(this.server.serverAddress.transport);
  }

  override open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return this.server[core].listening.isAside
      ? this.#plan.sharing.join(address, open)
      : this.#plan.open(address, open);
  }

  override openBeside(
    address: Deno.NetAddr,
    open: OpenListener,
  ): Deno.TcpListener | null {
    const { sharing } = this.#plan;
    return sharing.name === null ? null : sharing.join(address, open);
  }

  override async start(forever: boolean): Promise<void> {
    this.#takers = forever ? "replicas" : "server";
    // Where they alone listen, they go on: they need no right to bind any more
    if (!this.server[core].listening.isAside && this.#plan.checkSharing()) {
      void this.#members.lead("leave");
    }
    if (!forever) await this.server[core].listening.stepBack();
    await this.#direct();
    await this.#keep();
  }

  override async pause(): Promise<void> {
    // A server that is still aside could not listen: its replicas do
    const { isAside } = this.server[core].listening;
    if (this.#takers === "replicas" || isAside) this.#takers = "nobody";
    await this.#direct();
  }

  override get servesElsewhere(): boolean {
    return true;
  }

  override process(
    request: unknown,
    clientAddress: Deno.Addr,
  ): Promise<number> {
    return this.#dispatcher.process(request, clientAddress);
  }

  override drain(deadline: number): void {
    this.server[core].listening.mute(false);
    this.#presence.check();
    this.#arrivals = this.#drain(deadline);
  }

  /** What the system had received goes to the replicas first. */
  async #drain(deadline: number): Promise<void> {
    await arrivals(deadline);
    this.#deadline = deadline;
    for (const replica of this.#members.all) replica.drain(deadline);
  }

  override async finish(deadline: number): Promise<Deno.Addr[]> {
    this.#plan.sharing.leave();
    await inTime(this.#dispatcher.handedOn(), deadline - performance.now());
    await this.#arrivals;
    this.#finishing = true;
    const reason = new ServerClosedError(
      "The request was lost: the server was closed",
    );
    this.#dispatcher.fail(reason);
    return await this.#members.close(deadline, reason);
  }

  override stats(own: ServerStats): ServerStats {
    const dispatch = this.#plan.sharing.name === null ? "relay" : "shard";
    return {
      ...this.monitor.sum(own, this.#members),
      dispatch: this.isolates ? "isolate" : dispatch,
    };
  }

  override connections(own: OpenConnection[]): OpenConnection[] {
    const all = [...own];
    for (const { number, accepted } of this.#members.all) {
      for (const [id, { clientAddress, since }] of accepted) {
        all.push({
          id: `${number}/${id}`,
          clientAddress: printable(clientAddress),
          since: new Date(performance.timeOrigin + since),
          replica: number,
        });
      }
    }
    return all;
  }

  override disconnect(id: string): boolean {
    const [number, request] = id.split("/").map(Number);
    for (const replica of this.#members.all) {
      if (replica.number !== number || !replica.accepted.has(request!)) {
        continue;
      }
      replica.accepted.get(request!)!.isCut = true;
      replica.send(["disconnect", request!]);
      return true;
    }
    return false;
  }

  override cut({ request }: Numbered): void {
    for (const { relay } of this.#members.all) relay.cutOff(request);
  }

  override assertLimits(limits: ServerLimits): void {
    this.#plan.assertLimits(limits);
  }

  override setLimits(limits: ServerLimits): void {
    this.#tell(["limits", limits]);
    // A higher `maxConnections` may want more replicas
    if (this.#members.isKeeping) this.#members.keep().catch(() => {});
  }

  override async replaceCertificate(tls: Certificate): Promise<void> {
    if (this.#plan.sharing.name === null) return;
    this.#tell(["certificate", tls]);
    await this.#members.rejoin();
  }

  override async suspend(): Promise<void> {
    this.#isSuspended = true;
    this.#plan.sharing.leave();
    await this.#direct();
  }

  override async resume(): Promise<void> {
    this.#isSuspended = false;
    await this.#direct();
  }

  override watch(): void {
    const { watched } = this.monitor;
    this.#tell(["watch", watched]);
  }

  override async reload(): Promise<void> {
    await this.#turnover.reload();
  }

  finished(clientAddress: Deno.Addr, ending: number): void {
    this.server[core].cycle.addEnd(clientAddress, ending);
  }

  wasCut(request: unknown): void {
    this.server[core].cycle.wasCut(request);
  }

  observed(name: ReplicaEventName, details: EventDetails): void {
    this.monitor.observed(name, details);
  }

  exceeded(replica: Replica, limit: "maxRequests" | "maxMemory"): void {
    this.#turnover.renew(replica, limit);
  }

  leaving(replica: Replica): void {
    this.#turnover.release(replica);
  }

  launched(): void {
    this.#dispatcher.wake();
    this.#presence.check();
  }

  listensNoMore(): void {
    this.#presence.check();
  }

  gaveUp(cause: Error): void {
    this.#dispatcher.fail(cause);
    this.server[core].failServing(cause);
  }

  #tell(message: ToReplica): void {
    for (const replica of this.#members.all) replica.send(message);
  }

  /** For `handleRequest()` the server takes one, and the next has to wait. */
  get othersStay(): boolean {
    const { isClosed } = this.server[core].listening;
    return !this.#isSuspended && !isClosed && this.#takers !== "server";
  }

  /** Whether the replicas accept. */
  get #serves(): boolean {
    return this.#takers === "replicas" && !this.#isSuspended;
  }

  /** Makes the replicas accept, or the server alone, or nobody. */
  async #direct(): Promise<void> {
    const { sharing } = this.#plan;
    if (!this.othersStay) this.#tell(["alone"]);
    if (sharing.name === null) return;
    const serves = this.#serves;
    // The one socket has one queue, which is the replicas' then
    this.server[core].listening.mute(serves && sharing.sharesQueue);
    // A pending accept would keep a client, and so would the queue of one that
    // pauses while the server takes a request itself. But closing a queue may
    // lose clients
    const pauses = this.#takers === "nobody" && !sharing.sharesQueue &&
      !this.#isSuspended;
    await this.#members.lead(serves ? "serve" : pauses ? "pause" : "leave");
    this.#presence.check();
  }

  /** Keeps the set complete from now on. */
  async #keep(): Promise<void> {
    this.#isKept = true;
    this.#dispatcher.open();
    if (!this.#finishing) await this.#members.keep();
  }

  launch(isHeld: boolean): Replica {
    const { kind, draft: { boot, modules } } = this.#plan;
    const { constructor, serverAddress: address } = this.server;
    const sharing = this.#plan.sharing.name;
    const options = optionsForReplicas(this.options, sharing !== null);
    const memory = kind === "thread" ? newRelayMemory() : null;
    const number = ++this.#lastNumber;
    const thread = kind === "process" ? null : {
      ident: nextIdent(),
      name: `${constructor.name}-${number}`,
      lastIdent: context.lastIdent,
    };
    const data: Boot = { ...boot, address, sharing, options, memory, thread };
    const runner = (this.#plan.startRunner ?? startRunner)(kind, {
      main: MAIN_URL,
      modules,
      data,
      name: constructor.name,
      permissions: this.options.permissions ?? "inherit",
      isReplica: true,
    });
    const replica = new Replica(number, runner, memory, this, isHeld);
    const { watched } = this.monitor;
    if (watched.length > 0) replica.send(["watch", watched]);
    if (this.#deadline !== null) replica.drain(this.#deadline);
    return replica;
  }

  ended(replica: Replica, cause: RunnerExitError): void {
    const { relay, life } = replica;
    this.#members.remove(replica);
    this.#presence.check();
    const { cycle } = this.server[core];
    const lost = relay.fail(cause, this.server.shutdownTimeout)
      .some((request) => cycle.isUncut(request));
    this.monitor.ended(replica, cause);
    if (this.#finishing) return;
    const isUnexpected = life.wasReady && !life.isClosing;
    if (isUnexpected) this.monitor.replaced(replica, "exit");
    void this.#reportLost(replica, cause, isUnexpected && !lost);
  }

  /**
   * Reports the requests that ended with a replica, when all are known; with
   * `tellsAnyway`, its end if there were none.
   */
  async #reportLost(
    { runner, accepted }: Replica,
    cause: RunnerExitError,
    tellsAnyway: boolean,
  ): Promise<void> {
    const { cycle } = this.server[core];
    await runner.exited;
    const lost = [...accepted.values()].filter(({ isCut }) => !isCut);
    for (const { clientAddress } of lost) {
      void cycle.report(cause, null, clientAddress);
    }
    if (lost.length === 0 && tellsAnyway) {
      void cycle.report(withoutRequest(cause), null, null);
    }
  }
}

/** The error for the end of a replica that had no request. */
function withoutRequest(cause: RunnerExitError): RunnerExitError {
  const { exit } = cause;
  // The error of a replica that was given up says why itself
  if (exit.reason === "terminated") return cause;
  return new RunnerExitError(
    `A replica without a request ${describeExit(exit)}; another replaces it`,
    exit,
  );
}
