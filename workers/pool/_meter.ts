/**
 * The counts and times of a pool.
 *
 * @module
 */

import { Histogram } from "../base/histogram.ts";
import type { PoolTask } from "./_task.ts";

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
