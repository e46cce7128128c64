import { packFor } from "../codec/payload.ts";
import { encode } from "../codec/codec.ts";
import { FLAGS, isPlain, reasonOf, TINY } from "./_protocol.ts";
import type { PoolTarget } from "./_target.ts";
import type { RunnerKind } from "../runner/runner.ts";

/** What a {@linkcode PoolTask} belongs to, and is cancelled with. */
export interface TaskGroup {
  /** Whether workers that run it may be ended for a cancellation. */
  readonly kill: boolean;
  /** Whether it was cancelled. */
  readonly cancelled: boolean;
}

/** A task of a pool, from `submit()` to its result. */
export class PoolTask {
  /** What it calls. */
  readonly target: PoolTarget;
  /** The arguments, ready to cross. */
  readonly args: unknown[];
  /** The sum of its `FLAGS`. */
  readonly flags: number;
  /** Whether `args` is plain. */
  readonly plain: boolean;
  /** What it belongs to. */
  readonly group: TaskGroup | null;
  /** When it was submitted. */
  readonly submitted: number = performance.now();
  /** The result to be. */
  readonly promise: Promise<unknown>;
  /** Gives the result. */
  readonly resolve: (value: unknown) => void;
  /** Gives the error. */
  readonly reject: (error: unknown) => void;
  /** How many workers died of it, or under it. */
  deaths = 0;
  /** What comes after it in a `TaskQueue`. */
  next: PoolTask | null = null;

  /**
   * Constructs a task.
   *
   * @param kind Where it is to run.
   * @param target What it calls.
   * @param args The arguments.
   * @param group What it belongs to.
   * @param chunk Whether the arguments are items, each for a call of its own.
   * @throws {TypeError} If an argument can't cross, as far as that is known.
   */
  constructor(
    kind: RunnerKind,
    target: PoolTarget,
    args: unknown[],
    group: TaskGroup | null,
    chunk: boolean,
  ) {
    this.target = target;
    this.group = group;
    let plain = true;
    let flags = chunk ? FLAGS.chunk : 0;
    for (let index = 0; index < args.length; index++) {
      if (isPlain(args[index])) continue;
      plain = false;
      const packed = packArgument(kind, target.name, args, index);
      if (packed === args[index]) continue;
      if ((flags & FLAGS.packed) === 0) args = [...args];
      flags |= FLAGS.packed;
      args[index] = packed;
    }
    this.args = args;
    this.flags = flags;
    this.plain = plain;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Whether others may wait behind it, or it behind them, at a worker. */
  get tiny(): boolean {
    return this.target.mean <= TINY && !(this.group?.kill ?? false);
  }

  /**
   * Finds out why the task can't be posted.
   *
   * @param kind Where it was to run.
   * @param error What was thrown then.
   * @returns An error that names the argument.
   */
  explain(kind: RunnerKind, error: unknown): Error {
    for (let index = 0; index < this.args.length; index++) {
      try {
        if (kind === "thread") structuredClone(this.args[index]);
        else encode(this.args[index]);
      } catch (why) {
        return refusal(this.target.name, index, why);
      }
    }
    return new TypeError(
      `Cannot pass the arguments of "${this.target.name}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

function refusal(name: string, index: number, why: unknown): TypeError {
  return new TypeError(
    `Cannot pass argument ${index} of "${name}": ${reasonOf(why)}`,
    { cause: why },
  );
}

function packArgument(
  kind: RunnerKind,
  name: string,
  args: unknown[],
  index: number,
): unknown {
  const value = args[index];
  const type = typeof value;
  if (type === "function" || type === "symbol") {
    throw new TypeError(
      `Cannot pass argument ${index} of "${name}": a ${type} cannot be cloned`,
    );
  }
  try {
    return packFor(kind, value);
  } catch (error) {
    throw refusal(name, index, error);
  }
}
