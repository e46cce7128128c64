/**
 * The program of a pool's workers.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import { unpack } from "../codec/share.ts";
import {
  type Call,
  context,
  findExport,
  imports,
  joinStarted,
  mustJoin,
} from "../runner/context.ts";
import {
  type Answer,
  FLAGS,
  LOOK,
  packValue,
  type PoolStart,
  READY,
  STATUS,
  type Status,
  STRIDE,
  TaskSlots,
  TINY,
  WAITS,
} from "./_protocol.ts";
import { callEach, Chunk, isThenable, movedIn, notReturned } from "./_calls.ts";
import { tellRecord, toErrorRecord } from "../line/dialect.ts";
import type { RunnerKind, RunnerPort } from "../runner/runner.ts";

/** How long answers may wait on the task slots before the pool is notified. */
const CALL_AFTER = TINY;
/**
 * How long a thread polls for its next message before it returns to its event
 * loop, in milliseconds: waking up there takes longer than a short task.
 */
const LINGER = 0.05;
/** A poll that stood still for this long had lost its core to others. */
const PAUSED = 0.01;
/** After vain polls it polls again after this many messages, at most. */
const MAX_SKIPPED = 63;

type Module = Record<string, unknown>;

/** Loads the classes of locks and similar objects. That takes long. */
function loadShared(kind: RunnerKind): Promise<unknown> {
  return kind === "thread"
    ? import("../queue/_sync.ts")
    : import("../queue/_stand_ins.ts");
}

/** Whether arguments of a message's tasks contain locks or similar objects. */
function needsShared(message: unknown): boolean {
  if (message === null) return false;
  const tasks = message as unknown[];
  for (let at = STRIDE - 1; at < tasks.length; at += STRIDE) {
    if (((tasks[at] as number) & FLAGS.packed) !== 0) return true;
  }
  return false;
}

/** What aborts a signal of a task, and the indices that lead to it. */
type PlacedController = [path: number[], controller: AbortController];

class PoolWorker {
  #port: RunnerPort;
  #module: Module;
  #url: string;
  #taskSlots: TaskSlots | null;
  #targets = new Map<string, Call>();
  /** The tasks of a message are forgotten together. */
  #batches: unknown[][] = [];
  #received = 0;
  /** Settles when the classes of locks and similar objects are loaded. */
  #loading: Promise<unknown> | null = null;
  #hasLoaded = false;
  /** Whether the task slots have answers that the pool does not know of. */
  #left = false;
  #called = 0;
  /** How many polls to skip after the next one, and now. */
  #vain = 0;
  #skips = 0;
  #working = false;
  #ending = false;
  #concurrency: number;
  /** The number of tasks that run beside the next one. */
  #active = 0;
  /** Settles when there is room for the next one. */
  #room: PromiseWithResolvers<void> | null = null;
  /** The signals that tasks under way got. */
  #signals = new Map<number, PlacedController[]>();
  #failure = Promise.withResolvers<never>();
  #failed = false;

  constructor(port: RunnerPort, module: Module, start: PoolStart) {
    this.#port = port;
    this.#module = module;
    this.#url = start.module;
    const { taskSlots, concurrency } = start;
    this.#concurrency = concurrency;
    this.#taskSlots = taskSlots === null ? null : new TaskSlots(taskSlots);
  }

  /** Gets ready for tasks. Rejects with the error that ends it. */
  async start({ initializer }: PoolStart): Promise<void> {
    imports.begin();
    if (initializer !== null) {
      const { name, args, isPacked } = initializer;
      const call = this.#find(name);
      if (isPacked) await loadShared(this.#port.kind);
      await call(...unpack(args) as unknown[]);
    }
    this.#port.onmessage = (message) => this.#receive(message);
    this.#port.onerror = (error) => this.#fail(error);
    this.#port.post(READY);
    await this.#failure.promise;
  }

  #receive(message: unknown): void {
    this.#received++;
    if (this.#hasLoaded) return this.#take(message);
    if (needsShared(message)) this.#loading ??= loadShared(this.#port.kind);
    if (this.#loading === null) return this.#take(message);
    // Messages that come meanwhile keep their order
    void this.#loading.then(() => {
      this.#hasLoaded = true;
      this.#take(message);
    });
  }

  #take(message: unknown): void {
    if (message === null) this.#ending = true;
    else if ((message as unknown[]).length === STRIDE - 1) {
      const [id, index, reason] = message as [number, number, unknown];
      const [, controller] = this.#signals.get(id)?.[index] ?? [];
      controller?.abort(reason);
    } else {
      const tasks = message as unknown[];
      this.#addSignals(tasks);
      this.#batches.push(tasks);
    }
    if (!this.#working) this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    const begun = performance.now();
    this.#called = begun;
    for (let tasks; (tasks = this.#batches.shift()) !== undefined;) {
      for (let at = 0; at < tasks.length; at += STRIDE) {
        const running = this.#run(tasks, at);
        if (running === undefined) continue;
        this.#call();
        if (this.#concurrency === 1) await running;
        else await this.#runBeside(running);
      }
    }
    this.#call();
    this.#working = false;
    if (this.#ending) this.#leave();
    else if (this.#active === 0) this.#rest(begun);
  }

  /** Waits for a task only if no more may run at once. */
  async #runBeside(running: Promise<void>): Promise<void> {
    void running.then(() => {
      this.#active--;
      this.#call();
      this.#room?.resolve();
      this.#room = null;
    });
    if (++this.#active < this.#concurrency) return;
    this.#room = Promise.withResolvers();
    await this.#room.promise;
  }

  /** Ends it, once what its tasks started has ended. */
  async #leave(): Promise<void> {
    if (mustJoin()) this.#send(WAITS);
    await joinStarted();
    if (!this.#failed) this.#port.close();
  }

  /** Reports an error that nobody caught, and ends it as `#leave()` does. */
  async #fail(thrown: unknown): Promise<void> {
    if (this.#failed) return;
    this.#call();
    tellRecord((record) => this.#send([record]), toErrorRecord(thrown));
    this.#failed = true;
    await joinStarted();
    this.#failure.reject(thrown);
  }

  /** Sends the pool a message, unless it counts the worker as dead. */
  #send(message: unknown, transfer?: Transferable[]): void {
    if (!this.#failed) this.#port.post(message, transfer);
  }

  /**
   * Polls for the next message while messages come fast. A poll is also in vain
   * if the pool's thread needed this core to send it: then sleeping is faster.
   */
  #rest(begun: number): void {
    const taskSlots = this.#taskSlots;
    let now = performance.now();
    if (taskSlots === null || now - begun > TINY) return;
    if (this.#skips > 0) return void this.#skips--;
    if (taskSlots.posted !== this.#received) return;
    const end = now + LINGER;
    let inVain = false;
    while (taskSlots.posted === this.#received && !inVain) {
      const before = now;
      now = performance.now();
      inVain = now >= end || now - before >= PAUSED;
    }
    const more = Math.min(2 * this.#vain + 1, MAX_SKIPPED);
    this.#skips = this.#vain = inVain ? more : this.#vain >> 1;
  }

  /** Runs a task. Await the result. */
  #run(tasks: unknown[], at: number): Promise<void> | undefined {
    if (this.#failed) return undefined;
    const id = tasks[at] as number;
    const name = tasks[at + 1] as string;
    const flags = tasks[at + 3] as number;
    if (this.#taskSlots !== null && !this.#taskSlots.begin(id)) {
      this.#forget(id);
      return this.#answer(id, [STATUS.skipped, undefined, 0]);
    }
    let call: Call;
    try {
      call = this.#find(name);
    } catch (error) {
      this.#forget(id);
      return this.#answer(id, [STATUS.missing, reasonOf(error), 0]);
    }
    const begun = performance.now();
    let args = tasks[at + 2] as unknown[];
    let moved: unknown[] = [];
    try {
      if ((flags & FLAGS.wrapped) !== 0) {
        [args, moved] = args as [unknown[], unknown[]];
      }
      if ((flags & FLAGS.packed) !== 0) args = unpack(args) as unknown[];
      for (const [path, { signal }] of this.#signals.get(id) ?? []) {
        // The items of a chunk may end before, or have a gap there
        if (!(path[0]! in args)) continue;
        const list = path.length === 1 ? args : args[path[0]!] as unknown[];
        list[path.at(-1)!] = signal;
      }
      const value = (flags & FLAGS.chunk) !== 0
        ? callEach(call, args, flags)
        : call(...args);
      if (isThenable(value)) {
        return Promise.resolve(value)
          .then((value) => this.#done(id, begun, value, moved))
          .catch((error) => this.#throw(id, performance.now() - begun, error));
      }
      this.#done(id, begun, value, moved);
    } catch (error) {
      this.#throw(id, performance.now() - begun, error);
    }
  }

  /**
   * Makes the signals that follow those of the pool. Not only when their task
   * begins: an abort may come before.
   */
  #addSignals(tasks: unknown[]): void {
    for (let at = STRIDE - 1; at < tasks.length; at += STRIDE) {
      if (((tasks[at] as number) & FLAGS.wrapped) === 0) continue;
      const [, , signals] = tasks[at - 1] as unknown[][][];
      if (signals!.length === 0) continue;
      const controllers = signals!.map(
        ([path, ...aborted]): PlacedController => {
          const controller = new AbortController();
          if (aborted.length > 0) controller.abort(aborted[0]);
          return [path as number[], controller];
        },
      );
      this.#signals.set(tasks[at - STRIDE + 1] as number, controllers);
    }
  }

  #done(id: number, begun: number, value: unknown, moved: unknown[]): void {
    this.#forget(id);
    if (value instanceof Chunk) return this.#chunkDone(id, begun, value);
    const [status, packed] = this.#pack(value);
    const answer: Answer = [status, packed, performance.now() - begun];
    if (moved.length === 0) this.#answer(id, answer);
    else this.#answer(id, answer, movedIn(value, moved));
  }

  #chunkDone(id: number, begun: number, chunk: Chunk): void {
    try {
      this.#answerChunk(id, begun, chunk);
    } catch {
      this.#answerChunk(id, begun, chunk.sift(this.#port.kind));
    }
  }

  #answerChunk(id: number, begun: number, { results, failures }: Chunk): void {
    const [status, packed] = this.#pack(results);
    const time = performance.now() - begun;
    this.#answer(
      id,
      failures.length === 0
        ? [status, packed, time]
        : [STATUS.partly, [packed, failures], time],
    );
  }

  #pack(value: unknown): [status: Status, packed: unknown] {
    const packed = packValue(this.#port.kind, value, true);
    return [Object.is(packed, value) ? STATUS.done : STATUS.donePacked, packed];
  }

  #throw(id: number, time: number, error: unknown): void {
    this.#forget(id);
    tellRecord(
      (record) => this.#send([id, STATUS.thrown, record, time]),
      toErrorRecord(error),
    );
  }

  #forget(id: number): void {
    if (this.#signals.size > 0) this.#signals.delete(id);
  }

  #answer(id: number, answer: Answer, transfer?: Transferable[]): undefined {
    if (!this.#taskSlots?.answer(id, answer)) {
      try {
        return this.#send([id, ...answer], transfer) as undefined;
      } catch (error) {
        throw notReturned(this.#port.kind, error);
      }
    }
    this.#left = true;
    const now = performance.now();
    // Not for each answer: the pool would wake up and send single tasks.
    if (now - this.#called < CALL_AFTER) return;
    this.#called = now;
    this.#call();
  }

  /** Notifies the pool of the answers on the task slots. */
  #call(): void {
    if (this.#left) this.#send(LOOK);
    this.#left = false;
  }

  #find(name: string): Call {
    let call = this.#targets.get(name);
    if (call === undefined) {
      call = findExport(this.#module, name, "function", this.#url);
      this.#targets.set(name, call);
    }
    return call;
  }
}

/**
 * Runs the tasks of a pool.
 *
 * @param port The channel.
 * @param modules The user's module.
 * @param data A {@linkcode PoolStart}.
 */
export function main(
  port: RunnerPort,
  modules: Module[],
  data: unknown,
): Promise<void> {
  const start = data as PoolStart;
  if (start.lastIdent !== null) context.lastIdent = start.lastIdent;
  context.process = start.process;
  if (port.kind === "thread") {
    context.isMain = false;
    const { ident, name } = start;
    context.identity = { ident, name, daemon: false, args: [], fields: {} };
  }
  return new PoolWorker(port, modules[0] ?? {}, start).start(start);
}
