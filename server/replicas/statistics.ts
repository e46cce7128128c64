/**
 * The counts of a server with replicas.
 *
 * Replicas tell theirs as they change, so that nothing is lost with them but
 * what they could not say any more.
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

/** Adds up what replicas have told, those that are gone included. */
export class Statistics {
  /** How many replicas ended that were not meant to. */
  restarts = 0;
  #past: number[] = COUNTS.map(() => 0);

  /** A replica is gone: what it has counted stays. */
  keep(replica: Replica): void {
    replica.counts.forEach((count, i) => this.#past[i]! += count);
  }

  /** The counts of the server and its replicas together. */
  sum(own: ServerStats, replicas: ReadonlySet<Replica>): ServerStats {
    const stats = {
      ...own,
      restarts: this.restarts,
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
