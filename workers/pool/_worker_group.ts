/**
 * The workers of a pool: starting, choosing, replacing and ending them.
 *
 * A worker starts, is ready, leaves, and is gone. What happens if
 * - a task can't be posted: it is rejected, the others are posted one by one;
 * - a worker says nonsense: it leaves, and counts as dead;
 * - a worker dies: the tasks that it has begun run again if `retries` allows,
 *   or are lost; the others go back to the queue; another worker starts;
 * - it can't import, or its initializer throws: the pool rejects all tasks;
 * - it had not answered any task: another starts after a pause, and the fifth
 *   such death in a row ends the pool;
 * - it can't start for want of descriptors or the like: the same, but the pool
 *   goes on while it has others;
 * - a thread stalls: the tasks behind go back to the queue if another is idle;
 * - nobody catches an error in it: that is its death, but it goes on until the
 *   threads and processes that its tasks started have ended;
 * - a running task is aborted: it is rejected, and its worker leaves and counts
 *   as dead, unless the task got the signal and ends soon.
 *
 * @module
 */

import {
  ModuleImportError,
  type RunnerExit,
  RunnerExitError,
} from "../base/errors.ts";
import { describeExit } from "../runner/runner.ts";
import { Backoff, MAX_BACKOFF_MS, MAX_FAILURES } from "../runner/supervisor.ts";
import { MAX_TIMEOUT } from "../base/check.ts";
import type { PoolSettings } from "./_options.ts";
import type { PoolTask, TaskQueue } from "./_task.ts";
import {
  STALLED_AFTER,
  WorkerHandle,
  type WorkerHandleOwner,
} from "./_worker_handle.ts";

/** An idle pool lets the program end after this time, in milliseconds. */
const REST_AFTER = 100;

/** Errors of a start that every later start would have, too. */
const FINAL = [
  ModuleImportError,
  Deno.errors.NotCapable,
  Deno.errors.NotSupported,
];

/** The workers of a pool. */
export class WorkerGroup {
  /** The workers that have not completely ended. */
  readonly workers: WorkerHandle[] = [];
  /** The number of workers started in place of one that died. */
  restarts = 0;
  #owner: WorkerHandleOwner;
  #settings: PoolSettings;
  #lastNumber = -1;
  /** The number of dead workers that were not replaced. */
  #died = 0;
  /** The number of workers in a row that died before their first answer. */
  #failures = 0;
  #backoff = new Backoff();
  #stallTimer: ReturnType<typeof setTimeout> | undefined;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether there was work since `#restTimer` started. */
  #touched = false;
  /** Whether the workers let the program end. */
  #resting = false;

  /**
   * Constructs an empty group.
   *
   * @param owner The owner of the workers.
   * @param settings The pool's options.
   */
  constructor(owner: WorkerHandleOwner, settings: PoolSettings) {
    this.#owner = owner;
    this.#settings = settings;
  }

  /** The number of their tasks. */
  get load(): number {
    let sum = 0;
    for (const { load } of this.workers) sum += load;
    return sum;
  }

  /** How many tasks workers that are not ready could take. */
  get comingRoom(): number {
    const { workers, concurrentTasksPerWorker } = this.#settings;
    let count = workers;
    for (const { ready, leaving } of this.workers) {
      if (ready && !leaving) count--;
    }
    return Math.max(0, count) * concurrentTasksPerWorker;
  }

  /**
   * Gives waiting tasks to the workers with the fewest.
   *
   * @param queue The tasks.
   */
  assign(queue: TaskQueue): void {
    const now = performance.now();
    for (let task; (task = queue.first) !== null;) {
      let best: WorkerHandle | null = null;
      for (const worker of this.workers) {
        if (best !== null && best.load <= worker.load) continue;
        if (!worker.accepts(task, now)) continue;
        best = worker;
        if (worker.load === 0) break;
      }
      if (best === null) break;
      queue.remove(task);
      best.hand(task, now);
    }
    for (const worker of this.workers) worker.flush();
  }

  /**
   * Starts workers for waiting tasks while all others are busy.
   *
   * @param waiting The number of waiting tasks.
   * @param replaces Whether to replace dead workers in any case.
   * @returns The reason why the pool can't go on, or `null`.
   */
  grow(waiting: number, replaces: boolean): Error | null {
    if (this.#backoff.isPausing) return null;
    let present = 0;
    let tasks = waiting;
    for (const { leaving, load } of this.workers) {
      if (leaving) continue;
      present++;
      tasks += load;
    }
    const dead = replaces && this.#failures === 0 ? this.#died : 0;
    const least = replaces ? this.#settings.minWorkers : 0;
    const wanted = Math.max(tasks, present + dead, least);
    const most = Math.min(wanted, this.#settings.workers);
    for (; present < most; present++) {
      const number = ++this.#lastNumber;
      let worker: WorkerHandle;
      try {
        worker = new WorkerHandle(this.#owner, this.#settings, number);
      } catch (error) {
        return this.#notStarted(error as Error, present);
      }
      this.workers.push(worker);
      if (this.#died === 0) continue;
      this.#died--;
      this.restarts++;
    }
    return null;
  }

  /**
   * Keeps tasks of a thread from waiting behind a long one: neither a finished
   * task's answer nor a task that an idle thread could run. Watches while there
   * is such an answer or task.
   *
   * @param putBack Called with the tasks that an idle thread could run.
   */
  watchStalls(putBack: (tasks: PoolTask[]) => void): void {
    const { workers } = this;
    if (this.#stallTimer !== undefined) return;
    if (!workers.some((worker) => worker.hasLeft())) return;
    this.#stallTimer = setTimeout(() => {
      this.#stallTimer = undefined;
      const now = performance.now();
      const stalled = workers.filter((worker) => worker.isStalled(now));
      for (const worker of stalled) worker.look();
      if (workers.some(({ ready, load }) => ready && load === 0)) {
        for (const worker of stalled) {
          if (worker.load > 1) putBack(worker.recallAll());
        }
      }
      this.watchStalls(putBack);
    }, STALLED_AFTER);
  }

  /** Makes the workers keep the program alive: there is work. */
  wake(): void {
    this.#touched = true;
    if (!this.#resting) return;
    this.#resting = false;
    for (const worker of this.workers) worker.keepAlive(true);
  }

  /** Lets the program end when there was no work for a while. */
  watchRest(): void {
    if (this.#restTimer !== undefined || !this.#owner.idle) return;
    this.#touched = false;
    this.#restTimer = setTimeout(() => {
      this.#restTimer = undefined;
      if (!this.#owner.idle) return;
      if (this.#touched) return this.watchRest();
      this.#resting = true;
      for (const worker of this.workers) worker.keepAlive(false);
    }, REST_AFTER);
    Deno.unrefTimer(this.#restTimer);
  }

  /** Ends workers that were idle for long, but not the last `minWorkers`. */
  watchIdle(): void {
    const { idleTimeout, minWorkers } = this.#settings;
    if (idleTimeout > MAX_TIMEOUT || this.#idleTimer !== undefined) return;
    const present = this.workers.filter(({ leaving }) => !leaving);
    const idle = present.filter(({ ready, load }) => ready && load === 0)
      .sort((one, other) => one.heard - other.heard);
    const now = performance.now();
    let surplus = present.length - minWorkers;
    for (const worker of idle) {
      if (surplus <= 0) return;
      const left = worker.heard + idleTimeout - now;
      if (left > 0) {
        this.#idleTimer = setTimeout(() => {
          this.#idleTimer = undefined;
          this.watchIdle();
        }, Math.ceil(left));
        return Deno.unrefTimer(this.#idleTimer);
      }
      surplus--;
      worker.end();
    }
  }

  /** Ends the workers that have no tasks: all, or those that may have no more. */
  end(all: boolean): void {
    for (const worker of this.workers) {
      if (worker.load === 0 && (all || worker.isUsedUp)) worker.end();
    }
  }

  /** Ends all workers. */
  terminate(): void {
    for (const worker of this.workers) worker.terminate();
  }

  /** Stops the timers for good. */
  stop(): void {
    this.#backoff.end();
    clearTimeout(this.#stallTimer);
    clearTimeout(this.#restTimer);
    clearTimeout(this.#idleTimer);
  }

  /** Ends a worker at once. It counts as dead. */
  kill(worker: WorkerHandle): void {
    if (worker.leaving) return;
    worker.kill();
    this.#died++;
  }

  /** Ends the oldest of the workers that linger, if there are very many. */
  limitLingering(): void {
    const lingering = this.workers.filter(({ isLingering }) => isLingering);
    if (lingering.length > this.#settings.workers) lingering[0]!.terminate();
  }

  /** A worker has answered a task. */
  succeeded(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#backoff.reset();
  }

  /** Forgets a worker that has ended. */
  remove(worker: WorkerHandle): void {
    this.workers.splice(this.workers.indexOf(worker), 1);
  }

  /**
   * Judges an unexpected death of a worker, which `grow()` will replace.
   *
   * @param worker The worker.
   * @param exit How it ended.
   * @param hadWork Whether it had begun a task.
   * @returns The reason why the pool can't go on, or `null`.
   */
  judge(
    worker: WorkerHandle,
    exit: RunnerExit,
    hadWork: boolean,
  ): Error | null {
    this.#died++;
    if (exit.error instanceof ModuleImportError) return exit.error;
    if (worker.ready && (hadWork || worker.answered)) return null;
    const { name, initializer } = this.#settings;
    const cannot = `Cannot run the tasks of "${name}": `;
    if (!worker.ready && initializer !== null && exit.reason === "error") {
      const why = `"${initializer.name}", its initializer, threw: ` +
        exit.error?.message;
      return new RunnerExitError(cannot + why, exit);
    }
    if (this.#hasFailedOften()) {
      const why = `${MAX_FAILURES} workers in a row ended before they did ` +
        `any, the last one ${describeExit(exit)}`;
      return new RunnerExitError(cannot + why, exit);
    }
    return null;
  }

  /** Judges a failed start: a later one may find what this one lacked. */
  #notStarted(error: Error, present: number): Error | null {
    if (FINAL.some((Class) => error instanceof Class)) return error;
    return this.#hasFailedOften() && present === 0 ? error : null;
  }

  /** Counts a failure in a row, and pauses before the next start. */
  #hasFailedOften(): boolean {
    this.#backoff.begin(MAX_BACKOFF_MS, () => this.#owner.workerHeard());
    return ++this.#failures >= MAX_FAILURES;
  }
}
