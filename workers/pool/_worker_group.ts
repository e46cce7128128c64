/**
 * The workers of a pool: starting, choosing and ending them.
 *
 * @module
 */

import type { PoolSettings } from "./_options.ts";
import type { PoolTask } from "./_task.ts";
import type { TaskQueue } from "./_task_queue.ts";
import type { TaskMatcher } from "./_task_window.ts";
import {
  STALLED_AFTER,
  WorkerHandle,
  type WorkerHandleOwner,
} from "./_worker_handle.ts";

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
  #stallTimer: ReturnType<typeof setTimeout> | undefined;

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
      queue.delete(task);
      best.hand(task, now);
    }
    for (const worker of this.workers) worker.flush();
  }

  /**
   * Starts workers for waiting tasks while all others are busy.
   *
   * @param waiting The number of waiting tasks.
   * @param replaces Whether to replace dead workers in any case.
   */
  grow(waiting: number, replaces: boolean): void {
    let present = 0;
    let tasks = waiting;
    for (const { leaving, load } of this.workers) {
      if (leaving) continue;
      present++;
      tasks += load;
    }
    const wanted = Math.max(tasks, present + (replaces ? this.#died : 0));
    const most = Math.min(wanted, this.#settings.workers);
    for (; present < most; present++) {
      const number = ++this.#lastNumber;
      this.workers.push(new WorkerHandle(this.#owner, this.#settings, number));
      if (this.#died === 0) continue;
      this.#died--;
      this.restarts++;
    }
  }

  /**
   * Keeps tasks of a thread from waiting behind a long one: neither a finished
   * task's answer nor a task that an idle thread could run. Watches while a
   * thread has several tasks.
   *
   * @param recall Called with a thread that must return its tasks.
   */
  watchStalls(recall: (worker: WorkerHandle) => void): void {
    const { workers } = this;
    if (this.#stallTimer !== undefined) return;
    if (!workers.some(({ load }) => load > 1)) return;
    this.#stallTimer = setTimeout(() => {
      this.#stallTimer = undefined;
      const now = performance.now();
      const stalled = workers.filter((worker) => worker.isStalled(now));
      for (const worker of stalled) worker.look();
      if (workers.some(({ ready, load }) => ready && load === 0)) {
        for (const worker of stalled) if (worker.load > 1) recall(worker);
      }
      this.watchStalls(recall);
    }, STALLED_AFTER);
  }

  /** Stops the watch for good. */
  stop(): void {
    clearTimeout(this.#stallTimer);
  }

  /** Ends the workers that may have no more tasks. */
  retire(): void {
    for (const worker of this.workers) if (worker.spent) worker.end();
  }

  /** Ends the workers that have no tasks. */
  end(): void {
    for (const worker of this.workers) if (worker.load === 0) worker.end();
  }

  /** Ends all workers. */
  terminate(): void {
    for (const worker of this.workers) worker.terminate();
  }

  /**
   * Ends the workers with a matching task. They count as dead.
   *
   * @param matches The condition.
   */
  kill(matches: TaskMatcher): void {
    for (const worker of this.workers) {
      if (worker.leaving || !worker.tasks.has(matches)) continue;
      worker.kill();
      this.#died++;
    }
  }

  /**
   * Takes back tasks that no worker has begun.
   *
   * @param matches The condition.
   * @returns The tasks taken back.
   */
  recall(matches: TaskMatcher): PoolTask[] {
    return this.workers.flatMap(({ tasks }) => tasks.recall(matches));
  }

  /**
   * Takes the answers on the task slots of a task's worker.
   *
   * @param task The task.
   */
  lookFor(task: PoolTask): void {
    for (const worker of this.workers) {
      if (worker.tasks.has((other) => other === task)) worker.look();
    }
  }

  /**
   * Forgets a worker that has ended.
   *
   * @param worker The worker.
   * @param died Whether to replace it.
   */
  remove(worker: WorkerHandle, died: boolean): void {
    this.workers.splice(this.workers.indexOf(worker), 1);
    if (died) this.#died++;
  }

  /**
   * Makes the workers keep the program alive, or lets it end.
   *
   * @param alive Which of the two.
   */
  keepAlive(alive: boolean): void {
    for (const worker of this.workers) worker.keepAlive(alive);
  }
}
