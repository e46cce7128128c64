/**
 * The replacement of replicas that work. A successor is always ready before a
 * replica leaves.
 *
 * @module
 */

import type { Supervisor } from "../../workers/runner/supervisor.ts";
import type { Members } from "./members.ts";
import type { Monitor, ReplaceReason } from "./monitor.ts";
import type { Replica } from "./replica.ts";

/** Replaces replicas that work. */
export class Turnover {
  #members: Members;
  #supervisor: Supervisor<Replica>;
  #monitor: Monitor;
  #current: Promise<unknown> | null = null;
  #next: Promise<void> | null = null;
  /** The replicas that are over a limit. */
  #overLimit: Map<Replica, ReplaceReason> = new Map();
  #renewal: Promise<void> | null = null;
  /** The replicas that leave, and promises that they take no more requests. */
  #leaving: Map<Replica, Promise<void>> = new Map();

  constructor(members: Members, monitor: Monitor) {
    this.#members = members;
    this.#supervisor = members.supervisor;
    this.#monitor = monitor;
  }

  /**
   * Replaces every replica, or none if a successor does not start. Settles when
   * the old ones take no more requests, whatever they were replaced for; they end
   * those that they have.
   */
  reload(): Promise<void> {
    // A round that has begun may have loaded older code: another follows it
    return this.#next ??= this.#begin();
  }

  /**
   * Replaces a replica, which serves until its successor does. It waits while
   * another is being replaced, or too many others finish their requests.
   */
  renew(replica: Replica, reason: ReplaceReason): void {
    this.#overLimit.set(replica, reason);
    this.#renewNext();
  }

  /** Replaces a replica that will end when its requests have ended. */
  release(replica: Replica): void {
    // Messages that arrive together with "ready" must wait for it
    replica.runner.ready.then(() => {
      if (!this.#members.isKeeping || !replica.life.isUsable) return;
      if (this.#leaving.has(replica)) return;
      if (this.#supervisor.has(replica)) {
        this.#monitor.replaced(replica, "signal");
      }
      this.#supervisor.release(replica);
      this.#retire(replica);
    }, () => {});
  }

  async #begin(): Promise<void> {
    await this.#current?.catch(() => {});
    // Long requests may hold up one generation, not more
    while (this.#leaving.size > this.#members.workers) {
      const leaving = [...this.#leaving.keys()];
      await Promise.race(leaving.map(({ runner }) => runner.exited));
    }
    this.#next = null;
    const round = this.#round();
    this.#current = round;
    await round;
    await this.#renewal; // it may be that of an old one
    await Promise.all(this.#leaving.values());
  }

  /** Starts a successor for each replica. Then the old ones begin to leave. */
  async #round(): Promise<void> {
    const all = [...this.#supervisor.members];
    const successors: Replica[] = [];
    try {
      // If all have ended, one still shows whether the code loads
      for (let i = 0; i < Math.max(all.length, 1); i++) {
        if (!this.#members.isKeeping) break;
        const successor = this.#members.start(true);
        successors.push(successor);
        // A module may never finish loading: its life has a time limit
        await Promise.race([successor.runner.ready, successor.ready]);
      }
      for (const { life } of successors) life.release();
      await Promise.all(successors.map(({ ready }) => ready));
    } catch (error) {
      for (const successor of successors) this.#retire(successor);
      throw error;
    }
    for (const [i, successor] of successors.entries()) {
      const replica = all[i];
      if (replica === undefined) {
        if (!this.#supervisor.adopt(successor)) this.#retire(successor);
      } else if (this.#supervisor.replace(replica, successor)) {
        this.#monitor.replaced(replica, "reload");
        this.#retire(replica);
      } else {
        // The old one has ended or has got its only request
        this.#retire(successor);
      }
    }
  }

  #renewNext(): void {
    if (this.#renewal !== null || !this.#members.isKeeping) return;
    for (const [replica, reason] of this.#overLimit) {
      if (this.#leaving.size >= this.#members.workers) return;
      this.#overLimit.delete(replica);
      if (this.#supervisor.has(replica)) {
        this.#renewal = this.#renew(replica, reason);
        return;
      }
    }
  }

  async #renew(replica: Replica, reason: ReplaceReason): Promise<void> {
    this.#supervisor.release(replica);
    try {
      await this.#supervisor.nextReady();
      if (replica.life.state !== "ended") {
        this.#monitor.replaced(replica, reason);
        this.#retire(replica);
      }
    } catch {
      // The server closes, or its replicas don't start: it reports that
    }
    this.#renewal = null;
    this.#renewNext();
  }

  #retire(replica: Replica): void {
    this.#leaving.set(replica, this.#members.retire(replica));
    void replica.runner.exited.then(() => {
      this.#leaving.delete(replica);
      this.#renewNext();
    });
  }
}
