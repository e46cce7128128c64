/**
 * Gives a server its role: with replicas, or as a replica.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import { takeParentLink } from "./parent_link.ts";
import { role } from "../_internal.ts";
import { ReplicaSet, type StartRunner } from "./replica_set.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";

/** Called by a server's constructor before the address is bound. */
export function prepareReplicas<R, C>(
  server: BaseServer<R, C>,
  kind: RunnerKind,
  options: ReplicaOptions,
  start?: StartRunner,
): void {
  // Replicas work with any kind of request
  const any = server as unknown as BaseServer;
  server[role] = takeParentLink() ?? new ReplicaSet(any, kind, options, start);
}
