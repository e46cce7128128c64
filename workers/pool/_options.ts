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
   * How many workers there are at most. They are started when there is work
   * that no other has time for.
   *
   * @default {navigator.hardwareConcurrency}
   */
  workers?: number;
  /**
   * How many tasks may wait for a worker; what is submitted beyond that is
   * rejected with a {@linkcode PoolFullError}.
   *
   * @default {Infinity}
   */
  maxQueue?: number;
  /**
   * How often a task is run again whose worker died. A task may then run more
   * than once, from its beginning. One that was given a `transfer` is not run
   * again.
   *
   * @default {0}
   */
  retries?: number;
  /**
   * A function that `module` exports, or its export's name, which each worker
   * calls before its first task. If it throws, the pool rejects all tasks.
   */
  initializer?: ((...args: A) => unknown) | string;
  /**
   * The arguments of `initializer`, copied when the pool is constructed.
   *
   * @default {[]}
   */
  initializerArgs?: readonly [...A];
  /**
   * After how many tasks a worker is ended; another takes its place when there
   * is work for it.
   *
   * @default {Infinity}
   */
  maxTasksPerWorker?: number;
  /**
   * What the functions may do. In a thread, anything but `"inherit"` needs
   * `--unstable-worker-options`.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
  /** The name, `"ThreadPool-N"` or `"ProcessPool-N"` if left out. */
  name?: string;
}

/** Options of a pool's `run()`. */
export interface PoolRunOptions {
  /**
   * Ends the task early: the promise rejects with the signal's reason. A task
   * that has not begun never does. One that has costs its worker, which is
   * replaced: a process is killed; a thread is terminated, which ends it at
   * its next `await`, and is set aside until then.
   */
  signal?: AbortSignal;
  /**
   * How long the task may take from `run()` on, in milliseconds, waiting
   * included. Then it ends as by `signal`, with a `TimeoutError`.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * What of the arguments moves instead of being copied, as with
   * `postMessage()`: the caller loses it, when a worker takes the task at the
   * latest. What of it is in the result moves back. To a process it is copied.
   */
  transfer?: Transferable[];
}

/** Options of a pool's `map()` and `starmap()`. */
export interface PoolMapOptions {
  /**
   * How many items make a task. Tiny functions are the faster for larger
   * chunks; the items of a chunk are worked on one after the other.
   *
   * @default {1}
   */
  chunkSize?: number;
  /**
   * Whether the results come in the order of the items. Otherwise they come as
   * they are finished.
   *
   * @default {true}
   */
  ordered?: boolean;
  /**
   * How many tasks may be under way, those included whose results have not
   * been taken yet: no more items are read ahead.
   *
   * @default {8 * workers}
   */
  concurrency?: number;
  /**
   * Ends it early: no more is read, what waits for a worker is cancelled, and
   * the reason is thrown once what runs has ended. A function that runs in a
   * thread can't be stopped.
   */
  signal?: AbortSignal;
  /**
   * Whether `signal`, an error and leaving a loop early also end the
   * processes that run it, which are replaced. Not for threads.
   *
   * @default {false}
   */
  kill?: boolean;
}

/** Options of a pool's `shutdown()`. */
export interface PoolShutdownOptions {
  /**
   * Whether the promise waits for the tasks and workers to end, which they do
   * anyway.
   *
   * @default {true}
   */
  wait?: boolean;
  /**
   * Whether the tasks that have not begun are rejected, with a
   * {@linkcode PoolClosedError}, instead of being done first.
   *
   * @default {false}
   */
  cancel?: boolean;
}

/** Times in milliseconds; percentiles are right within a tenth. */
export interface TimeSummary {
  /** The mean. */
  mean: number;
  /** The shortest. */
  min: number;
  /** The longest. */
  max: number;
  /** Half of them were no longer than this. */
  p50: number;
  /** 99 of 100 were no longer than this. */
  p99: number;
}

/** How a pool is doing. */
export interface PoolStats {
  /** How many workers there are, those included that are starting. */
  workers: number;
  /** How many of them have nothing to do. */
  idle: number;
  /** How many tasks wait for a worker. */
  queued: number;
  /** How many tasks a worker has: it runs one, and tiny ones wait there. */
  running: number;
  /** How many tasks gave a result. */
  completed: number;
  /** How many tasks threw, were lost, or could not be run. */
  failed: number;
  /** How many tasks were cancelled, aborted, or not done in time. */
  cancelled: number;
  /** How many workers were started in place of one that died. */
  restarts: number;
  /** How long tasks ran. */
  runTime: TimeSummary;
  /** Time from `submit()` to the result, minus run time. */
  waitTime: TimeSummary;
  /**
   * How much of the time that the workers had so far they ran tasks, from 0
   * to 1.
   */
  utilization: number;
  /** As the pool's `needsDrain`. */
  needsDrain: boolean;
}

/** Options that have been checked. */
export interface PoolSettings {
  /** The kind of workers. */
  kind: RunnerKind;
  /** The URL of the module that a worker runs. */
  main: string;
  /** A URL. */
  module: string;
  /** As in {@linkcode PoolOptions}. */
  workers: number;
  /** As in {@linkcode PoolOptions}. */
  maxQueue: number;
  /** As in {@linkcode PoolOptions}. */
  retries: number;
  /** As in {@linkcode PoolOptions}. */
  maxTasksPerWorker: number;
  /** As in {@linkcode PoolOptions}, with its arguments. */
  initializer: Initializer | null;
  /** As in {@linkcode PoolOptions}. */
  permissions: Deno.PermissionOptions;
  /** As in {@linkcode PoolOptions}. */
  name: string;
}

/** Options of a `map()` that have been checked. */
export interface MapSettings {
  /** As in {@linkcode PoolMapOptions}. */
  chunkSize: number;
  /** As in {@linkcode PoolMapOptions}. */
  ordered: boolean;
  /** Whether each item is a list of arguments. */
  spread: boolean;
  /** As in {@linkcode PoolMapOptions}. */
  concurrency: number;
  /** As in {@linkcode PoolMapOptions}. */
  signal: AbortSignal | null;
  /** As in {@linkcode PoolMapOptions}. */
  kill: boolean;
}
