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
  /** Whether no more tasks should be added for now. */
  needsDrain = false;
  #tasks: PoolTask[] = [];
  /** How many of the tasks, from the front, were taken out. */
  #taken = 0;
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

  /** The number of tasks. */
  get length(): number {
    return this.#tasks.length - this.#taken;
  }

  /** The first task. */
  get first(): PoolTask | undefined {
    return this.#tasks[this.#taken];
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
    this.#tasks.push(task);
    if (this.length >= this.#highWater) this.needsDrain = true;
  }

  /** Takes the first task out. */
  shift(): void {
    // To move the others each time would take long
    if (2 * ++this.#taken >= this.#tasks.length) this.#keep(this.#waiting());
    else this.#drain();
  }

  /**
   * Puts tasks back in front of all others.
   *
   * @param tasks The tasks, in order.
   */
  putBack(tasks: PoolTask[]): void {
    if (tasks.length > 0) this.#keep([...tasks, ...this.#waiting()]);
    if (this.length >= this.#highWater) this.needsDrain = true;
  }

  /**
   * Takes all tasks that match.
   *
   * @param matches The condition.
   * @returns The tasks, in order.
   */
  remove(matches: TaskMatcher): PoolTask[] {
    const waiting = this.#waiting();
    const removed = waiting.filter(matches);
    if (removed.length > 0) {
      this.#keep(waiting.filter((task) => !matches(task)));
    }
    return removed;
  }

  #waiting(): PoolTask[] {
    return this.#tasks.slice(this.#taken);
  }

  #keep(tasks: PoolTask[]): void {
    this.#tasks = tasks;
    this.#taken = 0;
    this.#drain();
  }

  #drain(): void {
    if (!this.needsDrain || this.length > this.#highWater / 2) return;
    this.needsDrain = false;
    this.#drained?.resolve();
    this.#drained = null;
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
    this.#tasks[id % SLOTS] = task;
    this.#taskSlots?.reset(id);
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
    const task = known ? this.#tasks[id % SLOTS] : undefined;
    if (task === undefined) throw new TypeError("No such task");
    return task;
  }

  /** Returns the tasks that were not taken back, in order. */
  list(): PoolTask[] {
    const first = this.#oldest % SLOTS;
    const tasks = [...this.#tasks.slice(first), ...this.#tasks.slice(0, first)];
    return tasks.filter((task) => task != null);
  }

  /**
   * Looks for answers on the task slots.
   *
   * @param found Called with each.
   */
  look(found: (id: number, answer: Answer) => void): void {
    for (let id = this.#oldest; id < this.given; id++) {
      if (this.#tasks[id % SLOTS] === undefined) continue;
      const answer = this.#taskSlots?.take(id);
      if (answer) found(id, answer);
    }
  }

  /**
   * Clears a task's slot.
   *
   * @param id Its number.
   */
  close(id: number): void {
    const slot = id % SLOTS;
    if (this.#tasks[slot]) this.load--;
    this.#tasks[slot] = undefined;
    while (
      this.#oldest < this.given &&
      this.#tasks[this.#oldest % SLOTS] === undefined
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
      const task = this.#tasks[id % SLOTS];
      if (task == null || !matches(task)) continue;
      if (!this.#taskSlots?.recall(id)) continue;
      this.#tasks[id % SLOTS] = null;
      this.load--;
      recalled.push(task);
    }
    return recalled;
  }
}
