import { context, nextIdent } from "../threads/_context.ts";
import type { RunnerExit } from "../errors.ts";
import { type Answer, TaskSlots } from "./_task_slots.ts";
import { Mailbox } from "./_mailbox.ts";
import type { PoolSettings } from "./_options.ts";
import {
  LOOK,
  type PoolStart,
  type SharedMemory,
  SLOTS,
  type Status,
  STRIDE,
} from "./_protocol.ts";
import type { PoolTask } from "./_task.ts";
import type { Runner } from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;
const SYNC_URL = new URL("../queue/_sync.ts", import.meta.url).href;
/** How long a worker may take to end by itself, in milliseconds. */
const KILL_AFTER = 2_000;
/** A worker that was silent for longer than this gets no further tasks. */
export const STALLED_AFTER = 2;

/** Whom a {@linkcode WorkerHandle} tells. */
export interface WorkerHandleOwner {
  /** The worker can be given tasks. */
  workerReady(handle: WorkerHandle): void;
  /** A task has been answered. */
  taskAnswered(
    task: PoolTask,
    status: Status,
    value: unknown,
    time: number,
  ): void;
  /** A task could not be posted. */
  taskRefused(task: PoolTask, error: unknown): void;
  /** All answers that came together have been told. */
  workerHeard(handle: WorkerHandle): void;
  /** Nothing of the worker is left. */
  workerExited(handle: WorkerHandle, exit: RunnerExit): void;
}

type PostedAnswer = [id: number, status: Status, value: unknown, time: number];

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
  /** Whether it was told to end. */
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
  #mailbox: Mailbox | null;
  #tasks: (PoolTask | null)[] = new Array(SLOTS).fill(null);
  /** Whether a task was not answered, one that was taken back included. */
  #open = new Uint8Array(SLOTS);
  /** The number of the oldest task that was not answered. */
  #oldest = 0;
  #next = 0;
  #outbox: unknown[] = [];
  #plain = true;
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
    const { kind, module, permissions } = settings;
    const thread = kind === "thread";
    this.#owner = owner;
    this.#settings = settings;
    const shared: SharedMemory | null = thread
      ? { taskSlots: TaskSlots.memory(), mailbox: Mailbox.memory() }
      : null;
    this.#taskSlots = shared === null ? null : new TaskSlots(shared.taskSlots);
    this.#mailbox = shared === null ? null : new Mailbox(shared.mailbox);
    const name = `${settings.name}_${number}`;
    const data: PoolStart = {
      module,
      name,
      ident: thread ? nextIdent() : 0,
      lastIdent: thread ? context.lastIdent : null,
      shared,
    };
    this.#runner = startRunner(kind, {
      main: MAIN_URL,
      modules: thread ? [module, SYNC_URL] : [module],
      data,
      name,
      permissions,
    });
    this.#runner.onmessage = (message) => this.#receive(message);
    this.#runner.ready.then(() => {
      this.ready = true;
      owner.workerReady(this);
    }, () => {});
    this.#runner.exited.then((exit) => {
      clearTimeout(this.#killTimer);
      this.leaving = true;
      owner.workerExited(this, exit);
    });
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
    if (!task.plain) this.#plain = false;
    this.#outbox.push(id, task.target.name, task.args, task.flags);
  }

  /** Sends what it was given. */
  flush(): void {
    const outbox = this.#outbox;
    if (outbox.length === 0) return;
    const plain = this.#plain;
    this.#outbox = [];
    this.#plain = true;
    // What went by post before must be read first.
    if (plain && outbox[0] === this.#oldest && this.#mailbox?.offer(outbox)) {
      return;
    }
    try {
      this.#post(outbox);
    } catch {
      for (let at = 0; at < outbox.length; at += STRIDE) {
        this.#postAlone(outbox.slice(at, at + STRIDE));
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
      const task = this.#tasks[slot];
      if (task === null || task === undefined || !matches(task)) continue;
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
   * Takes the tasks of a dead worker, but for those whose answers it left.
   *
   * @returns The tasks, in order.
   */
  abandon(): LostTasks {
    const lost: LostTasks = { begun: [], waiting: [] };
    this.#look();
    for (let id = this.#oldest; id < this.#next; id++) {
      const slot = id & SLOTS - 1;
      const task = this.#tasks[slot];
      if (task === null || task === undefined) continue;
      const waiting = this.#taskSlots?.isWaiting(slot) ?? false;
      (waiting ? lost.waiting : lost.begun).push(task);
    }
    this.#tasks.fill(null);
    this.load = 0;
    return lost;
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

  /** Makes it keep the program alive. */
  ref(): void {
    try {
      this.#runner.ref();
    } catch {
      // A process that has just ended; its exit is about to be told.
    }
  }

  /** Lets the program end while it lives. */
  unref(): void {
    try {
      this.#runner.unref();
    } catch {
      // A process that has just ended; its exit is about to be told.
    }
  }

  #killLater(): void {
    this.#killTimer ??= setTimeout(() => this.#runner.kill(), KILL_AFTER);
  }

  #post(message: unknown): void {
    this.#mailbox?.announce();
    try {
      this.#runner.post(message);
    } catch (error) {
      this.#mailbox?.withdraw();
      throw error;
    }
  }

  #postAlone(item: unknown[]): void {
    try {
      this.#post(item);
    } catch (error) {
      const id = item[0] as number;
      const task = this.#close(id)!;
      this.#owner.taskRefused(task, task.explain(this.#settings.kind, error));
    }
  }

  #receive(message: unknown): void {
    this.#heard = performance.now();
    if (message === LOOK) {
      this.#look();
    } else {
      const [id, status, value, time] = message as PostedAnswer;
      this.#answered(id, { status, value, time });
    }
    this.#owner.workerHeard(this);
  }

  /** Takes the answers that lie on the taskSlots. */
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

  #answered(id: number, { status, value, time }: Answer): void {
    const task = this.#close(id);
    if (task === null) return;
    this.answered++;
    this.#owner.taskAnswered(task, status, value, time);
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
