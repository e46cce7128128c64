/**
 * The options of pools.
 *
 * @module
 */
import type { Initializer } from "./_protocol.ts";
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
   * Most tasks that may wait for a worker. The next is rejected with a
   * {@linkcode PoolFullError}.
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
   * needs `--unstable-worker-options`.
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
   * is replaced. A process is killed. A thread is terminated, which ends it at
   * its next `await`; until then it is set aside.
   */
  signal?: AbortSignal;
  /**
   * Longest time from `run()` to the result in milliseconds, waiting included.
   * Then the task ends as by `signal`, with a `TimeoutError`.
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

/** Options of a pool's `map()` and `starmap()`. */
export interface PoolMapOptions {
  /**
   * Items per task. Larger chunks make tiny functions faster. The items of a
   * chunk run one after the other.
   *
   * @default {1}
   */
  chunkSize?: number;
  /**
   * Whether results come in the order of the items. Otherwise they come as they
   * are finished.
   *
   * @default {true}
   */
  ordered?: boolean;
  /**
   * Most tasks at once, including those whose results have not been taken yet.
   * No more items are read ahead.
   *
   * @default {8 * workers}
   */
  concurrency?: number;
  /**
   * Ends the work early: no more items are read, waiting tasks are cancelled,
   * and the reason is thrown once the running tasks have ended. A function that
   * runs in a thread can't be stopped.
   */
  signal?: AbortSignal;
  /**
   * Whether `signal`, an error, and leaving a loop early also kill the
   * processes that run the tasks. They are replaced. Not for threads.
   *
   * @default {false}
   */
  kill?: boolean;
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

/** Times in milliseconds. Percentiles are accurate within a tenth. */
export interface TimeSummary {
  /** The mean. */
  mean: number;
  /** The shortest. */
  min: number;
  /** The longest. */
  max: number;
  /** The median. */
  p50: number;
  /** The 99th percentile. */
  p99: number;
}

/** The counts and times of a pool. */
export interface PoolStats {
  /** Workers, including those that are starting or have not ended yet. */
  workers: number;
  /** Workers without a task. */
  idle: number;
  /** Tasks that wait for a worker. */
  queued: number;
  /**
   * Tasks that were given to a worker. A worker runs one of them; tiny ones
   * wait there.
   */
  running: number;
  /** Tasks that returned a result. */
  completed: number;
  /** Tasks that threw, were lost, or could not run. */
  failed: number;
  /** Tasks that were cancelled, were aborted, or timed out. */
  cancelled: number;
  /** Workers started in place of one that died. */
  restarts: number;
  /** Run times of tasks. */
  runTime: TimeSummary;
  /** Time from `submit()` to the result, minus run time. */
  waitTime: TimeSummary;
  /** The part of the workers' time spent on tasks, from 0 to 1. */
  utilization: number;
  /** The pool's `needsDrain`. */
  needsDrain: boolean;
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
}

/** Options of a `map()` that have been checked. */
export interface MapSettings extends Required<Omit<PoolMapOptions, "signal">> {
  /** Whether each item is a list of arguments. */
  spread: boolean;
  /** As in {@linkcode PoolMapOptions}. */
  signal: AbortSignal | null;
}
