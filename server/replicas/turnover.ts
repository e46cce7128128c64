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
  /** Those that are over a limit. */
  #overLimit: Map<Replica, ReplaceReason> = new Map();
  #isRenewing = false;
  #leaving: Set<Replica> = new Set();

  constructor(members: Members, monitor: Monitor) {
    this.#members = members;
    this.#supervisor = members.supervisor;
    this.#monitor = monitor;
  }

  /**
   * Replaces every replica, or none if a successor does not start. Settles when
   * the replaced ones take no more requests; they end those that they have.
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

  async #begin(): Promise<void> {
    await this.#current?.catch(() => {});
    // Long requests may hold up one generation, not more
    while (this.#leaving.size > this.#members.workers) {
      await Promise.race([...this.#leaving].map(({ runner }) => runner.exited));
    }
    this.#next = null;
    const round = this.#round();
    this.#current = round;
    await Promise.all(await round);
  }

  /** Returns the leaving of each that is replaced, in progress. */
  async #round(): Promise<Promise<void>[]> {
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
      for (const successor of successors) void this.#retire(successor);
      throw error;
    }
    return successors.map((successor, i) => {
      const replica = all[i];
      if (replica === undefined) {
        return this.#supervisor.adopt(successor)
          ? Promise.resolve()
          : this.#retire(successor);
      }
      // It may have ended or have got its only request
      if (!this.#supervisor.replace(replica, successor)) {
        return this.#retire(successor);
      }
      this.#monitor.replaced(replica, "reload");
      return this.#retire(replica);
    });
  }

  #renewNext(): void {
    if (this.#isRenewing || !this.#members.isKeeping) return;
    for (const [replica, reason] of this.#overLimit) {
      if (this.#leaving.size >= this.#members.workers) return;
      this.#overLimit.delete(replica);
      if (this.#supervisor.has(replica)) {
        return void this.#renew(replica, reason);
      }
    }
  }

  async #renew(replica: Replica, reason: ReplaceReason): Promise<void> {
    this.#isRenewing = true;
    this.#supervisor.release(replica);
    try {
      await this.#supervisor.nextReady();
      if (replica.life.state !== "ended") {
        this.#monitor.replaced(replica, reason);
        void this.#retire(replica);
      }
    } catch {
      // The server closes, or its replicas don't start: it reports that
    }
    this.#isRenewing = false;
    this.#renewNext();
  }

  #retire(replica: Replica): Promise<void> {
    this.#leaving.add(replica);
    void replica.runner.exited.then(() => {
      this.#leaving.delete(replica);
      this.#renewNext();
    });
    return this.#members.retire(replica);
  }
}
