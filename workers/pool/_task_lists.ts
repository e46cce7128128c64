/**
 * Who has a task: until it is settled it is in the pool's queue, or in the
 * window of one worker.
 *
 * @module
 */

import { type Answer, SLOTS, type TaskSlots } from "./_protocol.ts";
import type { PoolTask } from "./_task.ts";

/** A condition on tasks. */
export type TaskMatcher = (task: PoolTask) => boolean;

/** The tasks that no worker has, in the order in which they run. */
export class TaskQueue {
  /** The first task. */
  first: PoolTask | null = null;
  /** The number of tasks. */
  length = 0;
  /** Whether no more tasks should be added for now. */
  needsDrain = false;
  #last: PoolTask | null = null;
  #highWater: number;
  #drained: PromiseWithResolvers<void> | null = null;

  /**
   * Constructs an empty queue.
   *
   * @param highWater The number of tasks from which on `needsDrain` is true.
   */
  constructor(highWater: number) {
    this.#highWater = highWater;
  }

  /** Settles when `needsDrain` is false. */
  drained(): Promise<void> {
    if (!this.needsDrain) return Promise.resolve();
    return (this.#drained ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Adds a task at the end.
   *
   * @param task The task.
   */
  push(task: PoolTask): void {
    task.previous = this.#last;
    if (this.#last === null) this.first = task;
    else this.#last.next = task;
    this.#last = task;
    if (++this.length >= this.#highWater) this.needsDrain = true;
  }

  /**
   * Puts tasks back in front of all others.
   *
   * @param tasks The tasks, in order.
   */
  putBack(tasks: PoolTask[]): void {
    for (const task of tasks.toReversed()) {
      task.next = this.first;
      if (this.first === null) this.#last = task;
      else this.first.previous = task;
      this.first = task;
      if (++this.length >= this.#highWater) this.needsDrain = true;
    }
  }

  /**
   * Takes a task out.
   *
   * @param task One of those in the queue.
   */
  delete(task: PoolTask): void {
    const { previous, next } = task;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    task.previous = task.next = null;
    this.length--;
    if (!this.needsDrain || this.length > this.#highWater / 2) return;
    this.needsDrain = false;
    this.#drained?.resolve();
    this.#drained = null;
  }

  /**
   * Takes all tasks that match.
   *
   * @param matches The condition.
   * @returns The tasks, in order.
   */
  remove(matches: TaskMatcher): PoolTask[] {
    const removed: PoolTask[] = [];
    for (let task = this.first; task !== null; task = task.next) {
      if (matches(task)) removed.push(task);
    }
    for (const task of removed) this.delete(task);
    return removed;
  }
}

/** The tasks of a worker, numbered in the order in which it got them. */
export class TaskWindow {
  /** The number of tasks. */
  load = 0;
  /** The number of all tasks so far. */
  given = 0;
  #taskSlots: TaskSlots | null;
  /** `null` for a task that was taken back and is not answered. */
  #tasks: (PoolTask | null | undefined)[] = new Array(SLOTS).fill(undefined);
  /** The number of the oldest task that was not answered. */
  #oldest = 0;

  /**
   * Constructs an empty window.
   *
   * @param taskSlots The memory shared with the worker, if it is a thread.
   */
  constructor(taskSlots: TaskSlots | null) {
    this.#taskSlots = taskSlots;
  }

  /** Whether there is no room for another task. */
  get full(): boolean {
    return this.given - this.#oldest >= SLOTS;
  }

  /**
   * Adds a task.
   *
   * @param task The task.
   * @returns Its number.
   */
  add(task: PoolTask): number {
    const id = this.given++;
    const slot = id & SLOTS - 1;
    this.#tasks[slot] = task;
    this.#taskSlots?.reset(slot);
    this.load++;
    return id;
  }

  /**
   * Returns a task that was not answered.
   *
   * @param id Its number; the worker may be hostile.
   * @returns The task, or `null` if it was taken back.
   * @throws If there is no such task.
   */
  get(id: number): PoolTask | null {
    const known = Number.isInteger(id) && id >= this.#oldest && id < this.given;
    const task = known ? this.#tasks[id & SLOTS - 1] : undefined;
    if (task === undefined) throw new TypeError("No such task");
    return task;
  }

  /** Returns the tasks that were not taken back, in order. */
  list(): PoolTask[] {
    const first = this.#oldest & SLOTS - 1;
    const tasks = [...this.#tasks.slice(first), ...this.#tasks.slice(0, first)];
    return tasks.filter((task) => task != null);
  }

  /**
   * Looks for answers on the task slots.
   *
   * @param found Called with each.
   */
  look(found: (id: number, answer: Answer) => void): void {
    const taskSlots = this.#taskSlots;
    if (taskSlots === null) return;
    const end = this.given;
    for (let id = this.#oldest; id < end; id++) {
      const slot = id & SLOTS - 1;
      if (this.#tasks[slot] === undefined) continue;
      const answer = taskSlots.take(slot);
      if (answer !== null) found(id, answer);
    }
  }

  /**
   * Clears a task's slot.
   *
   * @param id Its number.
   */
  close(id: number): void {
    const slot = id & SLOTS - 1;
    if (this.#tasks[slot]) this.load--;
    this.#tasks[slot] = undefined;
    while (
      this.#oldest < this.given &&
      this.#tasks[this.#oldest & SLOTS - 1] === undefined
    ) this.#oldest++;
  }

  /**
   * Takes back tasks that a thread has not begun.
   *
   * @param matches The condition.
   * @returns The tasks taken back, in order.
   */
  recall(matches: TaskMatcher): PoolTask[] {
    const recalled: PoolTask[] = [];
    for (let id = this.#oldest; id < this.given; id++) {
      const slot = id & SLOTS - 1;
      const task = this.#tasks[slot];
      if (task == null || !matches(task)) continue;
      if (!this.#taskSlots?.recall(slot)) continue;
      this.#tasks[slot] = null;
      this.load--;
      recalled.push(task);
    }
    return recalled;
  }
}
