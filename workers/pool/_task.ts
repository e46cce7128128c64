/**
 * One task of a pool, from `submit()` to its result.
 *
 * @module
 */

import { packFor } from "../codec/payload.ts";
import { encode } from "../codec/codec.ts";
import { FLAGS, isBytes, isPlain, reasonOf } from "./_protocol.ts";
import type { PoolTarget } from "./_target.ts";
import type { RunnerKind } from "../runner/runner.ts";

/** What a {@linkcode PoolTask} belongs to, and is cancelled with. */
export interface TaskGroup {
  /** Whether workers that run it may be ended for a cancellation. */
  readonly kill: boolean;
  /** Whether it was cancelled. */
  readonly cancelled: boolean;
}

/** What is particular to a task. */
export interface TaskOptions {
  /** What it belongs to. */
  group?: TaskGroup;
  /** Those of its `FLAGS` that its caller decides on. */
  flags?: number;
  /** What of the arguments moves instead of being copied. */
  transfer?: Transferable[] | undefined;
  /** Whether its worker may be ended for it alone. */
  alone?: boolean;
}

/** A task of a pool, from `submit()` to its result. */
export class PoolTask {
  /** What it calls. */
  readonly target: PoolTarget;
  /** The arguments, ready to cross. */
  readonly args: unknown[];
  /** The sum of its `FLAGS`. */
  readonly flags: number;
  /** What moves with it; a second worker could not be given that. */
  readonly transfer: Transferable[] | null;
  /** What it belongs to. */
  readonly group: TaskGroup | null;
  /** Whether no other task may be at its worker. */
  readonly alone: boolean;
  /** When it was submitted. */
  readonly submitted: number = performance.now();
  /** The result to be. */
  readonly promise: Promise<unknown>;
  /** Whether the promise is settled, or about to be. */
  settled = false;
  /** How many workers died of it, or under it. */
  deaths = 0;
  /** What comes before it in a `TaskQueue`. */
  previous: PoolTask | null = null;
  /** What comes after it in a `TaskQueue`. */
  next: PoolTask | null = null;
  #resolve: (value: unknown) => void;
  #reject: (error: unknown) => void;

  /**
   * Constructs a task.
   *
   * @param kind Where it is to run.
   * @param target What it calls.
   * @param args The arguments.
   * @param options What is particular to it.
   * @throws {TypeError} If an argument can't cross, as far as that is known.
   */
  constructor(
    kind: RunnerKind,
    target: PoolTarget,
    args: unknown[],
    options: TaskOptions,
  ) {
    const { group = null, flags = 0, transfer, alone = false } = options;
    this.target = target;
    this.group = group;
    this.alone = alone || (group !== null && group.kill);
    const packed = packArguments(kind, target.name, args);
    this.flags = packed === args ? flags : flags | FLAGS.packed;
    this.args = packed;
    this.transfer = null;
    if (transfer !== undefined && kind === "process") {
      this.args = move(target.name, packed, transfer);
    } else if (transfer !== undefined) {
      this.args = [packed, transfer];
      this.transfer = transfer;
      this.flags |= FLAGS.moved;
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Whether others may wait behind it, or it behind them, at a worker. */
  get tiny(): boolean {
    return !this.alone && this.target.tiny;
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
   * Tells, after the death of its worker, whether it may run again.
   *
   * @param retries How often a task may.
   * @returns Whether it may.
   */
  mayRetry(retries: number): boolean {
    return !this.settled && this.transfer === null &&
      !(this.group?.cancelled ?? false) && this.deaths++ < retries;
  }

  /**
   * Finds out why the task can't be posted.
   *
   * @param kind Where it was to run.
   * @param error What was thrown then.
   * @returns An error that names the argument.
   */
  explain(kind: RunnerKind, error: unknown): Error {
    const moved = (this.flags & FLAGS.moved) !== 0;
    const args = moved ? this.args[0] as unknown[] : this.args;
    for (let index = 0; index < args.length; index++) {
      try {
        if (kind === "thread") structuredClone(args[index]);
        else encode(args[index]);
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

/** Copies what will be copied after all, and takes it from its owner. */
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

function packArguments(
  kind: RunnerKind,
  name: string,
  args: unknown[],
): unknown[] {
  let packed = args;
  for (let index = 0; index < args.length; index++) {
    const value = args[index];
    if (isPlain(value) || kind === "thread" && isBytes(value)) continue;
    const type = typeof value;
    let crossing: unknown;
    try {
      if (type === "function" || type === "symbol") {
        throw new TypeError(`a ${type} cannot be cloned`);
      }
      crossing = packFor(kind, value);
    } catch (error) {
      throw refusal(name, `argument ${index}`, error);
    }
    if (crossing === value) continue;
    if (packed === args) packed = [...args];
    packed[index] = crossing;
  }
  return packed;
}
