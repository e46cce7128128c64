/**
 * The options and arguments of pools, and their checks.
 *
 * @module
 */
import { packFor } from "../codec/share.ts";
import { checkModule, targetName } from "../runner/targets.ts";
import {
  assertInteger,
  assertOptions,
  assertPositiveInteger,
  assertType,
  checkName,
  checkSignal,
  checkTimeout,
} from "../base/check.ts";
import { type Initializer, reasonOf } from "./_protocol.ts";
import type { RunnerKind } from "../runner/runner.ts";

/**
 * Options of a {@linkcode ThreadPool} or {@linkcode ProcessPool}.
 *
 * @typeParam A The parameters of `initializer`.
 */
export interface PoolOptions<A extends unknown[] = unknown[]> {
  /**
   * The module that exports the functions to run, nearly always
   * `import.meta.url`.
   */
  module: string | URL;
  /**
   * Most workers at once. A worker starts when all others are busy.
   *
   * @default {navigator.hardwareConcurrency}
   */
  workers?: number;
  /**
   * Workers that start at once and are kept, however long they idle.
   *
   * @default {0}
   */
  minWorkers?: number;
  /**
   * Ends a worker that had no task for this long, in milliseconds, unless only
   * `minWorkers` are left. Another starts when there is work for it.
   *
   * @default {Infinity}
   */
  idleTimeout?: number;
  /**
   * Most tasks that a worker runs at once. With more than 1, a task begins
   * while others await something. A function that computes keeps the others in
   * its worker waiting.
   *
   * @default {1}
   */
  concurrentTasksPerWorker?: number;
  /**
   * Most tasks that may wait, beside those that a worker could begin as soon as
   * it has started. The next is rejected with a {@linkcode PoolFullError}.
   *
   * @default {Infinity}
   */
  maxQueue?: number;
  /**
   * How often to run a task again if its worker dies. The task may then run
   * more than once, each time from its beginning. A task with a `transfer` is
   * not run again.
   *
   * @default {0}
   */
  retries?: number;
  /**
   * A function that each worker calls before its first task, or its export's
   * name. `module` must export it. If it throws, the pool rejects all tasks.
   */
  initializer?: ((...args: A) => unknown) | string;
  /**
   * The arguments of `initializer`, copied when the pool is constructed.
   *
   * @default {[]}
   */
  initializerArgs?: readonly [...A];
  /**
   * Ends a worker after this many tasks. Another takes its place when there is
   * work for it.
   *
   * @default {Infinity}
   */
  maxTasksPerWorker?: number;
  /**
   * The permissions of the functions. In a thread, anything but `"inherit"`
   * needs `--unstable-worker-options`. There it guards against mistakes only:
   * run hostile code in a {@linkcode ProcessPool}.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
  /**
   * The name.
   *
   * @default {"ThreadPool-N" or "ProcessPool-N"}
   */
  name?: string;
}

/** Options of a pool's `run()`. */
export interface PoolRunOptions {
  /**
   * Ends the task early: the promise rejects with the signal's reason. A task
   * that has not begun never begins. One that has begun costs its worker, which
   * is replaced: a process is killed; a thread is terminated, which ends it at
   * its next `await`, and is set aside until then.
   *
   * To keep the worker, pass a signal as an argument too: there the function
   * gets a signal of its own, and the worker is kept if the function returns or
   * throws within `abortTimeout`.
   */
  signal?: AbortSignal;
  /**
   * How long a function that got a signal may go on after it was aborted, in
   * milliseconds. Then its worker is replaced; what else runs in it is lost, or
   * runs again if `retries` allows.
   *
   * @default {1_000}
   */
  abortTimeout?: number;
  /**
   * Longest time from `run()` to the result in milliseconds, waiting included.
   * Then the task ends as by `signal`, with a `TimeoutError`; the signals among
   * its arguments are aborted.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * Parts of the arguments to move instead of copying them, as with
   * `postMessage()`. The caller loses them when a worker takes the task, at the
   * latest. Those that are in the result move back. They are copied to a
   * process.
   */
  transfer?: Transferable[];
}

/** Options of a pool's `shutdown()`. */
export interface PoolShutdownOptions {
  /**
   * Whether the promise waits until the tasks and workers have ended. They end
   * in either case.
   *
   * @default {true}
   */
  wait?: boolean;
  /**
   * Whether to reject queued tasks with a {@linkcode PoolClosedError} instead
   * of running them first.
   *
   * @default {false}
   */
  cancel?: boolean;
}

/** Options that have been checked. */
export interface PoolSettings
  extends Required<Omit<PoolOptions, "initializer" | "initializerArgs">> {
  /** The kind of workers. */
  kind: RunnerKind;
  /** The URL of the module that a worker runs. */
  main: string;
  /** A URL. */
  module: string;
  /** The initializer, with its arguments. */
  initializer: Initializer | null;
  /** A process calls locks that stay here. The pool keeps those that it got. */
  kept: readonly unknown[];
}

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

const numbers = { thread: 0, process: 0 };

const POOL_OPTIONS: (keyof PoolOptions)[] = [
  "module",
  "workers",
  "minWorkers",
  "idleTimeout",
  "concurrentTasksPerWorker",
  "maxQueue",
  "retries",
  "initializer",
  "initializerArgs",
  "maxTasksPerWorker",
  "permissions",
  "name",
];
const RUN_OPTIONS: (keyof PoolRunOptions)[] = [
  "signal",
  "timeout",
  "abortTimeout",
  "transfer",
];

function checkArray(name: string, value: unknown): void {
  assertType(name, value, Array.isArray(value), "an array");
}

function checkInitializer(
  kind: RunnerKind,
  { initializer, initializerArgs = [] }: PoolOptions,
): Initializer | null {
  if (initializer === undefined) return null;
  const name = targetName(initializer, "initializer");
  checkArray("initializerArgs", initializerArgs);
  try {
    const given = [...initializerArgs];
    const packed = packFor(kind, given);
    const args = structuredClone(packed) as unknown[];
    return { name, args, isPacked: packed !== given };
  } catch (error) {
    throw new TypeError(
      `Cannot pass "initializerArgs" to "${name}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/** Checks a pool's options. */
export function checkPoolOptions(
  kind: RunnerKind,
  options: PoolOptions,
): PoolSettings {
  const className = kind === "thread" ? "ThreadPool" : "ProcessPool";
  assertOptions(options, `a ${className}`, POOL_OPTIONS);
  const {
    workers = navigator.hardwareConcurrency,
    minWorkers = 0,
    idleTimeout = Infinity,
    concurrentTasksPerWorker = 1,
    maxQueue = Infinity,
    maxTasksPerWorker = Infinity,
    retries = 0,
    permissions = "inherit",
  } = options;
  assertPositiveInteger("workers", workers);
  assertInteger("minWorkers", minWorkers, 0, workers);
  checkTimeout(idleTimeout, "idleTimeout");
  assertPositiveInteger("concurrentTasksPerWorker", concurrentTasksPerWorker);
  if (maxQueue !== Infinity) assertPositiveInteger("maxQueue", maxQueue);
  if (maxTasksPerWorker !== Infinity) {
    assertPositiveInteger("maxTasksPerWorker", maxTasksPerWorker);
  }
  assertInteger("retries", retries, 0);
  const module = checkModule(options.module, "the tasks of a pool", kind);
  const name = options.name === undefined
    ? `${className}-${++numbers[kind]}`
    : checkName(options.name);
  return {
    kind,
    main: MAIN_URL,
    module,
    workers,
    minWorkers,
    idleTimeout,
    concurrentTasksPerWorker,
    maxQueue,
    retries,
    maxTasksPerWorker,
    initializer: checkInitializer(kind, options),
    kept: [...options.initializerArgs ?? []],
    permissions,
    name,
  };
}

/** Checks the options of a `run()`. */
export function checkRunOptions(
  args: readonly unknown[],
  options: PoolRunOptions,
): void {
  checkArray("args", args);
  assertOptions(options, "run()", RUN_OPTIONS);
  const { signal, timeout, abortTimeout, transfer } = options;
  checkSignal(signal);
  checkTimeout(timeout);
  checkTimeout(abortTimeout, "abortTimeout");
  if (transfer !== undefined) checkArray("transfer", transfer);
}
