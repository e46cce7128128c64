/**
 * The counts of a server with replicas.
 *
 * Replicas send changes at once, so a crash loses only the last ones.
 *
 * @module
 */

import type {
  ReplicaStats,
  ServerStats,
} from "../../handlers/request_server.ts";
import { COUNTS } from "../core/counts.ts";
import type { Replica } from "./replica.ts";

const ERRORS = COUNTS.indexOf("errors");

/** Adds up the counts of current and former replicas. */
export class Statistics {
  /** The number of replicas that ended unexpectedly. */
  restarts = 0;
  /** The number of replicas that were replaced while they worked. */
  replaced = 0;
  #past: number[] = COUNTS.map(() => 0);

  /** A replica has ended; its counts stay. */
  keep(replica: Replica): void {
    replica.counts.forEach((count, i) => this.#past[i]! += count);
  }

  /** The counts of the server and its replicas together. */
  sum(own: ServerStats, replicas: ReadonlySet<Replica>): ServerStats {
    const stats = {
      ...own,
      restarts: this.restarts,
      replaced: this.replaced,
      workers: replicas.size,
      replicas: [...replicas].map(statsOf),
    };
    COUNTS.forEach((name, i) =>
      stats[name] = (own[name] ?? 0) + this.#past[i]!
    );
    for (const { accepted, counts } of replicas) {
      stats.open += accepted.size;
      COUNTS.forEach((name, i) => stats[name]! += counts[i]!);
    }
    return stats;
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
