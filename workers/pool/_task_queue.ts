import type { PoolTask } from "./_task.ts";

/** Tasks in the order in which they are to run. */
export class TaskQueue {
  #first: PoolTask | null = null;
  #last: PoolTask | null = null;
  #length = 0;

  /** How many tasks there are. */
  get length(): number {
    return this.#length;
  }

  /** The first task. */
  get first(): PoolTask | null {
    return this.#first;
  }

  /**
   * Adds a task at the end.
   *
   * @param task The task.
   */
  push(task: PoolTask): void {
    if (this.#last === null) this.#first = task;
    else this.#last.next = task;
    this.#last = task;
    this.#length++;
  }

  /**
   * Puts tasks back in front of all others.
   *
   * @param tasks The tasks, in order.
   */
  putBack(tasks: PoolTask[]): void {
    for (const task of tasks.toReversed()) {
      task.next = this.#first;
      this.#first = task;
      this.#last ??= task;
      this.#length++;
    }
  }

  /**
   * Takes the first task.
   *
   * @returns The task, or `null`.
   */
  shift(): PoolTask | null {
    const task = this.#first;
    if (task === null) return null;
    this.#first = task.next;
    if (this.#first === null) this.#last = null;
    task.next = null;
    this.#length--;
    return task;
  }

  /**
   * Takes all tasks that match.
   *
   * @param matches Tells which do.
   * @returns Them.
   */
  remove(matches: (task: PoolTask) => boolean): PoolTask[] {
    const removed: PoolTask[] = [];
    const kept: PoolTask[] = [];
    for (let task; (task = this.shift()) !== null;) {
      (matches(task) ? removed : kept).push(task);
    }
    this.putBack(kept);
    return removed;
  }
}
