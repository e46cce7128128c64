/**
 * Starts runners, and keeps a number of them running.
 *
 * @module
 */

import { ModuleImportError } from "../base/errors.ts";
import type { Runner, RunnerKind, RunnerOptions } from "./runner.ts";
import { ChildRunner } from "./child.ts";
import { imports } from "./context.ts";
import { WorkerRunner } from "./thread.ts";

const MIN_BACKOFF_MS = 100;
/** The longest pause. */
export const MAX_BACKOFF_MS = 10_000;
/**
 * While no member is ready, nothing is served: what a client sends must not
 * keep the others waiting for longer.
 */
const MAX_BACKOFF_ALONE_MS = 1_000;
/** A member that was ready for this long did not fail because of its start. */
const HEALTHY_AFTER_MS = 10_000;
/** After this many failures in a row it is no use to go on. */
export const MAX_FAILURES = 5;

/** The pause before a runner is started again: 100 ms, doubled each time. */
export class Backoff {
  #count = 0;
  #length = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether there is a pause now. */
  get isPausing(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Begins a pause, unless a shorter one is under way.
   *
   * @param most How long it is at most, in milliseconds.
   * @param over Called when it is over.
   */
  begin(most: number, over: () => void): void {
    if (this.#length <= most) return;
    clearTimeout(this.#timer);
    this.#length = Math.min(MIN_BACKOFF_MS * 2 ** this.#count++, most);
    this.#timer = setTimeout(() => {
      this.end();
      over();
    }, this.#length);
  }

  /** Ends the pause. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#length = Infinity;
  }

  /** The next pause is short again. */
  reset(): void {
    this.#count = 0;
  }
}

/** A supervised member: a runner with its owner's state. */
export interface Member {
  readonly runner: Runner;
  /** Settles when it can work; rejects if it never will. */
  readonly ready: Promise<void>;
  /** Whether it has got work. If not, its own code is what ended it. */
  readonly wasUsed: boolean;
}

/** The owner of a supervisor. */
export interface SupervisorHost<M extends Member> {
  /** Starts a member. */
  start(): M;
  /** A member ended before it was ready; another will be started. */
  failing(cause: Error): void;
  /** No member was ever ready, and none will be: those that start may end. */
  gaveUp(cause: Error): void;
}

/**
 * Keeps `target` members running: starts another for each that ends, after a
 * pause that doubles until one has been healthy for a while. Pauses stay short
 * while none is ready because of its work.
 */
export class Supervisor<M extends Member> {
  #host: SupervisorHost<M>;
  #target = 0;
  #members: Set<M> = new Set();
  #ready: Set<M> = new Set();
  /** How many in a row never became ready. */
  #failures = 0;
  #backoff = new Backoff();
  #everReady = false;
  #waiting: PromiseWithResolvers<void> | null = null;
  #stopped: Error | null = null;

  constructor(host: SupervisorHost<M>) {
    this.#host = host;
  }

  /** The members. */
  get members(): Iterable<M> {
    return this.#members;
  }

  /** Whether it is a member. */
  has(member: M): boolean {
    return this.#members.has(member);
  }

  /** Sets the number of members. Settles when one of them is ready. */
  keep(target: number): Promise<void> {
    this.#target = target;
    this.#stopped = null;
    this.#fill();
    return this.#ready.size > 0 ? Promise.resolve() : this.nextReady();
  }

  /** Settles when another member is ready, at once if none is missing. */
  nextReady(): Promise<void> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    if (this.#ready.size >= this.#target) return Promise.resolve();
    return (this.#waiting ??= Promise.withResolvers()).promise;
  }

  /** A member will end: another takes its place, now if `replaced`. */
  release(member: M, replaced = true): void {
    this.#ready.delete(member);
    if (this.#members.delete(member) && replaced) this.#fill();
  }

  /**
   * Replaces a member that will end by one that was started elsewhere; false if
   * it is no longer a member.
   */
  replace(member: M, successor: M): boolean {
    if (!this.#members.delete(member)) return false;
    this.#ready.delete(member);
    void this.#follow(successor);
    return true;
  }

  /** Adds a member that was started elsewhere; false if there are enough. */
  adopt(member: M): boolean {
    if (this.#members.size >= this.#target) return false;
    void this.#follow(member);
    return true;
  }

  /** Starts no more members and ends all waits. The members go on. */
  stop(reason: Error): void {
    this.#target = 0;
    this.#stopped = reason;
    this.#backoff.end();
    this.#waiting?.reject(reason);
    this.#waiting = null;
  }

  #fill(): void {
    if (this.#backoff.isPausing) return;
    while (this.#members.size < this.#target) {
      let member: M;
      try {
        member = this.#host.start();
      } catch (error) {
        return this.#failed(error as Error);
      }
      void this.#follow(member);
    }
  }

  async #follow(member: M): Promise<void> {
    this.#members.add(member);
    let cause: Error | null = null;
    let readySince = Infinity;
    try {
      await member.ready;
      readySince = performance.now();
      this.#failures = 0;
      this.#everReady = true;
      if (this.#members.has(member)) this.#ready.add(member);
      this.#waiting?.resolve();
      this.#waiting = null;
    } catch (error) {
      cause = error as Error;
    }
    await member.runner.exited;
    const meant = !this.#members.delete(member) || this.#target === 0;
    this.#ready.delete(member);
    if (meant) return;
    if (cause !== null) return this.#failed(cause);
    const wasHealthy = performance.now() - readySince >= HEALTHY_AFTER_MS;
    if (wasHealthy) this.#backoff.reset();
    const isUrgent = wasHealthy || member.wasUsed;
    this.#pause(isUrgent ? MAX_BACKOFF_ALONE_MS : MAX_BACKOFF_MS);
  }

  #failed(cause: Error): void {
    this.#failures++;
    if (this.#everReady) this.#host.failing(cause);
    else if (
      cause instanceof ModuleImportError || this.#failures >= MAX_FAILURES
    ) return this.#giveUp(cause);
    this.#pause(MAX_BACKOFF_ALONE_MS);
  }

  #giveUp(cause: Error): void {
    this.stop(cause);
    // Their ends must not count against what is started later
    this.#members.clear();
    this.#failures = 0;
    this.#backoff.reset();
    this.#host.gaveUp(cause);
  }

  /** Pauses before the next start, for at most `alone` ms if none is ready. */
  #pause(alone: number): void {
    const most = this.#ready.size > 0 ? MAX_BACKOFF_MS : alone;
    // The last that was ready may have ended in a long pause for another
    if (this.#target > 0) this.#backoff.begin(most, () => this.#fill());
  }
}

/**
 * Starts a runner: the one place that knows the two kinds.
 *
 * @param kind Which kind.
 * @param options What runs there.
 * @returns The runner, which is starting.
 * @throws {ModuleImportError} If one of its modules is being imported here.
 */
export function startRunner(kind: RunnerKind, options: RunnerOptions): Runner {
  const { modules = [], name = "" } = options;
  imports.refuse(modules, `${kind} "${name}"`);
  return kind === "thread"
    ? new WorkerRunner(options)
    : new ChildRunner(options);
}
