/**
 * What runs in the workers of a pool.
 *
 * @module
 */
import { adopt } from "../threads/_activity_base.ts";
import { packFor } from "../codec/payload.ts";
import { context } from "../threads/_context.ts";
import { TaskSlots } from "./_task_slots.ts";
import { Mailbox } from "./_mailbox.ts";
import {
  FLAGS,
  isPlain,
  LOOK,
  type PoolStart,
  reasonOf,
  SLOTS,
  STATUS,
  type Status,
  STRIDE,
} from "./_protocol.ts";
import { toErrorRecord } from "../runner/error_record.ts";
import type { RunnerPort } from "../runner/runner.ts";
import { unpack } from "../codec/share.ts";
import { Thread } from "../threads/thread.ts";

/** How long a thread may go without its event loop, in milliseconds. */
const MAX_STAY = 20;

type Call = (...args: unknown[]) => unknown;

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
  #taskSlots: TaskSlots | null;
  #mailbox: Mailbox | null;
  #targets = new Map<string, Call>();
  #tasks: unknown[] = [];
  #next = 0;
  /** Whether there are answers on the taskSlots that the pool was not told of. */
  #left = false;
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
    const { shared } = start;
    this.#taskSlots = shared === null ? null : new TaskSlots(shared.taskSlots);
    this.#mailbox = shared === null ? null : new Mailbox(shared.mailbox);
  }

  /** Takes what the pool has posted. */
  receive(message: unknown): void {
    this.#mailbox?.received();
    this.#take(message);
    if (!this.#working) this.#work();
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
      const stays = this.#mailbox !== null && !this.#ending &&
        performance.now() - begun < MAX_STAY;
      if (!stays) break;
      // What the tasks left behind gets its turn before the thread sleeps.
      await undefined;
      // A message may have come in that turn.
      if (this.#ending || this.#next < this.#tasks.length) {
        this.#call();
        continue;
      }
      this.#mailbox!.open();
      this.#call();
      const message = this.#mailbox!.wait();
      if (message === undefined) break;
      this.#take(message);
    }
    this.#call();
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
    if (this.#taskSlots !== null && !this.#taskSlots.begin(id & SLOTS - 1)) {
      return this.#answer(id, STATUS.skipped, undefined, 0);
    }
    const call = this.#find(name);
    if (call === null) {
      return this.#answer(id, STATUS.missing, this.#explain(name), 0);
    }
    const begun = performance.now();
    let args = this.#tasks[at + 2] as unknown[];
    try {
      if ((flags & FLAGS.packed) !== 0) args = unpack(args) as unknown[];
      const value = (flags & FLAGS.chunk) !== 0
        ? callEach(call, args)
        : call(...args);
      if (isThenable(value)) return this.#settle(id, begun, value);
      this.#done(id, begun, value);
    } catch (error) {
      this.#failed(id, begun, error);
    }
  }

  async #settle(
    id: number,
    begun: number,
    value: PromiseLike<unknown>,
  ): Promise<void> {
    try {
      this.#done(id, begun, await value);
    } catch (error) {
      this.#failed(id, begun, error);
    }
  }

  #done(id: number, begun: number, value: unknown): void {
    const packed = isPlain(value) ? value : packFor(this.#port.kind, value);
    const status = packed === value ? STATUS.done : STATUS.donePacked;
    this.#answer(id, status, packed, performance.now() - begun);
  }

  #failed(id: number, begun: number, error: unknown): void {
    const time = performance.now() - begun;
    this.#answer(id, STATUS.thrown, toErrorRecord(error), time);
  }

  #answer(id: number, status: Status, value: unknown, time: number): undefined {
    if (this.#taskSlots?.answer(id & SLOTS - 1, status, value, time)) {
      this.#left = true;
      // The last one is told of once the thread is ready for the next.
      if (this.#next < this.#tasks.length) this.#call();
      return;
    }
    try {
      this.#port.post([id, status, value, time]);
    } catch (error) {
      const { kind } = this.#port;
      const why = new TypeError(
        `Cannot return the result from the ${kind}: ${reasonOf(error)}`,
      );
      this.#port.post([id, STATUS.thrown, toErrorRecord(why), time]);
    }
  }

  /** Tells the pool of the answers that were left on the taskSlots. */
  #call(): void {
    if (this.#left && this.#taskSlots!.call()) this.#port.post(LOOK);
    this.#left = false;
  }

  #find(name: string): Call | null {
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const call = Object.hasOwn(this.#module, name)
      ? this.#module[name]
      : undefined;
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
  }
  port.onmessage = (message) => worker.receive(message);
}
