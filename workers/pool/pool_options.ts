/**
 * The options of pools.
 *
 * @module
 */

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
