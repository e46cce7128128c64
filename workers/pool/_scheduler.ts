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
  callExceptHook,
  PoolClosedError,
  PoolFullError,
  type RunnerExit,
} from "../base/errors.ts";
import { context, type TaskOwner } from "../runner/context.ts";
import { MAX_TIMEOUT } from "../base/check.ts";
import {
  PoolMeter,
  PoolTarget,
  PoolTask,
  type TaskEnd,
  type TaskOptions,
  TaskQueue,
} from "./_task.ts";
import type { PoolSettings } from "./_options.ts";
import type { PoolRunOptions } from "./pool_options.ts";
import type { PoolStats } from "./pool_stats.ts";
import { ChunkResults } from "./_protocol.ts";
import { WorkerGroup } from "./_worker_group.ts";
import type {
  Outcome,
  WorkerHandle,
  WorkerHandleOwner,
} from "./_worker_handle.ts";

/** Waiting tasks per worker from which on `needsDrain` is true. */
const HIGH_WATER = 32;
/** How long an aborted task that got the signal may take to end. */
const ABORT_TIMEOUT = 1_000;

/** What ends the tasks of a signal: one listener, however many there are. */
interface AbortGroup {
  tasks: Map<PoolTask, number | undefined>;
  listen: () => void;
}

/** Gives the tasks of a pool to its workers. */
export class Scheduler implements TaskOwner, WorkerHandleOwner {
  /** The pool's options. */
  readonly settings: PoolSettings;
  /** The tasks that no worker has. */
  readonly queue: TaskQueue;
  #group: WorkerGroup;
  #targets = new Map<string, PoolTarget>();
  #aborts = new Map<AbortSignal, AbortGroup>();
  #meter = new PoolMeter();
  #state: "open" | "closing" | "terminated" = "open";
  /** Why no worker can run a task. */
  #broken: Error | null = null;
  #scheduled = false;
  /** Settles when there are no tasks, if somebody waits for that. */
  #done: PromiseWithResolvers<void> | null = null;
  #ended: PromiseWithResolvers<void> = Promise.withResolvers();

  /**
   * Constructs the core of a pool, and starts `minWorkers` workers.
   *
   * @param settings The pool's options.
   */
  constructor(settings: PoolSettings) {
    const { maxQueue, workers, minWorkers } = settings;
    this.settings = settings;
    this.queue = new TaskQueue(Math.min(maxQueue, HIGH_WATER * workers));
    this.#group = new WorkerGroup(this, settings);
    if (minWorkers > 0) this.#schedule();
  }

  /** Whether there is no work. */
  get idle(): boolean {
    return this.#state === "open" && !this.isBusy;
  }

  get isBusy(): boolean {
    return this.queue.length > 0 || this.#group.load > 0;
  }

  done(): Promise<void> {
    if (!this.isBusy) return Promise.resolve();
    return (this.#done ??= Promise.withResolvers<void>()).promise;
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
      context.owners.add(this);
      this.#targets.set(name, target);
    }
    // A worker may have time for some of them.
    if (this.queue.length >= maxQueue) this.#dispatch();
    if (this.queue.length >= maxQueue + this.#group.comingRoom) {
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
    const { signal, timeout = Infinity, transfer, abortTimeout } = options;
    signal?.throwIfAborted();
    const fatal = signal !== undefined || timeout !== Infinity;
    const task = this.submit(name, args, { transfer, fatal });
    if (signal !== undefined) this.#watch(task, signal, abortTimeout);
    if (timeout <= MAX_TIMEOUT) {
      const timer = setTimeout(() => {
        const why = `Cannot get the result of "${name}": it took longer than ` +
          `${timeout} ms`;
        const error = new DOMException(why, "TimeoutError");
        this.#abort(task, error, abortTimeout);
      }, timeout);
      task.whilePending(() => clearTimeout(timer));
    }
    return task.promise;
  }

  /**
   * Rejects a task if it has not begun.
   *
   * @param task The task.
   * @param reason The error.
   * @param kill Whether to end its worker if it has begun.
   */
  cancel(task: PoolTask, reason: unknown, kill: boolean): void {
    const { holder } = task;
    if (task.settled) return;
    if (holder === null) this.queue.remove(task);
    else if (!holder.recall(task)) {
      if (kill) this.#group.kill(holder as WorkerHandle);
      return;
    }
    this.#settle(task, "cancelled", reason);
    this.#schedule();
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
    const { concurrentTasksPerWorker } = this.settings;
    return {
      workers: workers.length,
      idle: workers.filter(({ ready, load }) => ready && load === 0).length,
      queued: this.queue.length,
      running: load,
      restarts,
      ...this.#meter.summary(workers, concurrentTasksPerWorker),
      needsDrain: this.queue.needsDrain,
    };
  }

  workerHeard(): void {
    if (this.#broken === null) this.#group.watchRest();
    this.#schedule();
  }

  taskAnswered(task: PoolTask, [end, value]: Outcome, time: number): void {
    this.#group.succeeded();
    this.#meter.record(task, time);
    this.#settle(task, end, value);
  }

  taskRefused(task: PoolTask, error: unknown): void {
    this.#settle(task, "failed", error);
    this.#schedule();
  }

  workerFailed(worker: WorkerHandle, exit: RunnerExit, asked: boolean): void {
    const { kind, retries } = this.settings;
    const terminated = this.#state === "terminated";
    const { begun, waiting } = worker.clear();
    const { error, reason } = exit;
    if (
      error && reason === "error" && worker.ready && !terminated &&
      begun.every(({ settled }) => settled)
    ) void callExceptHook({ error, thread: { kind, name: worker.name } });
    const again: PoolTask[] = [];
    for (const task of begun) {
      if (terminated) {
        this.#settle(task, "failed", this.#closed("was ended"));
      } else if (task.mayRetry(retries)) {
        again.push(task);
      } else {
        this.#settle(task, "failed", task.lost(kind, exit));
      }
    }
    this.queue.putBack([...again, ...waiting]);
    if (!asked && !terminated) {
      const why = this.#group.judge(worker, exit, begun.length > 0);
      if (why !== null) this.#break(why);
    }
    this.#group.limitLingering();
    this.#schedule();
  }

  workerExited(worker: WorkerHandle, exit: RunnerExit, asked: boolean): void {
    this.#meter.retire(worker);
    this.#group.remove(worker);
    this.workerFailed(worker, exit, asked);
  }

  /** Ends a task when its signal is aborted. */
  #watch(task: PoolTask, signal: AbortSignal, grace?: number): void {
    let group = this.#aborts.get(signal);
    if (group === undefined) {
      const tasks: AbortGroup["tasks"] = new Map();
      const listen = () => {
        for (const [task, grace] of tasks) {
          this.#abort(task, signal.reason, grace);
        }
      };
      group = { tasks, listen };
      this.#aborts.set(signal, group);
      signal.addEventListener("abort", listen);
    }
    const { tasks, listen } = group;
    tasks.set(task, grace);
    task.whilePending(() => {
      if (!tasks.delete(task) || tasks.size > 0) return;
      this.#aborts.delete(signal);
      signal.removeEventListener("abort", listen);
    });
  }

  /** Rejects a task. One that runs costs its worker, unless it obeys. */
  #abort(task: PoolTask, reason: unknown, grace = ABORT_TIMEOUT): void {
    const obeys = task.signals.length > 0;
    this.cancel(task, reason, !obeys);
    if (task.settled) return;
    // It is not known when it will have ended
    this.#settle(task, "cancelled", reason);
    const { holder } = task;
    if (!obeys || holder === null) return;
    holder.interrupt(task, reason);
    if (grace > MAX_TIMEOUT) return;
    const timer = setTimeout(() => {
      this.#group.kill(holder as WorkerHandle);
      this.#schedule();
    }, grace);
    task.whileHeld(() => clearTimeout(timer));
  }

  #closed(what: string): Error {
    const { name } = this.settings;
    return new PoolClosedError(
      `Cannot run a task: it ${what} because "${name}" was shut down`,
    );
  }

  #settle(task: PoolTask, end: TaskEnd, value: unknown): void {
    if (task.settled) return;
    this.#meter.count(end);
    task.settle(end === "completed" || value instanceof ChunkResults, value);
  }

  /** If no task gets the reason, the except hook does. */
  #break(error: Error): void {
    const { kind, name } = this.settings;
    if (this.#broken === null && this.queue.length === 0) {
      void callExceptHook({ error, thread: { kind, name } });
    }
    this.#broken ??= error;
    this.#group.wake();
    this.#schedule();
  }

  #cancelAll(): void {
    const reason = this.#closed("was cancelled");
    this.#rejectQueue("cancelled", reason);
    for (const worker of this.#group.workers) {
      for (const task of worker.recallAll(true)) {
        this.#settle(task, "cancelled", reason);
      }
    }
    this.#schedule();
  }

  /** Rejects the tasks that no worker will have. */
  #rejectQueue(end: TaskEnd, error: Error): void {
    for (let task; (task = this.queue.first) !== null;) {
      this.queue.remove(task);
      this.#settle(task, end, error);
    }
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
    if (this.#state === "terminated") {
      this.#rejectQueue("cancelled", this.#closed("was cancelled"));
    } else if (this.#broken !== null) {
      this.#rejectQueue("failed", this.#broken);
    }
    if (this.queue.length > 0) group.assign(this.queue);
    if (this.#done !== null && !this.isBusy) {
      this.#done.resolve();
      this.#done = null;
    }
    const ending = this.#state !== "open" || this.#broken !== null;
    const left = ending && this.queue.length === 0;
    group.end(left);
    if (left) return this.#leave();
    const error = group.grow(this.queue.length, this.#state === "open");
    if (error !== null) this.#break(error);
    if (this.settings.kind === "thread") group.watchStalls(this.#putBack);
    group.watchIdle();
  }

  #putBack = (tasks: PoolTask[]): void => {
    this.queue.putBack(tasks);
    this.#dispatch();
  };

  /** Ends, once all workers have. */
  #leave(): void {
    if (this.#group.workers.length > 0 || this.#state === "open") return;
    this.#group.stop();
    context.owners.delete(this);
    this.#ended.resolve();
  }
}
