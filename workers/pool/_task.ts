/**
 * One task of a pool, from `submit()` to its result.
 *
 * @module
 */

import { encode } from "../codec/codec.ts";
import { type RunnerExit, RunnerExitError } from "../base/errors.ts";
import type { PoolRunOptions } from "./_options.ts";
import { FLAGS, packValue, reasonOf, TINY } from "./_protocol.ts";
import { MAX_TIMEOUT } from "../threads/_options.ts";
import { describeExit, type RunnerKind } from "../runner/runner.ts";

/** The weight of the newest run time in the mean. */
const MEAN_WEIGHT = 1 / 128;

/** A pool's record of a function. */
export class PoolTarget {
  /** The name of the export. */
  readonly name: string;
  #mean = Infinity;

  /**
   * Constructs an empty record.
   *
   * @param name The name of the export.
   */
  constructor(name: string) {
    this.name = name;
  }

  /** Whether it is so short that a worker gets several tasks at once. */
  get tiny(): boolean {
    return this.#mean <= TINY;
  }

  /**
   * Counts a call.
   *
   * @param time Its run time in milliseconds.
   */
  count(time: number): void {
    this.#mean = this.#mean === Infinity
      ? time
      : this.#mean + (time - this.#mean) * MEAN_WEIGHT;
  }
}

/** A group of tasks that are cancelled together. */
export interface TaskGroup {
  /** Whether a cancellation may end the workers that run them. */
  readonly kill: boolean;
  /** Whether it was cancelled. */
  readonly cancelled: boolean;
}

/** Options of a task. */
export interface TaskOptions {
  /** Its group. */
  group?: TaskGroup | null;
  /** The `FLAGS` that the caller sets. */
  flags?: number;
  /** The parts of the arguments to move. */
  transfer?: Transferable[] | undefined;
}

/** A task of a pool, from `submit()` to its result. */
export class PoolTask {
  /** Its function. */
  readonly target: PoolTarget;
  /** The arguments, ready to cross. */
  readonly args: unknown[];
  /** The sum of its `FLAGS`. */
  readonly flags: number;
  /** The objects that move with it. A second worker could not get them. */
  readonly transfer: Transferable[] | null = null;
  /** Its group. */
  readonly group: TaskGroup | null;
  /** The time of its submission. */
  readonly submitted: number = performance.now();
  /** The promise of its result. */
  readonly promise: Promise<unknown>;
  /** Whether the promise is settled, or about to be. */
  settled = false;
  /** The number of workers that died while they ran it. */
  #deaths = 0;
  #resolve: (value: unknown) => void;
  #reject: (error: unknown) => void;

  /**
   * Constructs a task.
   *
   * @param kind The kind of its worker.
   * @param target Its function.
   * @param args The arguments.
   * @param options Its options.
   * @throws {TypeError} If an argument is known not to cross.
   */
  constructor(
    kind: RunnerKind,
    target: PoolTarget,
    args: unknown[],
    { group = null, flags = 0, transfer }: TaskOptions,
  ) {
    this.target = target;
    this.group = group;
    const packed = packArguments(kind, target.name, args);
    if (packed !== args) flags |= FLAGS.packed;
    this.args = packed;
    if (transfer !== undefined && kind === "process") {
      this.args = move(target.name, packed, transfer);
    } else if (transfer !== undefined) {
      this.args = [packed, transfer];
      this.transfer = transfer;
      flags |= FLAGS.moved;
    }
    this.flags = flags;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /**
   * Whether it may share a worker with other tasks, which it then must not
   * cost that worker.
   */
  get tiny(): boolean {
    return this.target.tiny && !this.group?.kill;
  }

  /**
   * Settles it with its result.
   *
   * @param value The result.
   */
  resolve(value: unknown): void {
    this.settled = true;
    this.#resolve(value);
  }

  /**
   * Settles it with an error.
   *
   * @param error The error.
   */
  reject(error: unknown): void {
    this.settled = true;
    this.#reject(error);
  }

  /**
   * Ends it by its signal or its time-out.
   *
   * @param options Its limits; the signal is not aborted yet.
   * @param end Called with the reason, once at most.
   */
  limit(
    { signal, timeout = Infinity }: PoolRunOptions,
    end: (reason: unknown) => void,
  ): void {
    const abort = () => end(signal!.reason);
    signal?.addEventListener("abort", abort);
    const timer = timeout > MAX_TIMEOUT ? undefined : setTimeout(() => {
      const why = `Cannot get the result of "${this.target.name}": it took ` +
        `longer than ${timeout} ms`;
      end(new DOMException(why, "TimeoutError"));
    }, timeout);
    function release(): void {
      signal?.removeEventListener("abort", abort);
      clearTimeout(timer);
    }
    this.promise.then(release, release);
  }

  /**
   * Returns whether it may run again after the death of its worker.
   *
   * @param retries How often a task may.
   * @returns Whether it may.
   */
  mayRetry(retries: number): boolean {
    return !this.settled && this.transfer === null &&
      !this.group?.cancelled && this.#deaths++ < retries;
  }

  /**
   * Makes the error of a task whose worker died.
   *
   * @param kind The kind of the worker.
   * @param exit How it ended.
   * @returns The error.
   */
  lost(kind: RunnerKind, exit: RunnerExit): Error {
    const why = `Cannot get the result of "${this.target.name}": the ${kind} ` +
      `that ran it ${describeExit(exit)}`;
    return new RunnerExitError(why, exit);
  }

  /**
   * Finds out why the task can't be posted.
   *
   * @param kind The kind of its worker.
   * @param error The error of posting.
   * @returns An error that names the argument.
   */
  explain(kind: RunnerKind, error: unknown): Error {
    const args = this.transfer !== null ? this.args[0] as unknown[] : this.args;
    for (const [index, arg] of args.entries()) {
      try {
        if (kind === "thread") structuredClone(arg);
        else encode(arg);
      } catch (why) {
        return refusal(this.target.name, `argument ${index}`, why);
      }
    }
    return refusal(this.target.name, "the arguments", error);
  }
}

function refusal(name: string, what: string, why: unknown): TypeError {
  return new TypeError(
    `Cannot pass ${what} of "${name}": ${reasonOf(why)}`,
    { cause: why },
  );
}

/** Copies the moved objects for a process, and detaches the originals. */
function move(
  name: string,
  args: unknown[],
  transfer: Transferable[],
): unknown[] {
  try {
    return structuredClone(args, { transfer });
  } catch (error) {
    throw refusal(name, "the arguments", error);
  }
}

/** Packs arguments; returns the array itself if there was nothing to do. */
function packArguments(
  kind: RunnerKind,
  name: string,
  args: unknown[],
): unknown[] {
  let packed = args;
  for (let index = 0; index < args.length; index++) {
    const value = args[index];
    const type = typeof value;
    try {
      if (type === "function" || type === "symbol") {
        throw new TypeError(`a ${type} cannot be cloned`);
      }
      const crossing = packValue(kind, value);
      if (Object.is(crossing, value)) continue;
      if (packed === args) packed = [...args];
      packed[index] = crossing;
    } catch (error) {
      throw refusal(name, `argument ${index}`, error);
    }
  }
  return packed;
}
