/**
 * The program of a pool's workers.
 *
 * @module
 */
import { isObject, objectsIn } from "../codec/graph.ts";
import { unpack } from "../codec/share.ts";
import { context, imports } from "../runner/context.ts";
import { ModuleImportError } from "../base/errors.ts";
import {
  type Answer,
  FLAGS,
  LOOK,
  packValue,
  type PoolStart,
  READY,
  reasonOf,
  STATUS,
  STRIDE,
  TaskSlots,
  TINY,
} from "./_protocol.ts";
import { tellRecord, toErrorRecord } from "../line/dialect.ts";
import type { RunnerPort } from "../runner/runner.ts";

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

/** The classes that can be moved but not copied. */
const MOVABLE = [MessagePort, ReadableStream, WritableStream, TransformStream];

type Call = (...args: unknown[]) => unknown;
type Module = Record<string, unknown>;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (isObject(value) || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}

/** Calls a function for each item, in turn. */
async function callEach(
  call: Call,
  items: unknown[],
  spread: boolean,
): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const item of items) {
    const result = spread ? call(...item as unknown[]) : call(item);
    results.push(isThenable(result) ? await result : result);
  }
  return results;
}

/** Finds what moves back: what came by transfer, and what can't be copied. */
function movedIn(result: unknown, moved: unknown[]): Transferable[] {
  if (moved.includes(result)) return [result as Transferable];
  if (!isObject(result)) return [];
  const isMoved = (value: object): boolean =>
    moved.includes(value) || MOVABLE.some((Class) => value instanceof Class);
  const found = new Set<object>();
  for (const value of objectsIn(result, isMoved)) {
    const whole = ArrayBuffer.isView(value) ? value.buffer : value;
    if (isMoved(whole)) found.add(whole);
  }
  return [...found] as Transferable[];
}

class PoolWorker {
  #port: RunnerPort;
  #module: Module;
  #url: string;
  #taskSlots: TaskSlots | null;
  #targets = new Map<string, Call>();
  /** The tasks of a message are forgotten together. */
  #batches: unknown[][] = [];
  #received = 0;
  /** Whether the task slots have answers that the pool does not know of. */
  #left = false;
  #called = 0;
  /** How many polls to skip after the next one, and now. */
  #vain = 0;
  #skips = 0;
  #working = false;
  #ending = false;

  constructor(port: RunnerPort, module: Module, start: PoolStart) {
    this.#port = port;
    this.#module = module;
    this.#url = start.module;
    const { taskSlots } = start;
    this.#taskSlots = taskSlots === null ? null : new TaskSlots(taskSlots);
  }

  /** Gets ready for tasks. */
  async start({ initializer }: PoolStart): Promise<void> {
    imports.begin();
    if (initializer !== null) {
      const { name, args } = initializer;
      const call = this.#find(name);
      const url = this.#url;
      if (call === null) throw new ModuleImportError(this.#explain(name), url);
      await call(...unpack(args) as unknown[]);
    }
    this.#port.onmessage = (message) => this.#receive(message);
    this.#port.post(READY);
  }

  #receive(message: unknown): void {
    this.#received++;
    if (message === null) this.#ending = true;
    else this.#batches.push(message as unknown[]);
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
        await running;
      }
    }
    this.#call();
    this.#working = false;
    if (this.#ending) this.#port.close();
    else this.#rest(begun);
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
    const id = tasks[at] as number;
    const name = tasks[at + 1] as string;
    const flags = tasks[at + 3] as number;
    if (this.#taskSlots !== null && !this.#taskSlots.begin(id)) {
      return this.#answer(id, [STATUS.skipped, undefined, 0]);
    }
    const call = this.#find(name);
    if (call === null) {
      return this.#answer(id, [STATUS.missing, this.#explain(name), 0]);
    }
    const begun = performance.now();
    let args = tasks[at + 2] as unknown[];
    let moved: unknown[] = [];
    try {
      if ((flags & FLAGS.moved) !== 0) {
        [args, moved] = args as [unknown[], unknown[]];
      }
      if ((flags & FLAGS.packed) !== 0) args = unpack(args) as unknown[];
      const value = (flags & FLAGS.chunk) !== 0
        ? callEach(call, args, (flags & FLAGS.spread) !== 0)
        : call(...args);
      if (isThenable(value)) {
        return Promise.resolve(value)
          .then((value) => this.#done(id, begun, value, moved))
          .catch((error) => this.#failed(id, performance.now() - begun, error));
      }
      this.#done(id, begun, value, moved);
    } catch (error) {
      this.#failed(id, performance.now() - begun, error);
    }
  }

  #done(id: number, begun: number, value: unknown, moved: unknown[]): void {
    const packed = packValue(this.#port.kind, value, true);
    const status = Object.is(packed, value) ? STATUS.done : STATUS.donePacked;
    const answer: Answer = [status, packed, performance.now() - begun];
    if (moved.length === 0) this.#answer(id, answer);
    else this.#post(id, answer, movedIn(value, moved));
  }

  #failed(id: number, time: number, error: unknown): void {
    tellRecord(
      (record) => this.#port.post([id, STATUS.thrown, record, time]),
      toErrorRecord(error),
    );
  }

  #answer(id: number, answer: Answer): undefined {
    if (!this.#taskSlots?.answer(id, answer)) {
      return this.#post(id, answer);
    }
    this.#left = true;
    const now = performance.now();
    // Not for each answer: the pool would wake up and send single tasks.
    if (now - this.#called < CALL_AFTER) return;
    this.#called = now;
    this.#call();
  }

  #post(id: number, answer: Answer, transfer?: Transferable[]): undefined {
    try {
      this.#port.post([id, ...answer], transfer);
    } catch (error) {
      const why = `Cannot return the result from the ${this.#port.kind}: ` +
        reasonOf(error);
      this.#failed(id, answer[2], new TypeError(why));
    }
  }

  /** Notifies the pool of the answers on the task slots. */
  #call(): void {
    if (this.#left) this.#port.post(LOOK);
    this.#left = false;
  }

  #find(name: string): Call | null {
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const call = Object.hasOwn(this.#module, name) ? this.#module[name] : null;
    if (typeof call !== "function") return null;
    this.#targets.set(name, call as Call);
    return call as Call;
  }

  #explain(name: string): string {
    return `Cannot run target "${name}": ` +
      (Object.hasOwn(this.#module, name)
        ? `"${this.#url}" exports it, but it is not a function`
        : `"${this.#url}" does not export it; add \`export\` to it, under ` +
          "this name");
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
    context.adoption = { ident, name, daemon: false, args: [], fields: {} };
  }
  return new PoolWorker(port, modules[0] ?? {}, start).start(start);
}
