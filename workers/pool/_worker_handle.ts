/**
 * One worker of a pool, as the pool sees it.
 *
 * @module
 */

import { SHARED_URLS, unpack } from "../codec/share.ts";
import { ModuleImportError, type RunnerExit } from "../base/errors.ts";
import { type ErrorRecord, fromErrorRecord } from "../line/dialect.ts";
import type { Runner } from "../runner/runner.ts";
import { startRunner } from "../runner/start_runner.ts";
import { context, nextIdent } from "../runner/context.ts";
import type { PoolSettings } from "./_options.ts";
import {
  type Answer,
  LOOK,
  type PoolStart,
  READY,
  STATUS,
  STRIDE,
  TaskSlots,
} from "./_protocol.ts";
import type { PoolTask } from "./_task.ts";
import { TaskWindow } from "./_task_lists.ts";

/** How long a worker may take to end, in milliseconds. */
const KILL_AFTER = 2_000;
/** A worker that was silent for longer than this gets no further tasks. */
export const STALLED_AFTER = 2;

/** The outcome of a task that ran. */
export type Outcome = [end: "completed" | "failed", value: unknown];

/** The owner of a {@linkcode WorkerHandle}. */
export interface WorkerHandleOwner {
  /** Whether there is no work. */
  readonly idle: boolean;
  /** A task has been answered. */
  taskAnswered(task: PoolTask, outcome: Outcome, time: number): void;
  /** A task could not be posted. */
  taskRefused(task: PoolTask, error: unknown): void;
  /** It has become ready, or a batch of answers was reported. */
  workerHeard(): void;
  /** The worker has ended, on request or not. */
  workerExited(handle: WorkerHandle, exit: RunnerExit, asked: boolean): void;
}

/** Decodes an answer; `null` is that of a task that was taken back. */
function outcomeOf([status, value]: Answer, module: string): Outcome | null {
  switch (status) {
    case STATUS.done:
      return ["completed", value];
    case STATUS.donePacked:
      return ["completed", unpack(value)];
    case STATUS.thrown:
      return ["failed", fromErrorRecord(value as ErrorRecord)];
    case STATUS.missing:
      return ["failed", new ModuleImportError(String(value), module)];
    case STATUS.skipped:
      return null;
    default:
      throw new TypeError("No status");
  }
}

/** A worker of a pool, as the pool sees it. */
export class WorkerHandle {
  /** Whether it can take tasks. */
  ready = false;
  /** Whether the pool has ended it. */
  leaving = false;
  /** Whether it has answered a task. */
  answered = false;
  /** Its tasks. */
  readonly tasks: TaskWindow;
  /** The time of its start. */
  readonly started: number = performance.now();
  #owner: WorkerHandleOwner;
  #settings: PoolSettings;
  #runner: Runner;
  #taskSlots: TaskSlots | null;
  #outbox: unknown[] = [];
  #tiny = false;
  #heard = 0;
  #killTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts a worker.
   *
   * @param owner The owner.
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
    const taskSlots = thread ? TaskSlots.memory() : null;
    this.#taskSlots = taskSlots && new TaskSlots(taskSlots);
    this.tasks = new TaskWindow(this.#taskSlots);
    this.#owner = owner;
    this.#settings = settings;
    const name = `${settings.name}_${number}`;
    const data: PoolStart = {
      module,
      name,
      process: thread ? context.process : { name, daemon: false },
      ident: thread ? nextIdent() : 0,
      lastIdent: thread ? context.lastIdent : null,
      taskSlots,
      initializer,
    };
    const modules = [module, SHARED_URLS[kind]];
    const runner = startRunner(kind, {
      main,
      modules,
      data,
      name,
      permissions,
    });
    this.#runner = runner;
    runner.onmessage = (message) => this.#receive(message);
    runner.exited.then((exit) => {
      clearTimeout(this.#killTimer);
      const asked = this.leaving && exit.reason !== "protocol";
      this.leaving = true;
      owner.workerExited(this, exit, asked);
    });
  }

  /** The number of its tasks. */
  get load(): number {
    return this.tasks.load;
  }

  /** Whether it may have no more tasks. */
  get wornOut(): boolean {
    return this.tasks.given >= this.#settings.maxTasksPerWorker;
  }

  /**
   * Returns whether it can take a task.
   *
   * @param task The task.
   * @param now The time.
   * @returns Whether it can.
   */
  accepts(task: PoolTask, now: number): boolean {
    const { load, full } = this.tasks;
    if (!this.ready || this.leaving || this.wornOut || full) return false;
    return load === 0 || this.#tiny && task.tiny && !this.isStalled(now);
  }

  /** Returns whether it has been busy with one task for long. */
  isStalled(now: number): boolean {
    return this.load > 0 && now - this.#heard > STALLED_AFTER;
  }

  /**
   * Gives it a task, which `flush()` will send.
   *
   * @param task The task.
   * @param now The time.
   */
  hand(task: PoolTask, now: number): void {
    if (this.load === 0) {
      this.#tiny = task.tiny;
      this.#heard = now;
    }
    const id = this.tasks.add(task);
    if (task.transfer !== null) {
      this.flush();
      this.#postAlone(id, task, task.transfer);
    } else {
      this.#outbox.push(id, task.target.name, task.args, task.flags);
    }
  }

  /** Sends the given tasks. */
  flush(): void {
    const outbox = this.#outbox;
    if (outbox.length === 0) return;
    this.#outbox = [];
    try {
      this.#post(outbox);
    } catch {
      for (let at = 0; at < outbox.length; at += STRIDE) {
        const id = outbox[at] as number;
        this.#postAlone(id, this.tasks.get(id)!);
      }
    }
  }

  /** Ends it when it is idle. */
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
    if (alive) this.#runner.ref();
    else this.#runner.unref();
  }

  /** Takes the answers on the task slots. */
  look(): void {
    this.#guard(LOOK);
    this.#owner.workerHeard();
  }

  #killLater(): void {
    this.#killTimer ??= setTimeout(() => this.#runner.kill(), KILL_AFTER);
  }

  #post(message: unknown, transfer?: Transferable[]): void {
    this.#runner.post(message, transfer);
    this.#taskSlots?.announce();
  }

  #postAlone(id: number, task: PoolTask, transfer?: Transferable[]): void {
    try {
      this.#post([id, task.target.name, task.args, task.flags], transfer);
    } catch (error) {
      this.tasks.close(id);
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
    } catch (cause) {
      this.leaving = true;
      const why = "What it said is malformed or out of order";
      this.#runner.fail(new TypeError(why, { cause }));
    }
  }

  #read(message: unknown): void {
    if (message === LOOK) {
      this.tasks.look((id, answer) => this.#answer(id, answer));
    } else if (message === READY && !this.ready) {
      this.ready = true;
    } else if (Array.isArray(message) && message.length === 4) {
      const [id, ...answer] = message;
      this.#answer(id, answer as Answer);
    } else {
      throw new TypeError("No answer");
    }
  }

  #answer(id: number, answer: Answer): void {
    const time = answer[2];
    if (typeof time !== "number" || !(time >= 0)) {
      throw new TypeError("No time");
    }
    const task = this.tasks.get(id);
    const outcome = outcomeOf(answer, this.#settings.module);
    // Only tasks that were taken back are skipped.
    if ((task === null) !== (outcome === null)) throw new TypeError("Skipped");
    this.tasks.close(id);
    if (task === null || outcome === null) return;
    this.answered = true;
    this.#owner.taskAnswered(task, outcome, time);
  }
}
