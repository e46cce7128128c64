/**
 * The counts and times of a pool.
 *
 * @module
 */

import { Histogram } from "../_histogram.ts";
import type { PoolStats } from "./_options.ts";
import type { PoolTask } from "./_task.ts";

/** A worker, as the meter sees it. */
interface Timed {
  /** The time of its start. */
  readonly started: number;
}

/** Settles and counts the tasks of a pool. */
export class PoolMeter {
  #completed = 0;
  #failed = 0;
  #cancelled = 0;
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
   * Settles a task with its result.
   *
   * @param task The task, which may be settled already.
   * @param value The result.
   */
  complete(task: PoolTask, value: unknown): void {
    if (task.settled) return;
    this.#completed++;
    task.resolve(value);
  }

  /**
   * Settles a task that threw, was lost, or could not be run.
   *
   * @param task The task, which may be settled already.
   * @param error The error.
   */
  fail(task: PoolTask, error: unknown): void {
    if (task.settled) return;
    this.#failed++;
    task.reject(error);
  }

  /**
   * Settles a cancelled task.
   *
   * @param task The task, which may be settled already.
   * @param reason The reason.
   */
  cancel(task: PoolTask, reason: unknown): void {
    if (task.settled) return;
    this.#cancelled++;
    task.reject(reason);
  }

  /**
   * Counts a worker that has ended.
   *
   * @param worker The worker.
   */
  retire(worker: Timed): void {
    this.#past += performance.now() - worker.started;
  }

  /**
   * Summarizes the counts.
   *
   * @param workers The current workers.
   * @returns The counts and times.
   */
  summary(workers: Timed[]): Omit<
    PoolStats,
    "workers" | "idle" | "restarts" | "queued" | "running" | "needsDrain"
  > {
    const now = performance.now();
    let lived = this.#past;
    for (const { started } of workers) lived += now - started;
    return {
      completed: this.#completed,
      failed: this.#failed,
      cancelled: this.#cancelled,
      runTime: this.#runTime.summary(),
      waitTime: this.#waitTime.summary(),
      utilization: lived === 0 ? 0 : Math.min(1, this.#runTime.total / lived),
    };
  }
}
