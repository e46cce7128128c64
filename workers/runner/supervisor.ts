/**
 * Keeps a number of runners running.
 *
 * @module
 */

import { ModuleImportError } from "../base/errors.ts";
import type { Runner } from "./runner.ts";

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
/** While no member is ready, nothing is served. */
const MAX_BACKOFF_ALONE_MS = 1_000;
/** A member that was ready for this long did not fail because of its start. */
const HEALTHY_AFTER_MS = 10_000;
/** After this many in a row that never became ready, it asks whether to go on. */
const MAX_FAILURES = 5;

/** A supervised member: a runner with its owner's state. */
export interface Member {
  readonly runner: Runner;
  /** Settles when it can work; rejects if it never will. */
  readonly ready: Promise<void>;
}

/** The owner of a supervisor. */
export interface SupervisorHost<M extends Member> {
  /** Starts a member. */
  start(): M;
  /**
   * Members repeatedly end before they are ready, after all were. Whether to go
   * on trying.
   */
  failing(cause: Error): boolean;
  /** It does not go on trying. */
  gaveUp(cause: Error): void;
}

/**
 * Keeps `target` members running: starts another for each that ends, after a
 * pause that doubles until one has been healthy for a while. While none is
 * ready, pauses stay short.
 */
export class Supervisor<M extends Member> {
  #host: SupervisorHost<M>;
  #target = 0;
  #members: Set<M> = new Set();
  #ready: Set<M> = new Set();
  /** How many in a row never became ready. */
  #failures = 0;
  /** How many pauses there were since a member was healthy. */
  #pauses = 0;
  #everReady = false;
  #everComplete = false;
  /** How long the pause under way takes. */
  #pausing = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
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

  /** Sets the number of members. Settles when they are ready. */
  keep(target: number): Promise<void> {
    this.#target = target;
    this.#stopped = null;
    this.#fill();
    this.#tellWaiting();
    return this.allReady();
  }

  /** Settles when as many members as wanted are ready. */
  allReady(): Promise<void> {
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
    this.#endPause();
    this.#waiting?.reject(reason);
    this.#waiting = null;
  }

  #fill(): void {
    if (this.#timer !== undefined) return;
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
      this.#tellWaiting();
    } catch (error) {
      cause = error as Error;
    }
    await member.runner.exited;
    const meant = !this.#members.delete(member) || this.#target === 0;
    this.#ready.delete(member);
    if (meant) return;
    if (cause !== null) return this.#failed(cause);
    if (performance.now() - readySince >= HEALTHY_AFTER_MS) this.#pauses = 0;
    this.#pause();
  }

  #tellWaiting(): void {
    if (this.#ready.size < this.#target) return;
    this.#everComplete ||= this.#ready.size > 0;
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  #failed(cause: Error): void {
    this.#failures++;
    const hopeless = cause instanceof ModuleImportError && !this.#everReady;
    const isFailing = this.#failures >= MAX_FAILURES;
    const goesOn = isFailing && this.#everComplete && this.#host.failing(cause);
    if (hopeless || isFailing && !goesOn) {
      this.stop(cause);
      return this.#host.gaveUp(cause);
    }
    this.#pause();
  }

  #pause(): void {
    const most = this.#ready.size > 0 ? MAX_BACKOFF_MS : MAX_BACKOFF_ALONE_MS;
    // The last that was ready may have ended in a long pause for another
    if (this.#target === 0 || this.#pausing <= most) return;
    clearTimeout(this.#timer);
    this.#pausing = Math.min(MIN_BACKOFF_MS * 2 ** this.#pauses++, most);
    this.#timer = setTimeout(() => {
      this.#endPause();
      this.#fill();
    }, this.#pausing);
  }

  #endPause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pausing = Infinity;
  }
}
