/**
 * The counts of a server with replicas, and the events in replicas and about
 * them.
 *
 * Replicas send changes at once, so a crash loses only the last ones.
 *
 * @module
 */

import type {
  ReplicaStats,
  ServerStats,
} from "../../handlers/request_types.ts";
import type { RunnerExitError } from "../../workers/base/errors.ts";
import { fromErrorRecord } from "../../workers/line/dialect.ts";
import { describeExit, type RunnerKind } from "../../workers/runner/runner.ts";
import { core } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { COUNTS } from "../core/faults.ts";
import type { ReplicaReplaceEvent } from "../server_events.ts";
import {
  type EventDetails,
  REPLICA_EVENTS,
  type ReplicaEventName,
} from "./protocol.ts";
import type { Replica } from "./replica.ts";

const ERRORS = COUNTS.indexOf("errors");

/** Why a replica is replaced. */
export type ReplaceReason = ReplicaReplaceEvent["reason"];

/** Counts and emits what happens in current and former replicas. */
export class Monitor {
  #server: BaseServer;
  #kind: RunnerKind;
  #past: number[] = COUNTS.map(() => 0);
  #restarts = 0;
  #replaced = 0;

  constructor(server: BaseServer, kind: RunnerKind) {
    this.#server = server;
    this.#kind = kind;
  }

  /**
   * The counts of the server and its replicas together, with those given up
   * that are still alive.
   */
  sum(
    own: ServerStats,
    { all, alive }: Record<"all" | "alive", ReadonlySet<Replica>>,
  ): ServerStats {
    const stats = {
      ...own,
      restarts: this.#restarts,
      replaced: this.#replaced,
      workers: all.size,
      replicas: [...all].map(statsOf),
    };
    COUNTS.forEach((name, i) =>
      stats[name] = (own[name] ?? 0) + this.#past[i]!
    );
    for (const { accepted } of all) stats.open += accepted.size;
    for (const { counts } of alive) {
      COUNTS.forEach((name, i) => stats[name]! += counts[i]!);
    }
    return stats;
  }

  /** The watched events of replicas. */
  get watched(): ReplicaEventName[] {
    const { telemetry } = this.#server[core];
    return REPLICA_EVENTS.filter((name) => telemetry.isWatched(name));
  }

  /** A replica has sent an event. */
  observed(name: ReplicaEventName, { error, ...details }: EventDetails): void {
    const { cycle, telemetry } = this.#server[core];
    if (name === "requestEnd") return cycle.meter.ended(details as never);
    telemetry.emit(name, {
      ...details,
      ...(error !== undefined && { error: fromErrorRecord(error) }),
    } as never);
  }

  /** Something happened to a replica. */
  tell(name: "replicaStart" | "replicaStall", { number }: Replica): void {
    const { telemetry } = this.#server[core];
    telemetry.emit(name, { replica: number, kind: this.#kind });
  }

  /** A replica is being replaced while it works, or has ended unexpectedly. */
  replaced({ number: replica }: Replica, reason: ReplaceReason): void {
    if (reason === "exit") this.#restarts++;
    else this.#replaced++;
    const { telemetry } = this.#server[core];
    telemetry.emit("replicaReplace", { replica, kind: this.#kind, reason });
  }

  /** A replica says nothing more; its counts stay. */
  left({ counts }: Replica): void {
    counts.forEach((count, i) => this.#past[i]! += count);
  }

  /** A replica has ended, or was given up. */
  ended({ number, life }: Replica, { exit }: RunnerExitError): void {
    this.#server[core].telemetry.emit("replicaExit", {
      replica: number,
      kind: this.#kind,
      expected: life.isClosing,
      status: describeExit(exit),
    });
  }
}

function statsOf(replica: Replica): ReplicaStats {
  const { number, load, life, counts, duration } = replica;
  return {
    replica: number,
    state: life.state,
    open: load,
    errors: counts[ERRORS]!,
    duration: duration.distribution(),
  };
}
