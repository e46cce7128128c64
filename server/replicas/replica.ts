/**
 * A replica as its server sees it.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import { RunnerExitError } from "../../workers/errors.ts";
import { describeExit } from "../../workers/runner/lifecycle.ts";
import { RelayHub } from "../../workers/relay/relay_hub.ts";
import { type Methods, Rpc } from "../../workers/runner/rpc.ts";
import type { Runner } from "../../workers/runner/runner.ts";
import type { Member } from "../../workers/runner/supervisor.ts";
import { inTime } from "../core/in_time.ts";
import type { ReplicaReport } from "./main.ts";

const LEAVE_TIMEOUT_MS = 1_000;

/** What a replica may ask of its server. */
export interface ReplicaOwner {
  /** Whether handlers have permissions of their own. */
  readonly confines: boolean;
  /** Whether replicas accept by themselves now. */
  isSharing(): boolean;
  /** Ends the serving of the whole server. */
  shutdown(): Promise<void>;
  /** The counts of the whole server. */
  stats(): Promise<ServerStats>;
  /** The replica was told to end. */
  leaving(replica: Replica): void;
}

/** A runner, the requests in it, and what can be asked of it. */
export class Replica implements Member {
  readonly runner: Runner;
  /** Which of the server's replicas it is; its successor gets the same. */
  readonly slot: number;
  readonly relay: RelayHub;
  readonly ready: Promise<void>;
  /** The clients of the requests that it has accepted by itself. */
  readonly accepted: Map<number, Deno.Addr> = new Map();
  /** Whether it has begun to work. */
  isReady = false;
  /** How many times in a row it has not answered in time. */
  unanswered = 0;
  /** What its requests are told if it was given up before it ended. */
  givenUp: RunnerExitError | null = null;
  #rpc: Rpc;
  #pinged = false;

  constructor(runner: Runner, owner: ReplicaOwner, slot: number) {
    this.runner = runner;
    this.slot = slot;
    this.relay = new RelayHub({
      post: (message, transfer) => runner.post(message, transfer),
      broken: (error) => this.#giveUp(error),
      answersOnly: owner.confines,
    });
    this.#rpc = new Rpc(
      (message) => runner.post(message),
      this.#answers(owner),
    );
    runner.onmessage = (message) => {
      if (message instanceof Uint8Array) this.relay.receive(message);
      else this.#rpc.receive(message);
    };
    this.ready = this.#begin(owner);
    this.ready.catch(() => {}); // the supervisor looks at it
    runner.exited.then((exit) => this.#rpc.fail(this.lostBy(exit)));
  }

  /** How many requests it has; one that does not answer has its hands full. */
  get load(): number {
    return this.unanswered > 0
      ? Infinity
      : this.relay.load + this.accepted.size;
  }

  /** Has it accept by itself. */
  async resume(): Promise<void> {
    await this.#rpc.call("resume");
  }

  /** Has it accept no more by itself, and close its listener if it `leaves`. */
  async pause(leaves: boolean): Promise<void> {
    await inTime(this.#rpc.call("pause", leaves), LEAVE_TIMEOUT_MS);
  }

  /** Has its handlers begin nothing new. */
  drain(): void {
    this.#rpc.tell("drain");
  }

  /** Its counts; `null` if it does not answer. */
  async stats(): Promise<ServerStats | null> {
    const stats = await inTime(this.#rpc.call("stats"), LEAVE_TIMEOUT_MS);
    return stats as ServerStats | null;
  }

  /** Asks whether it is there, and counts when it has not said so yet. */
  ping(): void {
    if (this.#pinged) {
      this.unanswered++;
      return;
    }
    this.#pinged = true;
    this.#rpc.call("ping").then(() => {
      this.#pinged = false;
      this.unanswered = 0;
    }, () => {});
  }

  /** Ends it without asking. */
  async kill(): Promise<void> {
    this.runner.kill();
    await this.runner.exited;
  }

  /** Lets its requests finish for `timeout` ms, and ends it. */
  async close(timeout: number): Promise<ReplicaReport | null> {
    this.relay.flush(); // what it is to serve comes before
    const asked = this.#rpc.call("close", timeout);
    const report = await inTime(asked, timeout + LEAVE_TIMEOUT_MS);
    if (report === null) this.runner.terminate();
    else this.#rpc.tell("leave");
    await inTime(this.runner.exited, LEAVE_TIMEOUT_MS);
    await this.kill();
    return report as ReplicaReport | null;
  }

  /** What its requests are told when it is gone. */
  lostBy(exit: Awaited<Runner["exited"]>): RunnerExitError {
    return this.givenUp ?? new RunnerExitError(
      `The request was lost: the ${this.runner.kind} that handled it ${
        describeExit(exit)
      }`,
      exit,
    );
  }

  /** Ends it for something that it may not send. */
  #giveUp(cause: Error): void {
    this.givenUp = new RunnerExitError(
      `The request was lost: the ${this.runner.kind} that handled it was ended, for what it sent: ${cause.message}`,
      { code: 1, reason: "terminated" },
    );
    this.runner.kill();
  }

  async #begin(owner: ReplicaOwner): Promise<void> {
    await this.runner.ready;
    if (owner.isSharing()) await this.resume();
    this.isReady = true;
  }

  #answers(owner: ReplicaOwner): Methods {
    return {
      shutdown: () => owner.shutdown(),
      stats: () => owner.stats(),
      leaving: () => owner.leaving(this),
      opened: (argument) => {
        const [id, address] = argument as [number, Deno.Addr];
        this.accepted.set(id, address);
      },
      closed: (ids) => {
        for (const id of ids as number[]) this.accepted.delete(id);
      },
    };
  }
}
