/**
 * Gives the tasks of a pool to its workers.
 *
 * A task waits in the queue, then a worker has it, then it is settled. It goes
 * back to the front of the queue if its thread has not begun it and stalls or
 * dies, or if `retries` allows it to run again.
 *
 * @module
 */

import {
  PoolClosedError,
  PoolFullError,
  type RunnerExit,
} from "../base/errors.ts";
import { PoolMeter, type PoolStats } from "./_meter.ts";
import type { PoolRunOptions, PoolSettings } from "./_options.ts";
import {
  PoolTarget,
  PoolTask,
  type TaskGroup,
  type TaskOptions,
} from "./_task.ts";
import { type TaskMatcher, TaskQueue } from "./_task_lists.ts";
import { WorkerGroup } from "./_worker_group.ts";
import type {
  Outcome,
  WorkerHandle,
  WorkerHandleOwner,
} from "./_worker_handle.ts";

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
  #state: "open" | "closing" | "terminated" = "open";
  /** Why no worker can run a task. */
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
    const { kind, name: pool, maxQueue } = this.settings;
    if (this.#state !== "open") throw this.#closed("was not taken");
    if (this.#broken !== null) throw this.#broken;
    let target = this.#targets.get(name);
    if (target === undefined) {
      target = new PoolTarget(name);
      this.#targets.set(name, target);
    }
    // A worker may have time for some of them.
    if (this.queue.length >= maxQueue) this.#dispatch();
    if (this.queue.length >= maxQueue) {
      throw new PoolFullError(
        `Cannot run a task: in "${pool}" as many wait as "maxQueue" allows, ` +
          `${maxQueue}; wait for drained(), or use map()`,
      );
    }
    const task = new PoolTask(kind, target, args, options);
    this.queue.push(task);
    this.#group.wake();
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
    options: PoolRunOptions,
  ): Promise<unknown> {
    const { signal, timeout, transfer } = options;
    signal?.throwIfAborted();
    if (signal === undefined && timeout === undefined) {
      return this.submit(name, args, { transfer }).promise;
    }
    const group = { kill: true, cancelled: false };
    const task = this.submit(name, args, { transfer, group });
    task.limit(options, (reason) => {
      group.cancelled = true;
      this.cancel(group, reason);
      // It is not known when its worker will have ended.
      this.#meter.settle(task, "cancelled", reason);
    });
    return task.promise;
  }

  /**
   * Rejects the tasks of a group that have not begun.
   *
   * @param group The group.
   * @param reason The error.
   */
  cancel(group: TaskGroup, reason: unknown): void {
    const isMember = (task: PoolTask) => task.group === group;
    this.#cancel(isMember, reason);
    if (group.kill) this.#group.kill(isMember);
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
      this.#group.wake();
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
      this.#group.wake();
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
    if (this.#broken === null) this.#group.watchRest();
    this.#schedule();
  }

  taskAnswered(task: PoolTask, outcome: Outcome, time: number): void {
    this.#group.failures = 0;
    this.#meter.record(task, time);
    this.#meter.settle(task, ...outcome);
  }

  taskRefused(task: PoolTask, error: unknown): void {
    this.#meter.settle(task, "failed", error);
    this.#schedule();
  }

  workerExited(worker: WorkerHandle, exit: RunnerExit, asked: boolean): void {
    const { kind, retries } = this.settings;
    const terminated = this.#state === "terminated";
    this.#meter.retire(worker);
    const { begun, waiting } = this.#group.remove(worker);
    if (!asked && !terminated) {
      const error = this.#group.judge(worker, exit, begun.length > 0);
      if (error !== null) this.#break(error);
    }
    const again: PoolTask[] = [];
    for (const task of begun) {
      if (terminated) {
        this.#meter.settle(task, "failed", this.#closed("was ended"));
      } else if (task.mayRetry(retries)) {
        again.push(task);
      } else {
        this.#meter.settle(task, "failed", task.lost(kind, exit));
      }
    }
    this.queue.putBack([...again, ...waiting]);
    this.#schedule();
  }

  #closed(what: string): Error {
    const { name } = this.settings;
    return new PoolClosedError(
      `Cannot run a task: it ${what} because "${name}" was shut down`,
    );
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#group.wake();
    this.#schedule();
  }

  /** Rejects the tasks that match and have not begun. */
  #cancel(matches: TaskMatcher, reason: unknown): void {
    const tasks = this.queue.remove(matches);
    tasks.push(...this.#group.recall(matches));
    for (const task of tasks) this.#meter.settle(task, "cancelled", reason);
    this.#schedule();
  }

  #cancelAll(): void {
    this.#cancel(() => true, this.#closed("was cancelled"));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const group = this.#group;
    if (this.queue.length > 0) {
      this.#rejectQueue();
      group.assign(this.queue);
    }
    const ending = this.#state !== "open" || this.#broken !== null;
    const left = ending && this.queue.length === 0;
    group.end(left);
    if (left) this.#leave();
    else {
      try {
        group.grow(this.queue.length, this.#state === "open");
      } catch (error) {
        this.#break(error as Error);
      }
      if (this.settings.kind === "thread") group.watchStalls(this.#putBack);
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

  #putBack = (tasks: PoolTask[]): void => {
    this.queue.putBack(tasks);
    this.#dispatch();
  };

  /** Ends, once all workers have. */
  #leave(): void {
    if (this.#group.workers.length > 0 || this.#state === "open") return;
    this.#group.stop();
    this.#ended.resolve();
  }
}
