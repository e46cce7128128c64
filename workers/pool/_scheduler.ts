/**
 * Gives the tasks of a pool to its workers.
 *
 * @module
 */

import type { RunnerExit } from "../errors.ts";
import { poolClosed, poolFull, taskLost } from "./_errors.ts";
import { IdleWatch } from "./_idle.ts";
import type { PoolSettings, PoolStats } from "./_options.ts";
import { PoolMeter } from "./_meter.ts";
import type { Outcome } from "./_protocol.ts";
import {
  PoolTarget,
  PoolTask,
  type TaskGroup,
  type TaskLimitOptions,
  type TaskOptions,
} from "./_task.ts";
import { TaskQueue } from "./_task_queue.ts";
import { WorkerGroup } from "./_worker_group.ts";
import type { WorkerHandle, WorkerHandleOwner } from "./_worker_handle.ts";
import { WorkerHealth } from "./_worker_health.ts";

/** Waiting tasks per worker from which on `needsDrain` is true. */
const HIGH_WATER = 32;

/** Gives the tasks of a pool to its workers. */
export class Scheduler implements WorkerHandleOwner {
  /** The pool's options. */
  readonly settings: PoolSettings;
  /** The tasks that no worker has. */
  readonly queue: TaskQueue;
  #group: WorkerGroup;
  #targets = new Map<string, PoolTarget>();
  #meter = new PoolMeter();
  #health: WorkerHealth;
  #idle = new IdleWatch(
    () => this.idle,
    (alive) => this.#group.keepAlive(alive),
  );
  #state: "open" | "closing" | "terminated" = "open";
  #broken: Error | null = null;
  #scheduled = false;
  #ended: PromiseWithResolvers<void> = Promise.withResolvers();

  /**
   * Constructs the core of a pool. It starts no worker yet.
   *
   * @param settings The pool's options.
   */
  constructor(settings: PoolSettings) {
    const { maxQueue, workers } = settings;
    this.settings = settings;
    this.queue = new TaskQueue(Math.min(maxQueue, HIGH_WATER * workers));
    this.#group = new WorkerGroup(this, settings);
    this.#health = new WorkerHealth(settings, () => this.#dispatch());
  }

  /** Whether there is no work. */
  get idle(): boolean {
    return this.#state === "open" && this.queue.length === 0 &&
      this.#group.load === 0;
  }

  /**
   * Takes a task.
   *
   * @param name The export to call.
   * @param args The arguments.
   * @param options Its options.
   * @returns The task, whose promise is the result.
   */
  submit(name: string, args: unknown[], options: TaskOptions): PoolTask {
    const { settings } = this;
    if (this.#state !== "open") throw poolClosed(settings, "was not taken");
    if (this.#broken !== null) throw this.#broken;
    let target = this.#targets.get(name);
    if (target === undefined) {
      target = new PoolTarget(name);
      this.#targets.set(name, target);
    }
    // A worker may have time for some of them.
    if (this.queue.length >= settings.maxQueue) this.#dispatch();
    if (this.queue.length >= settings.maxQueue) throw poolFull(settings);
    const task = new PoolTask(settings.kind, target, args, options);
    this.queue.push(task);
    this.#idle.wake();
    this.#schedule();
    return task;
  }

  /**
   * Takes a task that may be ended early.
   *
   * @param name The export to call.
   * @param args The arguments.
   * @param options Its limits, and the parts of the arguments to move.
   * @returns The result.
   */
  run(
    name: string,
    args: unknown[],
    options: TaskLimitOptions & Pick<TaskOptions, "transfer">,
  ): Promise<unknown> {
    const { signal, timeout, transfer } = options;
    signal?.throwIfAborted();
    const alone = signal !== undefined || timeout !== undefined;
    const task = this.submit(name, args, { transfer, alone });
    if (alone) task.limit(options, (reason) => this.#end(task, reason));
    return task.promise;
  }

  /**
   * Rejects the tasks of a group that have not begun.
   *
   * @param group The group.
   * @param reason The error.
   */
  cancel(group: TaskGroup, reason: unknown): void {
    this.#cancel((task) => task.group === group, reason);
    if (group.kill) this.#group.kill((task) => task.group === group);
  }

  /**
   * Ends the pool once its tasks are done.
   *
   * @param cancel Whether to reject those that have not begun.
   * @returns A promise that settles when all workers have ended.
   */
  close(cancel: boolean): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#idle.wake();
    }
    if (cancel) this.#cancelAll();
    this.#schedule();
    return this.#ended.promise;
  }

  /**
   * Ends the pool at once.
   *
   * @returns A promise that settles when all workers have ended.
   */
  terminate(): Promise<void> {
    if (this.#state !== "terminated") {
      this.#state = "terminated";
      this.#idle.wake();
      this.#cancelAll();
      this.#group.terminate();
    }
    this.#schedule();
    return this.#ended.promise;
  }

  /** Returns the counts and times. */
  stats(): PoolStats {
    const { workers, load, restarts } = this.#group;
    return {
      workers: workers.length,
      idle: workers.filter(({ ready, load }) => ready && load === 0).length,
      queued: this.queue.length,
      running: load,
      restarts,
      ...this.#meter.summary(workers),
      needsDrain: this.queue.needsDrain,
    };
  }

  workerHeard(): void {
    if (this.idle && this.#broken === null) this.#idle.watch();
    this.#schedule();
  }

  taskAnswered(task: PoolTask, outcome: Outcome, time: number): void {
    this.#health.worked();
    this.#meter.record(task, time);
    this.#meter.settle(task, outcome.end, outcome.value);
  }

  taskRefused(task: PoolTask, error: unknown): void {
    this.#meter.settle(task, "failed", error);
    this.#schedule();
  }

  workerExited(worker: WorkerHandle, exit: RunnerExit, asked: boolean): void {
    const { settings } = this;
    const terminated = this.#state === "terminated";
    const died = !asked && !terminated;
    this.#group.remove(worker, died);
    this.#meter.retire(worker);
    const { begun, waiting } = worker.abandon();
    if (died) this.#break(this.#health.judge(worker, exit, begun.length > 0));
    const again: PoolTask[] = [];
    for (const task of begun) {
      if (!terminated && task.mayRetry(settings.retries)) {
        again.push(task);
        continue;
      }
      const error = terminated
        ? poolClosed(settings, "was ended")
        : taskLost(settings, task.target.name, exit);
      this.#meter.settle(task, "failed", error);
    }
    this.queue.putBack([...again, ...waiting]);
    this.#schedule();
  }

  #break(error: Error | null): void {
    if (error === null || this.#broken !== null) return;
    this.#broken = error;
    this.#idle.wake();
    this.#schedule();
  }

  /** Rejects the tasks that match and have not begun. */
  #cancel(matches: (task: PoolTask) => boolean, reason: unknown): void {
    const tasks = this.queue.remove(matches);
    tasks.push(...this.#group.recall(matches));
    for (const task of tasks) this.#meter.settle(task, "cancelled", reason);
    this.#schedule();
  }

  #cancelAll(): void {
    this.#cancel(() => true, poolClosed(this.settings, "was cancelled"));
  }

  /** Ends a task early, in any state. */
  #end(task: PoolTask, reason: unknown): void {
    const isTask = (other: PoolTask) => other === task;
    if (this.queue.has(task)) this.queue.delete(task);
    else this.#group.lookFor(task);
    this.#group.recall(isTask);
    this.#meter.settle(task, "cancelled", reason);
    this.#group.kill(isTask);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#runScheduled);
  }

  #runScheduled = (): void => {
    this.#scheduled = false;
    this.#dispatch();
  };

  #dispatch(): void {
    const group = this.#group;
    if (this.queue.length > 0) {
      this.#rejectQueue();
      group.assign(this.queue);
    }
    group.retire();
    const ending = this.#state !== "open" || this.#broken !== null;
    if (!ending || this.queue.length > 0) this.#grow();
    if (ending && this.queue.length === 0) this.#leave();
    else if (this.settings.kind === "thread") {
      group.watchStalls(this.#takeBack);
    }
  }

  /** Rejects the tasks that no worker will have. */
  #rejectQueue(): void {
    if (this.#state === "terminated") return this.#cancelAll();
    const error = this.#broken;
    if (error === null) return;
    for (const task of this.queue.remove(() => true)) {
      this.#meter.settle(task, "failed", error);
    }
  }

  #takeBack = (worker: WorkerHandle): void => {
    this.queue.putBack(worker.tasks.recall((task) => task.transfer === null));
    this.#dispatch();
  };

  #grow(): void {
    if (this.#health.waiting) return;
    const replaces = this.#health.good && this.#state === "open";
    try {
      this.#group.grow(this.queue.length, replaces);
    } catch (error) {
      this.#break(error as Error);
    }
  }

  /** Ends idle workers. */
  #leave(): void {
    this.#group.end();
    if (this.#group.workers.length > 0 || this.#state === "open") return;
    this.#health.stop();
    this.#group.stop();
    this.#idle.stop();
    this.#ended.resolve();
  }
}
