import { describeExit } from "../runner/lifecycle.ts";
import {
  HandlerImportError,
  PoolClosedError,
  PoolFullError,
  type RunnerExit,
  RunnerExitError,
} from "../errors.ts";
import type { PoolSettings, PoolStats } from "./_options.ts";
import { PoolMeter } from "./_meter.ts";
import { STATUS, type Status } from "./_protocol.ts";
import {
  STALLED_AFTER,
  WorkerHandle,
  type WorkerHandleOwner,
} from "./_worker_handle.ts";
import { PoolTarget } from "./_target.ts";
import { PoolTask, type TaskGroup } from "./_task.ts";
import { type ErrorRecord, fromErrorRecord } from "../runner/error_record.ts";
import { unpack } from "../codec/share.ts";
import { TaskQueue } from "./_task_queue.ts";

/** So many workers that die before they did anything end the pool. */
const MAX_FAILURES = 5;
/** How long to wait after the first of them; doubled by each. */
const BACKOFF = 100;
/** A pool that has had nothing to do for so long lets the program end. */
const REST_AFTER = 100;
/** From so many waiting tasks for each worker on, a pool asks for a pause. */
const HIGH_WATER = 32;

/** Gives the tasks of a pool to its workers, and watches over both. */
export class Scheduler implements WorkerHandleOwner {
  /** The pool's options. */
  readonly settings: PoolSettings;
  #queue = new TaskQueue();
  #handles: WorkerHandle[] = [];
  #targets = new Map<string, PoolTarget>();
  #meter = new PoolMeter();
  /** How many tasks the workers have. */
  #running = 0;
  #lastNumber = -1;
  #died = 0;
  #failures = 0;
  #state: "open" | "closing" | "terminated" = "open";
  #broken: Error | null = null;
  #scheduled = false;
  #needsDrain = false;
  #drained: PromiseWithResolvers<void> | null = null;
  #ended: PromiseWithResolvers<void> = Promise.withResolvers();
  #backoffTimer: ReturnType<typeof setTimeout> | undefined;
  #recallTimer: ReturnType<typeof setTimeout> | undefined;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #busy = false;

  /**
   * Constructs the core of a pool, which starts nothing yet.
   *
   * @param settings The pool's options.
   */
  constructor(settings: PoolSettings) {
    this.settings = settings;
  }

  /** Whether no more tasks should be given to the pool for now. */
  get needsDrain(): boolean {
    return this.#needsDrain;
  }

  /** Settles when `needsDrain` is false. */
  drained(): Promise<void> {
    if (!this.#needsDrain) return Promise.resolve();
    return (this.#drained ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Takes a task.
   *
   * @param name The export to call.
   * @param args The arguments.
   * @param group What the task belongs to.
   * @param chunk Whether each of `args` is for a call of its own.
   * @returns The result.
   */
  submit(
    name: string,
    args: unknown[],
    group: TaskGroup | null = null,
    chunk = false,
  ): Promise<unknown> {
    this.#assertOpen();
    let target = this.#targets.get(name);
    if (target === undefined) {
      target = new PoolTarget(name);
      this.#targets.set(name, target);
    }
    const task = new PoolTask(this.settings.kind, target, args, group, chunk);
    this.#assertRoom();
    this.#queue.push(task);
    this.#busy = true;
    if (this.#resting) this.#wake();
    this.#watchQueue();
    this.#schedule();
    return task.promise;
  }

  /**
   * Rejects the tasks of a group that have not begun.
   *
   * @param group The group.
   * @param reason What with.
   */
  cancel(group: TaskGroup, reason: unknown): void {
    this.#cancel((task) => task.group === group, reason);
    if (!group.kill) return;
    for (const handle of this.#handles) {
      if (handle.has((task) => task.group === group)) handle.kill();
    }
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
      this.#wake();
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
      this.#wake();
      this.#cancel(() => true, this.#closedError("was cancelled"));
      for (const handle of [...this.#handles]) handle.terminate();
    }
    this.#schedule();
    return this.#ended.promise;
  }

  /** Tells how the pool is doing. */
  stats(): PoolStats {
    return {
      workers: this.#handles.length,
      idle:
        this.#handles.filter(({ ready, load }) => ready && load === 0).length,
      queued: this.#queue.length,
      running: this.#running,
      ...this.#meter.summary(this.#handles),
      needsDrain: this.#needsDrain,
    };
  }

  workerReady(): void {
    this.#schedule();
    this.#watchRest();
  }

  taskAnswered(
    task: PoolTask,
    status: Status,
    value: unknown,
    time: number,
  ): void {
    this.#running--;
    this.#failures = 0;
    this.#meter.record(task, time);
    switch (status) {
      case STATUS.done:
        this.#meter.completed++;
        task.resolve(value);
        break;
      case STATUS.donePacked:
        this.#meter.completed++;
        task.resolve(unpack(value));
        break;
      case STATUS.thrown:
        this.#fail(task, fromErrorRecord(value as ErrorRecord));
        break;
      default:
        this.#fail(
          task,
          new HandlerImportError(value as string, this.settings.module),
        );
    }
  }

  taskRefused(task: PoolTask, error: unknown): void {
    this.#running--;
    this.#fail(task, error);
    this.#schedule();
  }

  workerHeard(): void {
    if (
      this.#queue.length > 0 || this.#running > 0 || this.#state !== "open" ||
      this.#broken !== null
    ) {
      this.#schedule();
    } else {
      this.#watchRest();
    }
  }

  workerExited(handle: WorkerHandle, exit: RunnerExit): void {
    this.#handles.splice(this.#handles.indexOf(handle), 1);
    this.#meter.retire(handle);
    const { begun, waiting } = handle.abandon();
    this.#running -= begun.length + waiting.length;
    const asked = exit.reason === "returned" && begun.length === 0;
    if (!asked && this.#state !== "terminated") {
      this.#died++;
      this.#judge(handle, exit, begun.length > 0);
    }
    const again: PoolTask[] = [];
    for (const task of begun) {
      if (this.#mayRetry(task)) again.push(task);
      else this.#fail(task, this.#lossOf(task, exit));
    }
    again.push(...waiting);
    this.#queue.putBack(again);
    if (this.#state === "terminated") {
      this.#cancel(() => true, this.#closedError("was cancelled"));
    } else if (this.#broken !== null) {
      this.#rejectQueue(this.#broken);
    }
    this.#watchQueue();
    this.#schedule();
  }

  #mayRetry(task: PoolTask): boolean {
    return this.#state !== "terminated" && !(task.group?.cancelled ?? false) &&
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

  /** Decides after a death whether, and when, another is started. */
  #judge(handle: WorkerHandle, exit: RunnerExit, hadWork: boolean): void {
    if (exit.error instanceof HandlerImportError) {
      return this.#break(exit.error);
    }
    if (handle.ready && (hadWork || handle.answered > 0)) return;
    if (++this.#failures >= MAX_FAILURES) {
      return this.#break(
        new RunnerExitError(
          `Cannot run the tasks of "${this.settings.name}": ${MAX_FAILURES} ` +
            `workers in a row ended before they did any, the last one ` +
            describeExit(exit),
          exit,
        ),
      );
    }
    clearTimeout(this.#backoffTimer);
    this.#backoffTimer = setTimeout(() => {
      this.#backoffTimer = undefined;
      this.#dispatch();
    }, BACKOFF * 2 ** (this.#failures - 1));
  }

  #break(error: Error): void {
    if (this.#broken !== null) return;
    this.#broken = error;
    this.#wake();
    this.#rejectQueue(error);
  }

  #rejectQueue(error: unknown): void {
    for (const task of this.#queue.remove(() => true)) this.#fail(task, error);
    this.#watchQueue();
  }

  #fail(task: PoolTask, error: unknown): void {
    this.#meter.failed++;
    task.reject(error);
  }

  #cancel(matches: (task: PoolTask) => boolean, reason: unknown): void {
    const tasks = this.#queue.remove(matches);
    for (const handle of this.#handles) {
      const recalled = handle.recall(matches);
      this.#running -= recalled.length;
      tasks.push(...recalled);
    }
    for (const task of tasks) {
      this.#meter.cancelled++;
      task.reject(reason);
    }
    this.#watchQueue();
    this.#schedule();
  }

  #assertOpen(): void {
    if (this.#state !== "open") throw this.#closedError("was not taken");
    if (this.#broken !== null) throw this.#broken;
  }

  #closedError(what: string): PoolClosedError {
    return new PoolClosedError(
      `Cannot run a task: it ${what} because "${this.settings.name}" was ` +
        "shut down",
    );
  }

  #assertRoom(): void {
    const { maxQueue, name } = this.settings;
    if (this.#queue.length < maxQueue) return;
    // A worker may have time for some of them.
    this.#dispatch();
    if (this.#queue.length < maxQueue) return;
    throw new PoolFullError(
      `Cannot run a task: in "${name}" as many wait as "maxQueue" allows, ` +
        `${maxQueue}; wait for drained(), or use map()`,
    );
  }

  #watchQueue(): void {
    const { maxQueue, workers } = this.settings;
    const high = Math.min(maxQueue, HIGH_WATER * workers);
    const { length } = this.#queue;
    if (length >= high) this.#needsDrain = true;
    else if (this.#needsDrain && length <= high / 2) {
      this.#needsDrain = false;
      this.#drained?.resolve();
      this.#drained = null;
    }
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
    if (this.#queue.length > 0) {
      this.#assign();
      this.#watchQueue();
    }
    if (this.#state === "open" && this.#broken === null) {
      this.#grow();
      this.#planRecall();
    } else {
      this.#leave();
    }
  }

  /** Gives waiting tasks to the workers with the fewest. */
  #assign(): void {
    const now = performance.now();
    for (let task; (task = this.#queue.first) !== null;) {
      let best: WorkerHandle | null = null;
      for (const handle of this.#handles) {
        if (best !== null && best.load <= handle.load) continue;
        if (!handle.accepts(task, now)) continue;
        best = handle;
        if (handle.load === 0) break;
      }
      if (best === null) break;
      this.#queue.shift();
      best.hand(task, now);
      this.#running++;
    }
    for (const handle of this.#handles) handle.flush();
  }

  /** Starts workers for what the others have no time for. */
  #grow(): void {
    if (this.#backoffTimer !== undefined) return;
    const tasks = this.#queue.length + this.#running;
    const replacing = this.#failures === 0 && this.#state === "open"
      ? this.#died
      : 0;
    const wanted = Math.min(
      this.settings.workers,
      Math.max(tasks, this.#handles.length + replacing),
    );
    while (this.#handles.length < wanted) {
      try {
        const number = ++this.#lastNumber;
        this.#handles.push(new WorkerHandle(this, this.settings, number));
      } catch (error) {
        return this.#break(
          error instanceof Error ? error : new Error(String(error)),
        );
      }
      if (this.#died > 0) {
        this.#died--;
        this.#meter.restarts++;
      }
    }
  }

  /** Sees to it that no task waits behind a long one while others are idle. */
  #planRecall(): void {
    if (this.#recallTimer !== undefined || this.#queue.length > 0) return;
    if (!this.#isUneven()) return;
    this.#recallTimer = setTimeout(() => {
      this.#recallTimer = undefined;
      if (!this.#isUneven()) return;
      const now = performance.now();
      for (const handle of this.#handles) {
        if (handle.load < 2 || !handle.isStalled(now)) continue;
        const recalled = handle.recall(() => true);
        this.#running -= recalled.length;
        this.#queue.putBack(recalled);
      }
      this.#dispatch();
    }, STALLED_AFTER);
  }

  #isUneven(): boolean {
    return this.settings.kind === "thread" &&
      this.#handles.some(({ ready, load }) => ready && load === 0) &&
      this.#handles.some(({ load }) => load > 1);
  }

  /** Ends the workers that have nothing left to do. */
  #leave(): void {
    if (this.#queue.length > 0) {
      this.#grow();
      return;
    }
    for (const handle of [...this.#handles]) {
      if (handle.load === 0) handle.end();
    }
    if (this.#handles.length > 0 || this.#state === "open") return;
    clearTimeout(this.#backoffTimer);
    clearTimeout(this.#recallTimer);
    clearTimeout(this.#restTimer);
    this.#ended.resolve();
  }

  #watchRest(): void {
    if (this.#restTimer !== undefined || this.#state !== "open") return;
    this.#busy = false;
    this.#restTimer = setTimeout(() => {
      this.#restTimer = undefined;
      if (this.#state !== "open") return;
      if (this.#queue.length > 0 || this.#running > 0) return;
      if (this.#busy) return this.#watchRest();
      this.#resting = true;
      for (const handle of this.#handles) handle.unref();
    }, REST_AFTER);
    Deno.unrefTimer(this.#restTimer);
  }

  #wake(): void {
    this.#resting = false;
    for (const handle of this.#handles) handle.ref();
  }
}
