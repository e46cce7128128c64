/**
 * The workers of a pool: starting, choosing and ending them.
 *
 * @module
 */

import type { PoolSettings } from "./_options.ts";
import type { PoolTask } from "./_task.ts";
import type { TaskQueue } from "./_task_queue.ts";
import type { TaskMatcher } from "./_task_window.ts";
import { WorkerHandle, type WorkerHandleOwner } from "./_worker_handle.ts";

/** The workers of a pool. */
export class WorkerGroup {
  /** Those of which something is left. */
  readonly workers: WorkerHandle[] = [];
  /** How many were started in place of one that died. */
  restarts = 0;
  #owner: WorkerHandleOwner;
  #settings: PoolSettings;
  #lastNumber = -1;
  /** How many died that were not replaced. */
  #died = 0;

  /**
   * Constructs a group of none.
   *
   * @param owner Whom they tell.
   * @param settings The pool's options.
   */
  constructor(owner: WorkerHandleOwner, settings: PoolSettings) {
    this.#owner = owner;
    this.#settings = settings;
  }

  /** How many tasks they have. */
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
   * Starts workers for what the others have no time for.
   *
   * @param waiting How many tasks wait.
   * @param replaces Whether those that died are replaced anyway.
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
   * Ends the workers that have a task which matches; they count as dead.
   *
   * @param matches Tells which do.
   */
  kill(matches: TaskMatcher): void {
    for (const worker of this.workers) {
      if (worker.leaving || !worker.tasks.has(matches)) continue;
      worker.kill();
      this.#died++;
    }
  }

  /**
   * Takes tasks back that no worker has begun with.
   *
   * @param matches Tells which.
   * @returns Those that were taken back.
   */
  recall(matches: TaskMatcher): PoolTask[] {
    return this.workers.flatMap(({ tasks }) => tasks.recall(matches));
  }

  /**
   * Takes the answers that lie on the task slots where a task is.
   *
   * @param task The task.
   */
  lookFor(task: PoolTask): void {
    for (const worker of this.workers) {
      if (worker.tasks.has((other) => other === task)) worker.look();
    }
  }

  /**
   * Forgets a worker of which nothing is left.
   *
   * @param worker The worker.
   * @param died Whether it is to be replaced.
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
