/**
 * The tasks that were given to one worker.
 *
 * @module
 */

import { type Answer, type Outcome, outcomeOf, SLOTS } from "./_protocol.ts";
import type { PoolTask } from "./_task.ts";
import type { TaskSlots } from "./_task_slots.ts";

/** The tasks of a worker that died. */
export interface LostTasks {
  /** The tasks that it has, or may have, begun. */
  begun: PoolTask[];
  /** The tasks that it had not begun. */
  waiting: PoolTask[];
}

/** A condition on tasks. */
export type TaskMatcher = (task: PoolTask) => boolean;

/** The tasks of a worker, numbered in the order in which it got them. */
export class TaskWindow {
  /** The number of tasks. */
  load = 0;
  /** The number of all tasks so far. */
  given = 0;
  #taskSlots: TaskSlots | null;
  #module: string;
  /** `null` for a task that was taken back and is not answered. */
  #tasks: (PoolTask | null | undefined)[] = new Array(SLOTS).fill(undefined);
  /** The number of the oldest task that was not answered. */
  #oldest = 0;

  /**
   * Constructs an empty window.
   *
   * @param taskSlots The memory shared with the worker, if it is a thread.
   * @param module The URL of the user's module.
   */
  constructor(taskSlots: TaskSlots | null, module: string) {
    this.#taskSlots = taskSlots;
    this.#module = module;
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
   * Returns a task.
   *
   * @param id Its number.
   * @returns The task, or `null` if it was taken back or is answered.
   */
  get(id: number): PoolTask | null {
    return this.#tasks[id & SLOTS - 1] ?? null;
  }

  /**
   * Returns whether any task matches.
   *
   * @param matches The condition.
   * @returns Whether any does.
   */
  has(matches: TaskMatcher): boolean {
    return this.#tasks.some((task) => task != null && matches(task));
  }

  /**
   * Takes an answer. The worker may be hostile.
   *
   * @param id The number of the task.
   * @param answer The answer.
   * @returns The task and its outcome; `null` if it was taken back.
   * @throws If the answer is impossible.
   */
  answer(id: number, answer: Answer): [PoolTask, Outcome] | null {
    const known = Number.isInteger(id) && id >= this.#oldest && id < this.given;
    if (!known || this.#tasks[id & SLOTS - 1] === undefined) {
      throw new TypeError("No such task");
    }
    const outcome = outcomeOf(answer, this.#module);
    const task = this.get(id);
    // Only tasks that were taken back are skipped.
    if ((task === null) !== (outcome === null)) throw new TypeError("Skipped");
    this.close(id);
    return task === null || outcome === null ? null : [task, outcome];
  }

  /**
   * Looks for answers on the task slots.
   *
   * @param found Called with each.
   */
  look(found: (id: number, answer: Answer) => void): void {
    const taskSlots = this.#taskSlots;
    if (taskSlots === null) return;
    taskSlots.look();
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
    if (this.#taskSlots === null) return recalled;
    for (let id = this.#oldest; id < this.given; id++) {
      const slot = id & SLOTS - 1;
      const task = this.get(id);
      if (task === null || !matches(task)) continue;
      if (!this.#taskSlots.recall(slot)) continue;
      this.#tasks[slot] = null;
      this.load--;
      recalled.push(task);
    }
    return recalled;
  }

  /**
   * Takes all tasks from a dead worker.
   *
   * @returns The tasks, in order.
   */
  abandon(): LostTasks {
    const waiting = this.recall((task) => task.transfer === null);
    const begun: PoolTask[] = [];
    for (let id = this.#oldest; id < this.given; id++) {
      const task = this.get(id);
      if (task !== null) begun.push(task);
    }
    this.#tasks.fill(undefined);
    this.load = 0;
    return { begun, waiting };
  }
}
