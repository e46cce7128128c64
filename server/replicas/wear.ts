/**
 * The limits on what one replica serves and holds.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { ReplicaOptions } from "../options.ts";

/** Tells when a replica is to be replaced. */
export class Wear {
  #requests = 0;
  #maxRequests: number;
  #maxMemory: number;

  constructor(options: ReplicaOptions) {
    const { maxRequests = Infinity, maxRequestsJitter = 0 } = options;
    const extra = Math.floor(Math.random() * (maxRequestsJitter + 1));
    this.#maxRequests = maxRequests + extra;
    this.#maxMemory = options.maxMemory ?? Infinity;
  }

  /** One more request has begun. Whether it has had its share. */
  begin(): boolean {
    return ++this.#requests >= this.#maxRequests;
  }

  /** Whether it holds too much memory. */
  isTooLarge(memory: number): boolean {
    return memory > this.#maxMemory;
  }
}

/** The memory of this replica in bytes: of the process, or of the isolate. */
export function usedMemory(kind: RunnerKind): number {
  const { rss, heapTotal, external } = Deno.memoryUsage();
  return kind === "process" ? rss : heapTotal + external;
}
