import { describeExit } from "../runner/lifecycle.ts";
import {
  HandlerImportError,
  PoolClosedError,
  PoolFullError,
  type RunnerExit,
  RunnerExitError,
} from "../errors.ts";
import { IdleWatch } from "./_idle.ts";
import type { PoolSettings, PoolStats } from "./_options.ts";
import { PoolMeter } from "./_meter.ts";
import { type Outcome, reasonOf } from "./_protocol.ts";
import { StallWatch } from "./_stall_watch.ts";
import { PoolTarget } from "./_target.ts";
import { PoolTask, type TaskGroup, type TaskOptions } from "./_task.ts";
import { limitTask, type TaskLimitOptions } from "./_task_limits.ts";
import { TaskQueue } from "./_task_queue.ts";
import { WorkerHandle, type WorkerHandleOwner } from "./_worker_handle.ts";
import { WorkerHealth } from "./_worker_health.ts";

/** From so many waiting tasks for each worker on, a pool asks for a pause. */
const HIGH_WATER = 32;

/** Gives the tasks of a pool to its workers. */
export class Scheduler implements WorkerHandleOwner {
  /** The pool's options. */
  readonly settings: PoolSettings;
  /** The tasks that no worker has. */
  readonly queue: TaskQueue;
  #workers: WorkerHandle[] = [];
  #targets = new Map<string, PoolTarget>();
  #meter = new PoolMeter();
  #health: WorkerHealth;
  #stalls = new StallWatch();
  #idle: IdleWatch = new IdleWatch(this);
  #lastNumber = -1;
  /** How many workers died that were not replaced. */
  #died = 0;
  #state: "open" | "closing" | "terminated" = "open";
  #broken: Error | null = null;
  #scheduled = false;
  #ended: PromiseWithResolvers<void> = Promise.withResolvers();

  /**
   * Constructs the core of a pool, which starts nothing yet.
   *
   * @param settings The pool's options.
   */
  constructor(settings: PoolSettings) {
    const { maxQueue, workers } = settings;
    this.settings = settings;
    this.queue = new TaskQueue(Math.min(maxQueue, HIGH_WATER * workers));
    this.#health = new WorkerHealth(settings, () => this.#dispatch());
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return this.#state === "open" && this.queue.length === 0 &&
      this.#running === 0;
  }

  /** How many tasks the workers have. */
  get #running(): number {
    let running = 0;
    for (const { load } of this.#workers) running += load;
    return running;
  }

  /**
   * Takes a task.
   *
   * @param name The export to call.
   * @param args The arguments.
   * @param options What is particular to it.
   * @returns The task, whose promise is the result.
   */
  submit(name: string, args: unknown[], options: TaskOptions): PoolTask {
    if (this.#state !== "open") throw this.#closedError("was not taken");
    if (this.#broken !== null) throw this.#broken;
    let target = this.#targets.get(name);
    if (target === undefined) {
      target = new PoolTarget(name);
      this.#targets.set(name, target);
    }
    this.#assertRoom();
    const task = new PoolTask(this.settings.kind, target, args, options);
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
   * @param options Its limits, and what of the arguments moves.
   * @returns The result.
   */
  async run(
    name: string,
    args: unknown[],
    options: TaskLimitOptions & Pick<TaskOptions, "transfer">,
  ): Promise<unknown> {
    const { signal, timeout, transfer } = options;
    signal?.throwIfAborted();
    const alone = signal !== undefined || timeout !== undefined;
    const task = this.submit(name, args, { transfer, alone });
    if (alone) {
      limitTask(
        name,
        task.promise,
        options,
        (reason) => this.#end(task, reason),
      );
    }
    return await task.promise;
  }

  /**
   * Rejects the tasks of a group that have not begun.
   *
   * @param group The group.
   * @param reason What with.
   */
  cancel(group: TaskGroup, reason: unknown): void {
    this.#cancel((task) => task.group === group, reason);
    if (group.kill) this.#kill((task) => task.group === group);
  }

  /**
   * Ends the pool once its tasks are done.
   *
   * @param cancel Whether to reject those that have not begun.
   * @returns A promise that settles when nothing is left of its workers.
   */
  close(cancel: boolean): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#idle.wake();
    }
    if (cancel) this.#cancel(() => true, this.#closedError("was cancelled"));
    this.#schedule();
    return this.#ended.promise;
  }

  /**
   * Ends the pool at once.
   *
   * @returns A promise that settles when nothing is left of its workers.
   */
  terminate(): Promise<void> {
    if (this.#state !== "terminated") {
      this.#state = "terminated";
      this.#idle.wake();
      this.#cancel(() => true, this.#closedError("was cancelled"));
      for (const worker of this.#workers) worker.terminate();
    }
    this.#schedule();
    return this.#ended.promise;
  }

  /** Tells how the pool is doing. */
  stats(): PoolStats {
    const workers = this.#workers;
    return {
      workers: workers.length,
      idle: workers.filter(({ ready, load }) => ready && load === 0).length,
      queued: this.queue.length,
      running: this.#running,
      ...this.#meter.summary(workers),
      needsDrain: this.queue.needsDrain,
    };
  }

  keepAlive(alive: boolean): void {
    for (const worker of this.#workers) worker.keepAlive(alive);
  }

  workerHeard(): void {
    if (this.idle && this.#broken === null) this.#idle.watch();
    this.#schedule();
  }

  taskAnswered(task: PoolTask, outcome: Outcome, time: number): void {
    this.#health.worked();
    if (task.settled) return;
    this.#meter.record(task, time);
    if (outcome.kind === "done") {
      this.#meter.completed++;
      task.resolve(outcome.value);
    } else if (outcome.kind === "thrown") {
      this.#fail(task, outcome.error);
    } else {
      const { module } = this.settings;
      this.#fail(task, new HandlerImportError(outcome.why, module));
    }
  }

  taskRefused(task: PoolTask, error: unknown): void {
    this.#fail(task, error);
    this.#schedule();
  }

  workerExited(worker: WorkerHandle, exit: RunnerExit, asked: boolean): void {
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    this.#meter.retire(worker);
    const { begun, waiting } = worker.abandon();
    if (!asked && this.#state !== "terminated") {
      this.#died++;
      this.#break(this.#health.judge(worker, exit, begun.length > 0));
    }
    const again: PoolTask[] = [];
    for (const task of begun) {
      if (this.#mayRetry(task)) again.push(task);
      else this.#fail(task, this.#lossOf(task, exit));
    }
    this.queue.putBack([...again, ...waiting]);
    if (this.#state === "terminated") {
      this.#cancel(() => true, this.#closedError("was cancelled"));
    } else if (this.#broken !== null) {
      this.#rejectQueue(this.#broken);
    }
    this.#schedule();
  }

  #mayRetry(task: PoolTask): boolean {
    return this.#state !== "terminated" && !task.settled &&
      task.transfer === null && !(task.group?.cancelled ?? false) &&
      task.deaths++ < this.settings.retries;
  }

  #lossOf(task: PoolTask, exit: RunnerExit): Error {
    if (this.#state === "terminated") return this.#closedError("was ended");
    return new RunnerExitError(
      `Cannot get the result of "${task.target.name}": the ` +
        `${this.settings.kind} that ran it ${describeExit(exit)}`,
      exit,
    );
  }

  #break(error: Error | null): void {
    if (error === null || this.#broken !== null) return;
    this.#broken = error;
    this.#idle.wake();
    this.#rejectQueue(error);
  }

  #rejectQueue(error: unknown): void {
    for (const task of this.queue.remove(() => true)) this.#fail(task, error);
  }

  #fail(task: PoolTask, error: unknown): void {
    if (task.settled) return;
    this.#meter.failed++;
    task.reject(error);
  }

  /** Rejects the tasks that match and have not begun. */
  #cancel(matches: (task: PoolTask) => boolean, reason: unknown): void {
    const tasks = this.queue.remove(matches);
    for (const worker of this.#workers) tasks.push(...worker.recall(matches));
    for (const task of tasks) this.#reject(task, reason);
    this.#schedule();
  }

  #reject(task: PoolTask, reason: unknown): void {
    if (task.settled) return;
    this.#meter.cancelled++;
    task.reject(reason);
  }

  /** Ends the workers that have a task which matches, and replaces them. */
  #kill(matches: (task: PoolTask) => boolean): void {
    for (const worker of this.#workers) {
      if (worker.leaving || !worker.has(matches)) continue;
      worker.kill();
      this.#died++;
    }
    this.#schedule();
  }

  /** Ends a task early, whatever has become of it. */
  #end(task: PoolTask, reason: unknown): void {
    const isTask = (other: PoolTask) => other === task;
    if (this.queue.has(task)) this.queue.delete(task);
    for (const worker of this.#workers) {
      if (!worker.has(isTask)) continue;
      worker.look();
      worker.recall(isTask);
    }
    this.#reject(task, reason);
    this.#kill(isTask);
  }

  #closedError(what: string): PoolClosedError {
    return new PoolClosedError(
      `Cannot run a task: it ${what} because "${this.settings.name}" was ` +
        "shut down",
    );
  }

  #assertRoom(): void {
    const { maxQueue, name } = this.settings;
    if (this.queue.length < maxQueue) return;
    // A worker may have time for some of them.
    this.#dispatch();
    if (this.queue.length < maxQueue) return;
    throw new PoolFullError(
      `Cannot run a task: in "${name}" as many wait as "maxQueue" allows, ` +
        `${maxQueue}; wait for drained(), or use map()`,
    );
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
    if (this.queue.length > 0) this.#assign();
    for (const worker of this.#workers) if (worker.spent) worker.end();
    const ending = this.#state !== "open" || this.#broken !== null;
    if (!ending || this.queue.length > 0) this.#grow();
    if (ending && this.queue.length === 0) this.#leave();
    else if (this.settings.kind === "thread") {
      this.#stalls.watch(this.#workers, this.#takeBack);
    }
  }

  #takeBack = (worker: WorkerHandle): void => {
    this.queue.putBack(worker.recall((task) => task.transfer === null));
    this.#dispatch();
  };

  /** Gives waiting tasks to the workers with the fewest. */
  #assign(): void {
    const now = performance.now();
    for (let task; (task = this.queue.first) !== null;) {
      let best: WorkerHandle | null = null;
      for (const worker of this.#workers) {
        if (best !== null && best.load <= worker.load) continue;
        if (!worker.accepts(task, now)) continue;
        best = worker;
        if (worker.load === 0) break;
      }
      if (best === null) break;
      this.queue.delete(task);
      best.hand(task, now);
    }
    for (const worker of this.#workers) worker.flush();
  }

  /** Starts workers for what the others have no time for. */
  #grow(): void {
    if (this.#health.waiting) return;
    let present = 0;
    let tasks = this.queue.length;
    for (const { leaving, load } of this.#workers) {
      if (leaving) continue;
      present++;
      tasks += load;
    }
    const replaced = this.#health.good && this.#state === "open"
      ? this.#died
      : 0;
    const wanted = Math.max(tasks, present + replaced);
    for (; present < Math.min(wanted, this.settings.workers); present++) {
      try {
        const number = ++this.#lastNumber;
        this.#workers.push(new WorkerHandle(this, this.settings, number));
      } catch (error) {
        return this.#break(
          error instanceof Error ? error : new Error(reasonOf(error)),
        );
      }
      if (this.#died > 0) {
        this.#died--;
        this.#meter.restarts++;
      }
    }
  }

  /** Ends the workers that have nothing left to do. */
  #leave(): void {
    for (const worker of this.#workers) if (worker.load === 0) worker.end();
    if (this.#workers.length > 0 || this.#state === "open") return;
    this.#health.stop();
    this.#stalls.stop();
    this.#idle.stop();
    this.#ended.resolve();
  }
}
