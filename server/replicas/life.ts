/**
 * The states of a replica, driven by its server.
 *
 * ```text
 * starting ─▶ ready ─▶ serving ⇄ paused
 *     └────────┴─────────┴───────┴─▶ draining ─▶ ended
 * ```
 *
 * Every command has a time limit, and so has every state except `ready`,
 * `serving` and `paused`. In these three the watchdog checks the replica. When
 * a limit is over, the replica ends.
 *
 * A successor that is held stays in the state `ready` until it is released.
 *
 * @module
 */

import { RunnerExitError } from "../../workers/base/errors.ts";
import { describeExit, type Runner } from "../../workers/runner/runner.ts";
import { type Command, outOfOrder } from "./protocol.ts";

const START_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 10_000;
/** More than an aborted handler that ends a command takes. */
const LEAVE_TIMEOUT_MS = 2_000;
/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The state of a replica. */
export type State =
  | "starting"
  | "ready"
  | "serving"
  | "paused"
  | "draining"
  | "ended";

/**
 * The goal of a replica: accept, accept nothing, or close its listener as well.
 */
export type Goal = "serve" | "pause" | "leave";

/** The replica, as its life sees it. */
export interface LifeHost {
  /** Sends a command. */
  send(message: Command): void;
  /** The replica has ended or was given up. Called once. */
  ended(cause: RunnerExitError): void;
  /** How long a command may take, including serving the listener's queue. */
  readonly commandTimeout: number;
  /** Whether others take all clients on the port when it leaves. */
  readonly othersStay: boolean;
}

/** Drives a replica from its start to its end. */
export class Life {
  /** Resolves when the replica is usable. Rejects if it never will be. */
  readonly ready: Promise<void>;
  /** Whether it was ever usable. */
  wasReady = false;
  #runner: Runner;
  #host: LifeHost;
  #state: State = "starting";
  #readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  #goal: Goal = "pause";
  /** The replica's current goal. */
  #reached: Goal = "leave";
  #underWay: Goal | "close" | "end" | null = null;
  #settled: PromiseWithResolvers<void> | null = null;
  #closing: PromiseWithResolvers<void> | null = null;
  #deadline = Infinity;
  #isClosed = false;
  #isHeld: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(runner: Runner, host: LifeHost, isHeld = false) {
    this.#runner = runner;
    this.#host = host;
    this.#isHeld = isHeld;
    this.ready = this.#readiness.promise;
    this.ready.catch(() => {}); // the supervisor looks at it
    this.#limit(START_TIMEOUT_MS, "did not start");
    runner.ready.then(
      () => this.#started(),
      (error) => this.#readiness.reject(error),
    );
    runner.exited.then((exit) => {
      const { kind } = runner;
      const how = describeExit(exit);
      const what = this.wasReady
        ? `The request was lost: the ${kind} that handled it ${how}`
        : `Cannot use the ${kind}: it ${how} before it was ready`;
      this.#end(new RunnerExitError(what, exit));
    });
  }

  get state(): State {
    return this.#state;
  }

  /** Whether it can take requests. */
  get isUsable(): boolean {
    return !this.#isHeld && (this.#state === "ready" ||
      this.#state === "serving" || this.#state === "paused");
  }

  /** Whether it listens, by itself, and will go on. */
  get listens(): boolean {
    return this.#reached !== "leave" && this.#closing === null &&
      this.#state !== "ended";
  }

  /** Whether it is meant to end. */
  get isClosing(): boolean {
    return this.#closing !== null;
  }

  /** Lets it work. Before that it has only loaded its modules. */
  release(): void {
    this.#isHeld = false;
    this.#advance();
  }

  /** Sets its goal. Settles when it is reached or never will be. */
  async lead(goal: Goal): Promise<void> {
    this.#goal = goal;
    this.#advance();
    await this.settled();
  }

  /** Settles when no command is under way, and it takes no more if it closes. */
  async settled(): Promise<void> {
    await this.#settled?.promise;
  }

  /** The replica has carried out a command, or takes no more since it closes. */
  acknowledge(): void {
    if (this.#underWay === null || this.#underWay === "end") {
      throw outOfOrder("done");
    }
    if (this.#underWay === "close") {
      this.#underWay = "end";
      this.#reached = "leave";
      return this.#settle();
    }
    this.#reached = this.#underWay;
    this.#underWay = null;
    if (this.#state !== "draining") {
      clearTimeout(this.#timer);
      this.#state = this.#reached === "serve" ? "serving" : "paused";
    }
    this.#advance();
  }

  /**
   * Waits `timeout` ms for its requests, then ends it. If it closes already, it
   * has no more than this time from now on: tell it so by `drain`. Settles at
   * its end.
   */
  close(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    if (this.#closing !== null) {
      if (deadline < this.#deadline) this.#limitClose(deadline, timeout);
      return this.#closing.promise;
    }
    this.#closing = Promise.withResolvers();
    this.#isHeld = false;
    if (this.#state === "ended") this.#closing.resolve();
    else if (this.#state === "starting") this.terminate("was closed");
    else {
      this.#state = "draining";
      this.#limitClose(deadline, timeout);
      this.#advance();
    }
    return this.#closing.promise;
  }

  #limitClose(deadline: number, timeout: number): void {
    this.#deadline = deadline;
    if (this.#state !== "draining" || this.#isClosed) return;
    this.#limit(timeout + LEAVE_TIMEOUT_MS, "did not close");
  }

  /** The replica has closed, and goes. */
  closed(): void {
    if (this.#underWay !== "end" || this.#isClosed) throw outOfOrder("closed");
    this.#isClosed = true;
    this.#limit(LEAVE_TIMEOUT_MS, "did not leave");
  }

  /** Gives it up at once, and kills it if possible. */
  terminate(why: string): void {
    const { kind } = this.#runner;
    this.#end(
      new RunnerExitError(
        `The ${kind} of a replica was given up, with the requests in it: it ${why}`,
        { code: 1, reason: "terminated" },
      ),
    );
    // A stuck process would ignore SIGTERM
    this.#runner.kill();
  }

  #started(): void {
    if (this.#state !== "starting") return;
    clearTimeout(this.#timer);
    this.#state = "ready";
    this.#advance();
  }

  /** Sends the next command if none is under way. */
  #advance(): void {
    if (this.#state === "starting" || this.#isHeld) return;
    if (this.#underWay !== null) return;
    const next = this.#next();
    if (this.#state === "ended" || next === null) return this.#settle();
    // A replica that does not listen takes no more requests already
    const isOut = next === "close" && this.#reached === "leave";
    if (isOut) this.#settle();
    else this.#settled ??= Promise.withResolvers();
    this.#underWay = next;
    if (next === "close") {
      const left = this.#deadline - performance.now();
      return this.#host.send(["close", Math.max(0, left)]);
    }
    const { commandTimeout } = this.#host;
    this.#limit(commandTimeout + COMMAND_TIMEOUT_MS, `did not ${next}`);
    if (next === "leave") {
      return this.#host.send(["leave", this.#host.othersStay]);
    }
    this.#host.send(next === "serve" ? ["resume"] : ["pause"]);
  }

  #next(): Goal | "close" | null {
    if (this.#closing !== null) return "close";
    if (this.#goal === this.#reached) return null;
    // Without a listener it accepts nothing as it is
    return this.#goal === "pause" && this.#reached === "leave"
      ? null
      : this.#goal;
  }

  #settle(): void {
    if (this.isUsable) {
      this.wasReady = true;
      this.#readiness.resolve();
    }
    this.#settled?.resolve();
    this.#settled = null;
  }

  #end(cause: RunnerExitError): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#readiness.reject(cause);
    this.#settle();
    this.#host.ended(cause);
    void this.#runner.exited.then(() => this.#closing?.resolve());
  }

  #limit(timeout: number, why: string): void {
    clearTimeout(this.#timer);
    if (timeout === Infinity) return;
    this.#timer = setTimeout(() => {
      this.terminate(`${why} within ${Math.round(timeout)} ms`);
    }, Math.min(timeout, MAX_TIMER_MS));
  }
}
