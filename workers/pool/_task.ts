/**
 * One task of a pool, from `submit()` to its result, the queue where it waits,
 * and the counts of how tasks ended.
 *
 * @module
 */

import { assertCrosses } from "../codec/codec.ts";
import { reasonOf, type RunnerExit, RunnerExitError } from "../base/errors.ts";
import { FLAGS, packValue, TINY } from "./_protocol.ts";
import { describeExit, type RunnerKind } from "../runner/runner.ts";
import { quote } from "../base/check.ts";
import { Histogram } from "../base/histogram.ts";
import type { PoolStats } from "./pool_stats.ts";

/** The weight of the newest run time in the mean. */
const MEAN_WEIGHT = 1 / 128;

/** A pool's record of a function. */
export class PoolTarget {
  /** The name of the export. */
  readonly name: string;
  #mean = Infinity;

  /** Constructs an empty record of an export. */
  constructor(name: string) {
    this.name = name;
  }

  /** Whether it is so short that a thread gets several tasks ahead. */
  get tiny(): boolean {
    return this.#mean <= TINY;
  }

  /** Counts a call by its run time in milliseconds. */
  count(time: number): void {
    this.#mean = this.#mean === Infinity
      ? time
      : this.#mean + (time - this.#mean) * MEAN_WEIGHT;
  }
}

/** Options of a task. */
export interface TaskOptions {
  /** The `FLAGS` that the caller sets. */
  flags?: number;
  /** The parts of the arguments to move. */
  transfer?: Transferable[] | undefined;
  /** Whether its worker may have to be ended for it. */
  fatal?: boolean;
}

/** The worker that has a task. */
export interface TaskHolder {
  /** Takes a task back; false if it has, or may have, begun. */
  recall(task: PoolTask): boolean;
  /** Aborts the signals among the arguments of a task that runs. */
  interrupt(task: PoolTask, reason: unknown): void;
}

/** A signal among the arguments, and the indices that lead to it. */
type PlacedSignal = readonly [path: number[], signal: AbortSignal];

/** A task of a pool, from `submit()` to its result. */
export class PoolTask {
  /** Its function. */
  readonly target: PoolTarget;
  /** The arguments, ready to cross. */
  args: unknown[];
  /** The errors of the items of a chunk that can't cross, by their places. */
  refused: Map<number, Error> | null = null;
  /** The sum of its `FLAGS`. */
  flags: number;
  /** The objects that move with it. */
  readonly transfer: Transferable[] | null = null;
  /** The signals among its arguments. */
  readonly signals: readonly PlacedSignal[];
  /** Whether it must not share a worker, which it may cost. */
  readonly alone: boolean;
  /** The time of its submission. */
  readonly submitted: number = performance.now();
  /** The promise of its result. */
  readonly promise: Promise<unknown>;
  /** Whether the promise is settled, or about to be. */
  settled = false;
  /** The worker that has it, and its number there. */
  holder: TaskHolder | null = null;
  id = 0;
  /** Its neighbours in the queue. */
  before: PoolTask | null = null;
  after: PoolTask | null = null;
  #deaths = 0;
  #resolve: (value: unknown) => void;
  #reject: (error: unknown) => void;
  /** What to undo when it is settled, and when its worker has it no longer. */
  #watches: (() => void)[] | null = null;
  #links: (() => void)[] | null = null;
  /** A process calls locks that stay here. The task keeps them. */
  #kept: unknown[];

  /**
   * Constructs a task.
   *
   * @param kind The kind of its worker.
   * @param target Its function.
   * @param args The arguments.
   * @param options Its options.
   * @throws {TypeError} If an argument is known not to cross, except in a chunk.
   */
  constructor(
    kind: RunnerKind,
    target: PoolTarget,
    args: unknown[],
    { flags = 0, transfer, fatal = false }: TaskOptions,
  ) {
    this.target = target;
    this.flags = flags;
    this.#kept = args;
    const [rest, signals] = takeSignals(args, (flags & FLAGS.spread) !== 0);
    this.signals = signals;
    this.alone = fatal && signals.length === 0;
    this.args = rest;
    this.#pack(kind);
    if (transfer !== undefined) {
      if (kind === "process") this.args = this.#move(this.args, transfer);
      else this.transfer = transfer;
    }
    if (this.transfer !== null || this.signals.length > 0) {
      this.flags |= FLAGS.wrapped;
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /**
   * Whether a thread may get it while it runs another task: it can be taken
   * back, as no data moves with it.
   */
  get tiny(): boolean {
    return this.target.tiny && !this.alone && this.transfer === null;
  }

  /** The arguments as they cross. */
  payload(kind: RunnerKind): unknown[] {
    if ((this.flags & FLAGS.wrapped) === 0) return this.args;
    const signals = this.signals.map(([path, { aborted, reason }]) =>
      aborted ? [path, crossingReason(kind, reason)] : [path]
    );
    return [this.args, this.transfer ?? [], signals];
  }

  /** Calls back when a signal among its arguments is aborted, while it runs. */
  follow(aborted: (index: number, reason: unknown) => void): void {
    for (const [index, [, signal]] of this.signals.entries()) {
      if (signal.aborted) continue;
      const abort = () => aborted(index, signal.reason);
      signal.addEventListener("abort", abort);
      this.whileHeld(() => signal.removeEventListener("abort", abort));
    }
  }

  /** Undoes something when its worker has it no longer. */
  whileHeld(undo: () => void): void {
    (this.#links ??= []).push(undo);
  }

  /** Undoes something when it is settled. */
  whilePending(undo: () => void): void {
    (this.#watches ??= []).push(undo);
  }

  /** No worker has it any longer. */
  release(): void {
    this.holder = null;
    for (const undo of this.#links ?? []) undo();
    this.#links = null;
  }

  /** Settles it. */
  settle(completed: boolean, value: unknown): void {
    this.settled = true;
    for (const undo of this.#watches ?? []) undo();
    this.#watches = null;
    if (completed) this.#resolve(value);
    else this.#reject(value);
  }

  /**
   * Returns whether it may run again after the death of its worker.
   *
   * @param retries How often a task may.
   */
  mayRetry(retries: number): boolean {
    return !this.settled && this.transfer === null && this.#deaths++ < retries;
  }

  /** Makes the error of a task whose worker died. */
  lost(kind: RunnerKind, exit: RunnerExit): Error {
    const why = `Cannot get the result of "${this.target.name}": the ${kind} ` +
      `that ran it ${describeExit(exit)}`;
    return new RunnerExitError(why, exit);
  }

  /**
   * Finds out why it can't be posted. A chunk can be, without the items that
   * can't cross.
   *
   * @param kind The kind of its worker.
   * @param error Why it could not be.
   * @returns The error that names the argument, or `null` if it can be now.
   */
  explain(kind: RunnerKind, error: unknown): Error | null {
    let mayGo = false;
    try {
      for (let index = 0; index < this.args.length; index++) {
        try {
          assertCrosses(kind, this.args[index]);
        } catch (why) {
          this.#refuse(index, why);
          mayGo = true;
        }
      }
    } catch (refused) {
      return refused as Error;
    }
    return mayGo
      ? null
      : refusal(`the arguments of "${this.target.name}"`, error);
  }

  /** Makes the arguments ready to cross. */
  #pack(kind: RunnerKind): void {
    const args = this.args;
    for (let index = 0; index < this.args.length; index++) {
      const value = args[index];
      const type = typeof value;
      try {
        if (type === "function" || type === "symbol") {
          throw new TypeError(`a ${type} cannot be cloned`);
        }
        const crossing = packValue(kind, value);
        if (Object.is(crossing, value)) continue;
        this.flags |= FLAGS.packed;
        if (this.args === args) this.args = args.slice();
        this.args[index] = crossing;
      } catch (error) {
        this.#refuse(index, error);
      }
    }
  }

  /** Throws for an argument that can't cross. A chunk goes without it. */
  #refuse(index: number, why: unknown): void {
    const { name } = this.target;
    if ((this.flags & FLAGS.chunk) === 0) {
      throw refusal(`argument ${index} of "${name}"`, why);
    }
    if (this.refused === null) this.args = this.args.slice();
    if ((this.flags & FLAGS.settled) === 0) {
      // It ends here: no item that follows, refused or not, matters
      this.args.length = index;
      this.refused = null;
    } else {
      // The worker passes over a gap
      delete this.args[index];
    }
    this.refused ??= new Map();
    this.refused.set(index, refusal(`an item to "${name}"`, why));
  }

  /** Copies the moved objects for a process, and detaches the originals. */
  #move(args: unknown[], transfer: Transferable[]): unknown[] {
    try {
      return structuredClone(args, { transfer });
    } catch (error) {
      throw refusal(`the arguments of "${this.target.name}"`, error);
    }
  }
}

function refusal(what: string, why: unknown): TypeError {
  return new TypeError(`Cannot pass ${what}: ${reasonOf(why)}`, { cause: why });
}

const NONE: PlacedSignal[] = [];

function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal;
  } catch {
    return false; // a revoked proxy, which can't cross either
  }
}

/**
 * Takes the signals out of arguments: they cross beside them.
 *
 * @param args The arguments.
 * @param hasLists Whether each of them is a list of arguments.
 * @returns The arguments without the signals, and those.
 */
function takeSignals(
  args: unknown[],
  hasLists: boolean,
): [rest: unknown[], signals: PlacedSignal[]] {
  let rest = args;
  let signals = NONE;
  for (let index = 0; index < args.length; index++) {
    const value = args[index];
    let left: unknown = null;
    let found: PlacedSignal[];
    if (isSignal(value)) found = [[[index], value]];
    else if (hasLists) {
      [left, found] = takeSignals(value as unknown[], false);
      found = found.map(([path, signal]) => [[index, ...path], signal]);
    } else continue;
    if (found.length === 0) continue;
    if (rest === args) rest = [...args];
    rest[index] = left;
    signals = [...signals, ...found];
  }
  return [rest, signals];
}

/**
 * Returns the reason of an abort as it crosses: an error in its place if it
 * can't, as nobody is there to hear of that.
 */
export function crossingReason(kind: RunnerKind, reason: unknown): unknown {
  try {
    assertCrosses(kind, reason);
    return reason;
  } catch {
    return new DOMException(quote(reason), "AbortError");
  }
}

/** The tasks that no worker has, in the order in which they run. */
export class TaskQueue {
  /** Whether no more tasks should be added for now. */
  needsDrain = false;
  /** The number of tasks. */
  length = 0;
  /** The first task. */
  first: PoolTask | null = null;
  #last: PoolTask | null = null;
  #highWater: number;
  #drained: PromiseWithResolvers<void> | null = null;

  /**
   * Constructs an empty queue.
   *
   * @param highWater The number of tasks from which on `needsDrain` is true.
   */
  constructor(highWater: number) {
    this.#highWater = highWater;
  }

  /** Settles when `needsDrain` is false. */
  drained(): Promise<void> {
    if (!this.needsDrain) return Promise.resolve();
    return (this.#drained ??= Promise.withResolvers<void>()).promise;
  }

  /** Adds a task at the end. */
  push(task: PoolTask): void {
    this.#insert(task, this.#last, null);
  }

  /** Puts tasks, in order, in front of all others. */
  putBack(tasks: PoolTask[]): void {
    for (const task of tasks.toReversed()) this.#insert(task, null, this.first);
  }

  /** Takes a task out. */
  remove(task: PoolTask): void {
    const { before, after } = task;
    if (before === null) this.first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    task.before = task.after = null;
    this.length--;
    if (!this.needsDrain || this.length > this.#highWater / 2) return;
    this.needsDrain = false;
    this.#drained?.resolve();
    this.#drained = null;
  }

  #insert(task: PoolTask, before: PoolTask | null, after: PoolTask | null) {
    task.before = before;
    task.after = after;
    if (before === null) this.first = task;
    else before.after = task;
    if (after === null) this.#last = task;
    else after.before = task;
    if (++this.length >= this.#highWater) this.needsDrain = true;
  }
}

/** How a task ends. */
export type TaskEnd = "completed" | "failed" | "cancelled";

/** Counts the tasks of a pool. */
export class PoolMeter {
  #ends: Record<TaskEnd, number> = { completed: 0, failed: 0, cancelled: 0 };
  #runTime = new Histogram();
  #waitTime = new Histogram();
  /** The total lifetime of former workers. */
  #past = 0;

  /**
   * Counts a task that ran.
   *
   * @param task The task.
   * @param time Its run time in milliseconds.
   */
  record(task: PoolTask, time: number): void {
    task.target.count(time);
    this.#runTime.record(time);
    this.#waitTime.record(performance.now() - task.submitted - time);
  }

  /**
   * Counts a task that is settled.
   *
   * @param end How it ended; "failed" if it threw, was lost, or could not run.
   */
  count(end: TaskEnd): void {
    this.#ends[end]++;
  }

  /**
   * Counts a worker that has ended.
   *
   * @param worker The worker.
   */
  retire(worker: { started: number }): void {
    this.#past += performance.now() - worker.started;
  }

  /**
   * Summarizes the counts.
   *
   * @param workers The current workers.
   * @param concurrency How many tasks each runs at once.
   * @returns The counts and times.
   */
  summary(
    workers: { started: number }[],
    concurrency: number,
  ): Pick<PoolStats, TaskEnd | "runTime" | "waitTime" | "utilization"> {
    const now = performance.now();
    let lived = this.#past;
    for (const { started } of workers) lived += now - started;
    return {
      ...this.#ends,
      runTime: this.#runTime.summary(),
      waitTime: this.#waitTime.summary(),
      utilization: lived === 0
        ? 0
        : Math.min(1, this.#runTime.total / lived / concurrency),
    };
  }
}
