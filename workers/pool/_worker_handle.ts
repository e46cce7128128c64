/**
 * One worker of a pool, as the pool sees it.
 *
 * A thread gets tiny tasks ahead: it begins each through memory that it shares
 * with the pool, which can take back those that it has not begun. A process
 * gets no task that it can't begin at once, because nothing could take it back:
 * while a task blocks its event loop, it hears no request and sends no answer.
 * The same holds for a thread and data that moves.
 *
 * @module
 */

import { unpack } from "../codec/share.ts";
import { ModuleImportError, type RunnerExit } from "../base/errors.ts";
import { type ErrorRecord, fromErrorRecord } from "../line/dialect.ts";
import { PendingCalls } from "../line/pending.ts";
import type { Runner } from "../runner/runner.ts";
import { startRunner } from "../runner/supervisor.ts";
import { context, nextIdent } from "../runner/context.ts";
import type { PoolSettings } from "./_options.ts";
import {
  type Answer,
  ChunkResults,
  FLAGS,
  LOOK,
  type PoolStart,
  READY,
  SLOTS,
  STATUS,
  STRIDE,
  TaskSlots,
  WAITS,
} from "./_protocol.ts";
import { crossingReason, type PoolTask, type TaskHolder } from "./_task.ts";

/** How long a worker may take to end, in milliseconds. */
const KILL_AFTER = 2_000;
/** A worker not heard of for longer than this gets no further tasks. */
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
  /** It runs no task any more, but may wait for what its tasks started. */
  workerFailed(handle: WorkerHandle, exit: RunnerExit, asked: boolean): void;
  /** The worker has ended, on request or not. */
  workerExited(handle: WorkerHandle, exit: RunnerExit, asked: boolean): void;
}

/** Decodes the results of a chunk, and the errors of some of its items. */
function chunkOf(task: PoolTask, results: unknown, records: unknown): Outcome {
  const isChunk = (task.flags & FLAGS.chunk) !== 0;
  const most = task.args.length;
  if (
    !isChunk || !Array.isArray(results) || results.length > most ||
    !Array.isArray(records) || records.length > most
  ) throw new TypeError("No chunk");
  if (records.length === 0 && results.length < most) {
    throw new TypeError("Short");
  }
  const errors = new Map<number, Error>();
  for (let at = 0; at < records.length; at++) {
    const [index, record] = records[at];
    errors.set(index, fromErrorRecord(record));
  }
  for (const [index, error] of task.refused ?? []) errors.set(index, error);
  const end = errors.size === 0 ? "completed" : "failed";
  return [end, new ChunkResults(results, errors)];
}

/** Decodes an answer. Only tasks that were taken back are skipped. */
function outcomeOf(
  task: PoolTask | null,
  [status, value]: Answer,
  module: string,
): Outcome | null {
  if ((task === null) !== (status === STATUS.skipped)) {
    throw new TypeError("Skipped");
  }
  if (task === null) return null;
  switch (status) {
    case STATUS.done:
    case STATUS.donePacked: {
      const result = status === STATUS.done ? value : unpack(value);
      return (task.flags & FLAGS.chunk) === 0
        ? ["completed", result]
        : chunkOf(task, result, []);
    }
    case STATUS.partly: {
      const [results, records] = value as unknown[];
      return chunkOf(task, unpack(results), records);
    }
    case STATUS.thrown:
      return ["failed", fromErrorRecord(value as ErrorRecord)];
    case STATUS.missing:
      return ["failed", new ModuleImportError(String(value), module)];
    default:
      throw new TypeError("No status");
  }
}

/** A worker of a pool, as the pool sees it. */
export class WorkerHandle implements TaskHolder {
  /** Whether it can take tasks. */
  ready = false;
  /** Whether it gets no more tasks. */
  leaving = false;
  /** Whether it has answered a task. */
  answered = false;
  /** Whether it has failed, and waits for what its tasks started. */
  lingers = false;
  /** The number of its tasks. */
  load = 0;
  /** When it was last heard of: it is idle since then if it has no task. */
  heard: number = performance.now();
  /** The time of its start. */
  readonly started: number = performance.now();
  /** Its name. */
  readonly name: string;
  #owner: WorkerHandleOwner;
  #settings: PoolSettings;
  #runner: Runner;
  #slots: TaskSlots | null;
  /** `null` for a task that was taken back and is not answered. */
  #tasks: PendingCalls<PoolTask | null> = new PendingCalls(SLOTS);
  #given = 0;
  #outbox: unknown[] = [];
  /** Whether the task that it got when it was idle is tiny, or alone. */
  #tiny = false;
  #alone = false;
  #isTerminated = false;
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
    const { kind, main, module, permissions } = settings;
    const thread = kind === "thread";
    const taskSlots = thread ? TaskSlots.memory() : null;
    this.#slots = taskSlots && new TaskSlots(taskSlots);
    this.#owner = owner;
    this.#settings = settings;
    const name = `${settings.name}_${number}`;
    this.name = name;
    const data: PoolStart = {
      module,
      name,
      process: thread ? context.process : { name, daemon: false },
      ident: thread ? nextIdent() : 0,
      lastIdent: thread ? context.lastIdent : null,
      taskSlots,
      concurrency: settings.concurrentTasksPerWorker,
      initializer: settings.initializer,
    };
    const runner = startRunner(kind, {
      main,
      modules: [module],
      data,
      name,
      permissions,
    });
    this.#runner = runner;
    runner.onmessage = (message) => this.#receive(message);
    runner.exited.then((exit) => {
      clearTimeout(this.#killTimer);
      const asked = this.leaving && exit.reason !== "protocol";
      // Its error was reported before
      const { error: _, ...rest } = exit;
      this.leaving = true;
      owner.workerExited(this, this.lingers ? rest : exit, asked);
    });
  }

  /** Whether it has failed, and may wait without a limit. */
  get isLingering(): boolean {
    return this.lingers && !this.#isTerminated;
  }

  /** Whether it may have no more tasks. */
  get isUsedUp(): boolean {
    return this.#given >= this.#settings.maxTasksPerWorker;
  }

  /** Returns whether it can take a task now. */
  accepts(task: PoolTask, now: number): boolean {
    const { load } = this;
    if (!this.ready || this.leaving || this.isUsedUp) return false;
    if (this.#tasks.size === SLOTS) return false;
    if (load === 0) return true;
    if (load < this.#settings.concurrentTasksPerWorker) {
      return !this.#alone && !task.alone;
    }
    return this.#slots !== null && this.#tiny && task.tiny &&
      !this.isStalled(now);
  }

  /** Returns whether it has been busy with one task for long. */
  isStalled(now: number): boolean {
    return this.load > 0 && now - this.heard > STALLED_AFTER;
  }

  /** Whether something lies on the task slots: a task or an answer. */
  hasLeft(): boolean {
    const slots = this.#slots;
    if (slots === null || this.load < 2) return false;
    for (const [id] of this.#tasks) if (!slots.isRunning(id)) return true;
    return false;
  }

  /** Gives it a task, which `flush()` will send. */
  hand(task: PoolTask, now: number): void {
    if (this.load === 0) {
      this.#tiny = task.tiny;
      this.#alone = task.alone;
      this.heard = now;
    }
    const id = this.#tasks.add(task);
    this.#given++;
    this.#slots?.reset(id);
    task.id = id;
    task.holder = this;
    this.load++;
    if (task.signals.length > 0) {
      task.follow((index, reason) => this.#abort(id, index, reason));
    }
    if (task.transfer !== null) {
      this.flush();
      this.#postAlone(task, task.transfer);
    } else {
      const payload = task.payload(this.#settings.kind);
      this.#outbox.push(id, task.target.name, payload, task.flags);
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
        this.#postAlone(this.#tasks.get(outbox[at] as number)!);
      }
    }
  }

  recall(task: PoolTask): boolean {
    if (!this.#slots?.recall(task.id)) return false;
    this.#tasks.replace(task.id, null);
    this.#given--;
    this.load--;
    task.release();
    return true;
  }

  /**
   * Takes back what it has not begun, in order.
   *
   * @param evenMoved Whether also what no other worker could run.
   */
  recallAll(evenMoved = false): PoolTask[] {
    const recalled: PoolTask[] = [];
    for (const [, task] of this.#tasks) {
      if (task === null || task.transfer !== null && !evenMoved) continue;
      if (this.recall(task)) recalled.push(task);
    }
    return recalled;
  }

  interrupt(task: PoolTask, reason: unknown): void {
    for (const index of task.signals.keys()) {
      this.#abort(task.id, index, reason);
    }
  }

  /**
   * Takes away all its tasks.
   *
   * @returns Those that it has, or may have, begun, and the others.
   */
  clear(): { begun: PoolTask[]; waiting: PoolTask[] } {
    this.look();
    const waiting = this.recallAll();
    const begun: PoolTask[] = [];
    for (const [id, task] of this.#tasks) {
      if (task !== null) begun.push(task);
      this.#close(id);
    }
    return { begun, waiting };
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
    this.#isTerminated = true;
    this.#runner.terminate();
    this.#killLater();
  }

  /** Ends it at once. */
  kill(): void {
    this.leaving = true;
    this.#runner.kill();
  }

  /** Makes it keep the program alive, or lets the program end meanwhile. */
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

  /** Lets it wait for what its tasks started. */
  #letWait(): void {
    if (this.#isTerminated) return;
    clearTimeout(this.#killTimer);
    this.#killTimer = undefined;
  }

  #post(message: unknown, transfer?: Transferable[]): void {
    this.#runner.post(message, transfer);
    this.#slots?.announce();
  }

  #abort(id: number, index: number, reason: unknown): void {
    this.#post([id, index, crossingReason(this.#settings.kind, reason)]);
  }

  #postAlone(task: PoolTask, transfer?: Transferable[]): void {
    const { id, target, flags } = task;
    try {
      const payload = task.payload(this.#settings.kind);
      this.#post([id, target.name, payload, flags], transfer);
    } catch (error) {
      const why = task.explain(this.#settings.kind, error);
      if (why === null) return this.#postAlone(task, transfer);
      this.#close(id);
      this.#owner.taskRefused(task, why);
    }
  }

  #receive(message: unknown): void {
    if (this.lingers) return;
    this.heard = performance.now();
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
      this.#lookAtSlots();
    } else if (message === READY && !this.ready) {
      this.ready = true;
    } else if (message === WAITS && this.leaving) {
      this.#letWait();
    } else if (Array.isArray(message) && message.length === 4) {
      const [id, ...answer] = message;
      this.#answer(id, answer as Answer);
    } else if (Array.isArray(message) && message.length === 1) {
      this.#fail(fromErrorRecord(message[0]));
    } else {
      throw new TypeError("No answer");
    }
  }

  #lookAtSlots(): void {
    if (this.#slots === null) return;
    for (const [id] of this.#tasks) {
      const answer = this.#slots.take(id);
      if (answer !== null) this.#answer(id, answer);
    }
  }

  /** An error that nobody caught ends it. */
  #fail(error: Error): void {
    const asked = this.leaving;
    this.#lookAtSlots();
    this.lingers = true;
    this.leaving = true;
    this.#letWait();
    this.#owner.workerFailed(this, { code: 1, reason: "error", error }, asked);
  }

  #answer(id: number, answer: Answer): void {
    const time = answer[2];
    if (typeof time !== "number" || !(time >= 0)) {
      throw new TypeError("No time");
    }
    const task = this.#tasks.get(id);
    const outcome = outcomeOf(task, answer, this.#settings.module);
    this.#close(id);
    if (task === null || outcome === null) return;
    this.answered = true;
    this.#owner.taskAnswered(task, outcome, time);
  }

  #close(id: number): void {
    const task = this.#tasks.take(id);
    if (task === null) return;
    this.load--;
    task.release();
  }
}
