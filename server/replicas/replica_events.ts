/**
 * The events of a server with replicas.
 *
 * @module
 */

import type { RunnerExitError } from "../../workers/errors.ts";
import { fromErrorRecord } from "../../workers/runner/error_record.ts";
import { describeExit } from "../../workers/runner/lifecycle.ts";
import type { RunnerKind } from "../../workers/runner/runner.ts";
import { core } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import {
  type EventDetails,
  REPLICA_EVENTS,
  type ReplicaEventName,
} from "./protocol.ts";
import type { Replica } from "./replica.ts";
import type { ReplaceReason } from "./turnover.ts";

/** Emits the events in replicas and about them. */
export class ReplicaEvents {
  #server: BaseServer;
  #kind: RunnerKind;

  constructor(server: BaseServer, kind: RunnerKind) {
    this.#server = server;
    this.#kind = kind;
  }

  /** The watched events of replicas. */
  get watched(): ReplicaEventName[] {
    const { telemetry } = this.#server[core];
    return REPLICA_EVENTS.filter((name) => telemetry.isWatched(name));
  }

  /** A replica has sent an event. */
  told(name: ReplicaEventName, { error, ...details }: EventDetails): void {
    const { meter, telemetry } = this.#server[core];
    if (name === "requestEnd") return meter.ended(details as never);
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

  /** A replica is being replaced. */
  replaced({ number: replica }: Replica, reason: ReplaceReason): void {
    const { telemetry } = this.#server[core];
    telemetry.emit("replicaReplace", { replica, kind: this.#kind, reason });
  }

  /** A replica has ended. */
  ended({ number, life }: Replica, { exit }: RunnerExitError): void {
    this.#server[core].telemetry.emit("replicaExit", {
      replica: number,
      kind: this.#kind,
      expected: life.isClosing,
      status: describeExit(exit),
    });
  }
}
