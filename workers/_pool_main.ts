/**
 * What runs in the workers of a pool.
 *
 * @module
 */
import { adopt } from "./_activity.ts";
import { packFor } from "./_cargo.ts";
import { context } from "./_context.ts";
import { Lane } from "./_lane.ts";
import {
  FLAGS,
  isPlain,
  MEAN_WEIGHT,
  type PoolStart,
  reasonOf,
  SLOT,
  SLOTS,
  STATUS,
  type Status,
  STRIDE,
  TINY,
} from "./_pool_protocol.ts";
import { toErrorRecord } from "./_remote.ts";
import type { RunnerPort } from "./_runner.ts";
import { unpack } from "./_share.ts";
import { Thread } from "./thread.ts";

/** How long a thread may go without its event loop, in milliseconds. */
const MAX_STAY = 20;

type Call = (...args: unknown[]) => unknown;

/** A function that tasks call. */
interface Target {
  call: Call;
  /** How long it runs, on an average of the last calls. */
  mean: number;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}

/** Calls a function for each item, in turn. */
async function callEach(call: Call, items: unknown[]): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const item of items) {
    const result = call(item);
    results.push(isThenable(result) ? await result : result);
  }
  return results;
}

class PoolWorker {
  #port: RunnerPort;
  #module: Record<string, unknown>;
  #url: string;
  #slots: Int32Array | null;
  #lane: Lane | null;
  #targets = new Map<string, Target>();
  #tasks: unknown[] = [];
  #next = 0;
  #answers: unknown[] = [];
  #since = 0;
  #working = false;
  #ending = false;

  constructor(
    port: RunnerPort,
    module: Record<string, unknown>,
    start: PoolStart,
  ) {
    this.#port = port;
    this.#module = module;
    this.#url = start.module;
    this.#slots = start.desk?.slots ?? null;
    this.#lane = start.desk === null ? null : new Lane(start.desk);
  }

  /** Takes what the pool has posted. */
  receive(message: unknown): void {
    this.#lane?.received();
    this.#take(message);
    if (!this.#working) this.#work();
  }

  /** Posts the answers that were gathered. */
  flush(): void {
    const answers = this.#answers;
    if (answers.length === 0) return;
    this.#answers = [];
    try {
      this.#port.post(answers);
    } catch {
      for (let at = 0; at < answers.length; at += STRIDE) {
        this.#postAlone(answers.slice(at, at + STRIDE));
      }
    }
  }

  #take(message: unknown): void {
    if (message === null) {
      this.#ending = true;
    } else if (this.#next === this.#tasks.length) {
      this.#tasks = message as unknown[];
      this.#next = 0;
    } else {
      this.#tasks.push(...message as unknown[]);
    }
  }

  async #work(): Promise<void> {
    this.#working = true;
    const begun = performance.now();
    while (true) {
      while (this.#next < this.#tasks.length) {
        const running = this.#runNext();
        if (running !== undefined) await running;
      }
      const stays = this.#lane !== null && !this.#ending &&
        performance.now() - begun < MAX_STAY;
      if (!stays) break;
      this.#lane!.open();
      this.flush();
      // What the tasks left behind gets its turn before the thread sleeps.
      await undefined;
      const message = this.#lane!.wait();
      if (message === undefined) break;
      this.#take(message);
    }
    this.flush();
    this.#working = false;
    if (this.#ending) this.#port.close();
  }

  /** Runs a task; what is returned is to be awaited. */
  #runNext(): Promise<void> | undefined {
    const at = this.#next;
    this.#next += STRIDE;
    const id = this.#tasks[at] as number;
    const name = this.#tasks[at + 1] as string;
    const flags = this.#tasks[at + 3] as number;
    const slots = this.#slots;
    if (
      slots !== null &&
      Atomics.compareExchange(
          slots,
          id & SLOTS - 1,
          SLOT.waiting,
          SLOT.begun,
        ) !== SLOT.waiting
    ) {
      return this.#answer(id, STATUS.skipped, undefined, 0);
    }
    const target = this.#find(name);
    if (target === null) {
      return this.#answer(id, STATUS.missing, this.#explain(name), 0);
    }
    const begun = performance.now();
    // Answers wait for others only as long as that is hardly noticed.
    if (target.mean > TINY || begun - this.#since > TINY) this.flush();
    let args = this.#tasks[at + 2] as unknown[];
    const { call } = target;
    try {
      if ((flags & FLAGS.packed) !== 0) args = unpack(args) as unknown[];
      const value = (flags & FLAGS.chunk) !== 0
        ? callEach(call, args)
        : call(...args);
      if (isThenable(value)) return this.#settle(id, target, begun, value);
      this.#done(id, target, begun, value);
    } catch (error) {
      this.#failed(id, target, begun, error);
    }
  }

  async #settle(
    id: number,
    target: Target,
    begun: number,
    value: PromiseLike<unknown>,
  ): Promise<void> {
    this.flush();
    try {
      this.#done(id, target, begun, await value);
    } catch (error) {
      this.#failed(id, target, begun, error);
    }
  }

  #done(id: number, target: Target, begun: number, value: unknown): void {
    const packed = isPlain(value) ? value : packFor(this.#port.kind, value);
    const status = packed === value ? STATUS.done : STATUS.donePacked;
    this.#answer(id, status, packed, measure(target, begun));
  }

  #failed(id: number, target: Target, begun: number, error: unknown): void {
    const time = measure(target, begun);
    this.#answer(id, STATUS.thrown, toErrorRecord(error), time);
  }

  #answer(id: number, status: Status, value: unknown, time: number): undefined {
    if (this.#answers.length === 0) this.#since = performance.now();
    this.#answers.push(id, status, value, time);
  }

  #postAlone(answer: unknown[]): void {
    try {
      this.#port.post(answer);
    } catch (error) {
      const [id, , , time] = answer;
      const record = toErrorRecord(
        new TypeError(
          `Cannot return the result from the ${this.#port.kind}: ` +
            reasonOf(error),
        ),
      );
      this.#port.post([id, STATUS.thrown, record, time]);
    }
  }

  #find(name: string): Target | null {
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const call = Object.hasOwn(this.#module, name)
      ? this.#module[name]
      : undefined;
    if (typeof call !== "function") return null;
    // Not known to be tiny until it has run.
    const target = { call: call as Call, mean: Infinity };
    this.#targets.set(name, target);
    return target;
  }

  #explain(name: string): string {
    return `Cannot run target "${name}": ` +
      (Object.hasOwn(this.#module, name)
        ? `"${this.#url}" exports it, but it is not a function`
        : `"${this.#url}" does not export it; add \`export\` to it, under ` +
          "this name");
  }
}

function measure(target: Target, begun: number): number {
  const time = performance.now() - begun;
  target.mean = target.mean === Infinity
    ? time
    : target.mean + (time - target.mean) * MEAN_WEIGHT;
  return time;
}

/** What a thread has answered goes out before it ends itself. */
function flushBeforeExit(worker: PoolWorker): void {
  const scope = globalThis as unknown as { close(): void };
  const { close } = scope;
  const { exit } = Deno;
  scope.close = () => {
    worker.flush();
    close();
  };
  Deno.exit = (code) => {
    worker.flush();
    return exit(code);
  };
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
  modules: Record<string, unknown>[],
  data: unknown,
): void {
  const start = data as PoolStart;
  if (start.lastIdent !== null) context.lastIdent = start.lastIdent;
  const worker = new PoolWorker(port, modules[0] ?? {}, start);
  if (port.kind === "thread") {
    context.isMain = false;
    context.current = adopt(() => new Thread(), {
      ident: start.ident,
      name: start.name,
      daemon: false,
      target: null,
      args: [],
    });
    flushBeforeExit(worker);
  }
  port.onmessage = (message) => worker.receive(message);
}
