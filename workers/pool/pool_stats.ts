/**
 * The statistics of pools.
 *
 * @module
 */

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
   * Tasks that were given to a worker. A worker runs one of them, or
   * `concurrentTasksPerWorker`; in a thread, tiny ones wait there.
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
