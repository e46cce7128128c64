import { Histogram } from "../_histogram.ts";
import type { PoolStats } from "./_options.ts";
import type { PoolTask } from "./_task.ts";

/** A worker, as far as its time is counted. */
interface Timed {
  /** When it was started. */
  readonly started: number;
}

/** Counts what a pool does. */
export class PoolMeter {
  /** As in {@linkcode PoolStats}. */
  completed = 0;
  /** As in {@linkcode PoolStats}. */
  failed = 0;
  /** As in {@linkcode PoolStats}. */
  cancelled = 0;
  /** As in {@linkcode PoolStats}. */
  restarts = 0;
  #runTime = new Histogram();
  #waitTime = new Histogram();
  /** How long the workers lived that are gone. */
  #past = 0;

  /**
   * Counts a task that was answered.
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
    "workers" | "idle" | "queued" | "running" | "needsDrain"
  > {
    const now = performance.now();
    let lived = this.#past;
    for (const { started } of workers) lived += now - started;
    return {
      completed: this.completed,
      failed: this.failed,
      cancelled: this.cancelled,
      restarts: this.restarts,
      runTime: this.#runTime.summary(),
      waitTime: this.#waitTime.summary(),
      utilization: lived === 0 ? 0 : Math.min(1, this.#runTime.total / lived),
    };
  }
}
