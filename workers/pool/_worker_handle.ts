import { SHARED_URLS } from "../codec/payload.ts";
import { context, nextIdent } from "../threads/_context.ts";
import type { RunnerExit } from "../errors.ts";
import { TaskSlots } from "./_task_slots.ts";
import type { PoolSettings } from "./_options.ts";
import {
  type Answer,
  LOOK,
  type Outcome,
  outcomeOf,
  type PoolStart,
  READY,
  SLOTS,
  type Status,
  STRIDE,
} from "./_protocol.ts";
import type { PoolTask } from "./_task.ts";
import type { Runner } from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";

/** How long a worker may take to end by itself, in milliseconds. */
const KILL_AFTER = 2_000;
/** A worker that was silent for longer than this gets no further tasks. */
export const STALLED_AFTER = 2;

/** Whom a {@linkcode WorkerHandle} tells. */
export interface WorkerHandleOwner {
  /** A task has been answered. */
  taskAnswered(task: PoolTask, outcome: Outcome, time: number): void;
  /** A task could not be posted. */
  taskRefused(task: PoolTask, error: unknown): void;
  /** It has become ready, or all answers that came together were told. */
  workerHeard(): void;
  /** Nothing of the worker is left; it was asked to end or it was not. */
  workerExited(handle: WorkerHandle, exit: RunnerExit, asked: boolean): void;
}

/** What a worker had when it died. */
export interface LostTasks {
  /** What it has, or may have, begun with. */
  begun: PoolTask[];
  /** What it had not begun with. */
  waiting: PoolTask[];
}

/** A worker of a pool, as the pool sees it. */
export class WorkerHandle {
  /** Whether it can be given tasks. */
  ready = false;
  /** Whether the pool has given it up, or told it to end. */
  leaving = false;
  /** How many tasks it has. */
  load = 0;
  /** How many tasks it has answered. */
  answered = 0;
  /** When it was started. */
  readonly started: number = performance.now();
  #owner: WorkerHandleOwner;
  #settings: PoolSettings;
  #runner: Runner;
  #taskSlots: TaskSlots | null;
  #tasks: (PoolTask | null)[] = new Array(SLOTS).fill(null);
  /** Whether a task was not answered, one that was taken back included. */
  #open = new Uint8Array(SLOTS);
  /** The number of the oldest task that was not answered. */
  #oldest = 0;
  #next = 0;
  #outbox: unknown[] = [];
  #tiny = false;
  #heard = 0;
  #killTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts a worker.
   *
   * @param owner Whom to tell.
   * @param settings The pool's.
   * @param number Its number in the pool.
   */
  constructor(
    owner: WorkerHandleOwner,
    settings: PoolSettings,
    number: number,
  ) {
    const { kind, main, module, permissions, initializer } = settings;
    const thread = kind === "thread";
    this.#owner = owner;
    this.#settings = settings;
    const taskSlots = thread ? TaskSlots.memory() : null;
    this.#taskSlots = taskSlots === null ? null : new TaskSlots(taskSlots);
    const name = `${settings.name}_${number}`;
    const data: PoolStart = {
      module,
      name,
      ident: thread ? nextIdent() : 0,
      lastIdent: thread ? context.lastIdent : null,
      taskSlots,
      initializer,
    };
    this.#runner = startRunner(kind, {
      main,
      modules: [module, SHARED_URLS[kind]],
      data,
      name,
      permissions,
    });
    this.#runner.onmessage = (message) => this.#receive(message);
    this.#runner.exited.then((exit) => {
      clearTimeout(this.#killTimer);
      const asked = this.leaving && exit.reason !== "protocol";
      this.leaving = true;
      owner.workerExited(this, exit, asked);
    });
  }

  /** Whether it has no tasks and may have no more. */
  get spent(): boolean {
    return this.load === 0 && this.#next >= this.#settings.maxTasksPerWorker;
  }

  /**
   * Tells whether it may be given a task.
   *
   * @param task The task.
   * @param now What time it is.
   * @returns Whether it may.
   */
  accepts(task: PoolTask, now: number): boolean {
    if (!this.ready || this.leaving) return false;
    if (this.#next >= this.#settings.maxTasksPerWorker) return false;
    if (this.#next - this.#oldest >= SLOTS) return false;
    if (this.load === 0) return true;
    return this.#tiny && task.tiny && !this.isStalled(now);
  }

  /**
   * Tells whether it has been busy with one task for long.
   *
   * @param now What time it is.
   * @returns Whether it has.
   */
  isStalled(now: number): boolean {
    return this.load > 0 && now - this.#heard > STALLED_AFTER;
  }

  /**
   * Gives it a task, which `flush()` will send.
   *
   * @param task The task.
   * @param now What time it is.
   */
  hand(task: PoolTask, now: number): void {
    if (this.load++ === 0) {
      this.#tiny = task.tiny;
      this.#heard = now;
    }
    const id = this.#next++;
    const slot = id & SLOTS - 1;
    this.#tasks[slot] = task;
    this.#open[slot] = 1;
    this.#taskSlots?.reset(slot);
    if (task.transfer !== null) {
      this.flush();
      this.#postAlone(id, task, task.transfer);
    } else {
      this.#outbox.push(id, task.target.name, task.args, task.flags);
    }
  }

  /** Sends what it was given. */
  flush(): void {
    const outbox = this.#outbox;
    if (outbox.length === 0) return;
    this.#outbox = [];
    try {
      this.#post(outbox);
    } catch {
      for (let at = 0; at < outbox.length; at += STRIDE) {
        const id = outbox[at] as number;
        this.#postAlone(id, this.#tasks[id & SLOTS - 1]!, []);
      }
    }
  }

  /**
   * Takes back tasks that a thread has not begun with.
   *
   * @param matches Tells which.
   * @returns Those that were taken back.
   */
  recall(matches: (task: PoolTask) => boolean): PoolTask[] {
    const recalled: PoolTask[] = [];
    if (this.#taskSlots === null) return recalled;
    for (let id = this.#oldest; id < this.#next; id++) {
      const slot = id & SLOTS - 1;
      const task = this.#tasks[slot] ?? null;
      if (task === null || !matches(task)) continue;
      if (!this.#taskSlots.recall(slot)) continue;
      this.#tasks[slot] = null;
      this.load--;
      recalled.push(task);
    }
    return recalled;
  }

  /**
   * Tells whether it has a task that matches.
   *
   * @param matches Tells which do.
   * @returns Whether it has.
   */
  has(matches: (task: PoolTask) => boolean): boolean {
    return this.#tasks.some((task) => task !== null && matches(task));
  }

  /**
   * Takes the tasks of a dead worker, except those whose answers it left.
   *
   * @returns The tasks, in order.
   */
  abandon(): LostTasks {
    this.#guard(LOOK);
    const waiting = this.recall((task) => task.transfer === null);
    const begun: PoolTask[] = [];
    for (let id = this.#oldest; id < this.#next; id++) {
      const task = this.#tasks[id & SLOTS - 1] ?? null;
      if (task !== null) begun.push(task);
    }
    this.#tasks.fill(null);
    this.load = 0;
    return { begun, waiting };
  }

  /** Makes it end, when it has nothing to do. */
  end(): void {
    if (this.leaving) return;
    if (!this.ready) return this.terminate();
    this.leaving = true;
    this.#post(null);
    this.#killLater();
  }

  /** Ends it: a thread at once, a process by SIGTERM and then SIGKILL. */
  terminate(): void {
    this.leaving = true;
    this.#runner.terminate();
    this.#killLater();
  }

  /** Ends it at once. */
  kill(): void {
    this.leaving = true;
    this.#runner.kill();
  }

  /**
   * Makes it keep the program alive, or lets the program end while it lives.
   *
   * @param alive Which of the two.
   */
  keepAlive(alive: boolean): void {
    try {
      if (alive) this.#runner.ref();
      else this.#runner.unref();
    } catch {
      // A process that has just ended; its exit is about to be told.
    }
  }

  /** Takes the answers that lie on the task slots. */
  look(): void {
    this.#guard(LOOK);
    this.#owner.workerHeard();
  }

  #look(): void {
    const taskSlots = this.#taskSlots;
    if (taskSlots === null) return;
    taskSlots.look();
    const end = this.#next;
    for (let id = this.#oldest; id < end; id++) {
      const slot = id & SLOTS - 1;
      if (this.#open[slot] === 0) continue;
      const answer = taskSlots.take(slot);
      if (answer !== null) this.#answered(id, answer);
    }
  }

  #killLater(): void {
    this.#killTimer ??= setTimeout(() => this.#runner.kill(), KILL_AFTER);
  }

  #post(message: unknown, transfer?: Transferable[]): void {
    this.#runner.post(message, transfer);
    this.#taskSlots?.announce();
  }

  #postAlone(id: number, task: PoolTask, transfer: Transferable[]): void {
    try {
      this.#post([id, task.target.name, task.args, task.flags], transfer);
    } catch (error) {
      this.#close(id);
      this.#owner.taskRefused(task, task.explain(this.#settings.kind, error));
    }
  }

  #receive(message: unknown): void {
    this.#heard = performance.now();
    this.#guard(message);
    this.#owner.workerHeard();
  }

  /** Ends a worker whose message makes no sense. */
  #guard(message: unknown): void {
    try {
      this.#read(message);
    } catch (error) {
      this.leaving = true;
      this.#runner.fail(
        new TypeError("What it said is malformed or out of order", {
          cause: error,
        }),
      );
    }
  }

  #read(message: unknown): void {
    if (message === LOOK) {
      this.#look();
    } else if (message === READY && !this.ready) {
      this.ready = true;
    } else if (Array.isArray(message) && message.length === 4) {
      const [id, status, value, time] = message as [
        number,
        Status,
        unknown,
        number,
      ];
      this.#answered(id, { status, value, time });
    } else {
      throw new TypeError("No answer");
    }
  }

  #answered(id: number, answer: Answer): void {
    const slot = id & SLOTS - 1;
    const known = Number.isInteger(id) && id >= this.#oldest && id < this.#next;
    if (!known || this.#open[slot] !== 1) throw new TypeError("No such task");
    const outcome = outcomeOf(answer);
    const task = this.#close(id);
    // Only what was taken back is skipped.
    if ((task === null) !== (outcome === null)) throw new TypeError("Skipped");
    if (task === null || outcome === null) return;
    this.answered++;
    this.#owner.taskAnswered(task, outcome, answer.time);
  }

  /** Clears a task's place, and gives the task unless it was taken back. */
  #close(id: number): PoolTask | null {
    const slot = id & SLOTS - 1;
    const task = this.#tasks[slot] ?? null;
    this.#tasks[slot] = null;
    this.#open[slot] = 0;
    while (
      this.#oldest < this.#next && this.#open[this.#oldest & SLOTS - 1] === 0
    ) this.#oldest++;
    if (task !== null) this.load--;
    return task;
  }
}
