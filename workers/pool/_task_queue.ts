/**
 * The tasks that wait for a worker.
 *
 * @module
 */

import type { PoolTask } from "./_task.ts";

/** A queue of tasks, in the order in which they run. */
export class TaskQueue {
  #first: PoolTask | null = null;
  #last: PoolTask | null = null;
  #length = 0;
  #highWater: number;
  #needsDrain = false;
  #drained: PromiseWithResolvers<void> | null = null;

  /**
   * Constructs an empty queue.
   *
   * @param highWater The number of tasks from which on `needsDrain` is true.
   */
  constructor(highWater: number) {
    this.#highWater = highWater;
  }

  /** The number of tasks. */
  get length(): number {
    return this.#length;
  }

  /** The first task. */
  get first(): PoolTask | null {
    return this.#first;
  }

  /**
   * Returns whether a task is in the queue.
   *
   * @param task The task.
   * @returns Whether it is in the queue.
   */
  has(task: PoolTask): boolean {
    return task === this.#first || task.previous !== null;
  }

  /** Whether no more tasks should be added for now. */
  get needsDrain(): boolean {
    return this.#needsDrain;
  }

  /** Settles when `needsDrain` is false. */
  drained(): Promise<void> {
    if (!this.#needsDrain) return Promise.resolve();
    return (this.#drained ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Adds a task at the end.
   *
   * @param task The task.
   */
  push(task: PoolTask): void {
    task.previous = this.#last;
    if (this.#last === null) this.#first = task;
    else this.#last.next = task;
    this.#last = task;
    if (++this.#length >= this.#highWater) this.#needsDrain = true;
  }

  /**
   * Puts tasks back in front of all others.
   *
   * @param tasks The tasks, in order.
   */
  putBack(tasks: PoolTask[]): void {
    for (const task of tasks.toReversed()) {
      task.next = this.#first;
      if (this.#first === null) this.#last = task;
      else this.#first.previous = task;
      this.#first = task;
      this.#length++;
    }
    if (this.#length >= this.#highWater) this.#needsDrain = true;
  }

  /**
   * Takes a task out.
   *
   * @param task One of those in the queue.
   */
  delete(task: PoolTask): void {
    const { previous, next } = task;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    task.previous = task.next = null;
    this.#length--;
    if (!this.#needsDrain || this.#length > this.#highWater / 2) return;
    this.#needsDrain = false;
    this.#drained?.resolve();
    this.#drained = null;
  }

  /**
   * Takes all tasks that match.
   *
   * @param matches The condition.
   * @returns The tasks, in order.
   */
  remove(matches: (task: PoolTask) => boolean): PoolTask[] {
    const removed: PoolTask[] = [];
    for (let task = this.#first; task !== null;) {
      const { next } = task;
      if (matches(task)) {
        this.delete(task);
        removed.push(task);
      }
      task = next;
    }
    return removed;
  }
}
