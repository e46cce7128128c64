/**
 * The counts and times of a pool.
 *
 * @module
 */

import { Histogram } from "../_histogram.ts";
import type { PoolStats } from "./_options.ts";
import type { PoolTask } from "./_task.ts";

/** A worker, as far as its time is counted. */
interface Timed {
  /** When it was started. */
  readonly started: number;
}

/** Settles the tasks of a pool, and counts. */
export class PoolMeter {
  #completed = 0;
  #failed = 0;
  #cancelled = 0;
  #runTime = new Histogram();
  #waitTime = new Histogram();
  /** How long the workers lived that are gone. */
  #past = 0;

  /**
   * Counts a task that ran.
   *
   * @param task The task.
   * @param time How long it ran.
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
   * Settles a task that nobody wants any more.
   *
   * @param task The task, which may be settled already.
   * @param reason Why not.
   */
  cancel(task: PoolTask, reason: unknown): void {
    if (task.settled) return;
    this.#cancelled++;
    task.reject(reason);
  }

  /**
   * Counts a worker that is gone.
   *
   * @param worker The worker.
   */
  retire(worker: Timed): void {
    this.#past += performance.now() - worker.started;
  }

  /**
   * Sums up.
   *
   * @param workers Those that live.
   * @returns What was counted.
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
