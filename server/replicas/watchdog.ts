/**
 * Detects replicas that don't answer.
 *
 * @module
 */

import type { Replica } from "./replica.ts";

const PING_INTERVAL_MS = 1_000;

/** Ends each replica that does not answer for `stallTimeout` ms. */
export class Watchdog {
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
    const half = Math.ceil(this.#stallTimeout / 2);
    const interval = Math.min(PING_INTERVAL_MS, half);
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
      replica.ping();
      if (replica.unanswered * interval >= this.#stallTimeout) {
        this.#stalled(replica);
        replica.life.terminate(
          `did not answer for ${this.#stallTimeout} ms, as in an endless loop`,
        );
      }
    }
  }
}
