/**
 * Runs the jobs of `_jobs.ts` in real threads, or as tasks of one event loop.
 *
 * @module
 */
import { pack } from "../../workers/queue/_sync.ts";
import {
  QUEUE_BYTES,
  WaitQueue,
  type WaitRecord,
} from "../../workers/locks/_wait_queue.ts";
import { webLocks } from "../../workers/runner/runner.ts";
import "../support/leaks.ts";
import * as jobs from "./_jobs.ts";

type Jobs = typeof jobs;
type Args<K extends keyof Jobs> = Parameters<Jobs[K]> extends
  [boolean, ...infer A] ? A : never;
type Result<K extends keyof Jobs> = Awaited<ReturnType<Jobs[K]>>;

/** Some who do jobs at the same time. */
export interface Team extends Disposable {
  readonly size: number;
  /** Has one of them do a job. */
  run<K extends keyof Jobs>(
    member: number,
    job: K,
    ...args: Args<K>
  ): Promise<Result<K>>;
  /** Has each do the same job. */
  all<K extends keyof Jobs>(job: K, ...args: Args<K>): Promise<Result<K>[]>;
}

interface Reply {
  id: number;
  value?: unknown;
  error?: { name: string; message: string };
}

/** Threads. */
export class Threads implements Team {
  readonly size: number;
  readonly #sync: boolean | undefined;
  readonly #workers: Worker[] = [];
  /** Names of locks, each held by a thread while it lives. */
  readonly #lives: string[] = [];
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  /** Threads that block, that await, or of both kinds in turn. */
  constructor(size: number, sync?: boolean) {
    this.size = size;
    this.#sync = sync;
    for (let member = 0; member < size; member++) {
      const url = new URL("./worker_fixture.ts", import.meta.url);
      const name = crypto.randomUUID();
      const worker = new Worker(url, { type: "module", name });
      this.#lives.push(name);
      worker.onmessage = (event) => this.#settle(event.data);
      this.#workers.push(worker);
    }
  }

  async run<K extends keyof Jobs>(
    member: number,
    job: K,
    ...args: Args<K>
  ): Promise<Result<K>> {
    const id = ++this.#lastId;
    const reply = Promise.withResolvers<unknown>();
    this.#open.set(id, reply);
    const sync = this.#sync ?? member % 2 === 0;
    this.#workers[member]!.postMessage(pack({ id, job, sync, args }));
    return await reply.promise as Result<K>;
  }

  all<K extends keyof Jobs>(job: K, ...args: Args<K>): Promise<Result<K>[]> {
    return Promise.all(
      this.#workers.map((_, member) => this.run(member, job, ...args)),
    );
  }

  /** Ends one of the threads, which does something; settles when it has. */
  async terminate(member: number): Promise<void> {
    this.#workers[member]!.terminate();
    await webLocks().request(this.#lives[member]!, {}, () => {});
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }

  #settle({ id, value, error }: Reply): void {
    const reply = this.#open.get(id)!;
    this.#open.delete(id);
    if (error === undefined) return reply.resolve(value);
    reply.reject(Object.assign(new Error(error.message), error));
  }
}

/** Tasks of this event loop. */
class Tasks implements Team {
  readonly size: number;

  constructor(size: number) {
    this.size = size;
  }

  async run<K extends keyof Jobs>(
    _member: number,
    job: K,
    ...args: Args<K>
  ): Promise<Result<K>> {
    const work = jobs[job] as unknown as (
      sync: boolean,
      ...args: Args<K>
    ) => Promise<Result<K>>;
    return await work(false, ...args);
  }

  all<K extends keyof Jobs>(job: K, ...args: Args<K>): Promise<Result<K>[]> {
    return Promise.all(
      Array.from({ length: this.size }, (_, i) => this.run(i, job, ...args)),
    );
  }

  [Symbol.dispose](): void {}
}

/** Defines a test with threads that block and with threads that await. */
export function testBothKinds(
  name: string,
  size: number,
  test: (team: Threads, sync: boolean) => Promise<void>,
): void {
  Deno.test(`${name} (threads that block)`, async () => {
    using team = new Threads(size, true);
    await test(team, true);
  });
  Deno.test(`${name} (threads that await)`, async () => {
    using team = new Threads(size, false);
    await test(team, false);
  });
}

/**
 * Defines a test with threads of which every other one blocks and the others
 * await, or with one thread of each kind.
 */
export function testThreads(
  name: string,
  size: number,
  test: (team: Threads) => Promise<void>,
): void {
  if (size === 1) return testBothKinds(name, size, test);
  Deno.test(`${name} (threads of both kinds)`, async () => {
    using team = new Threads(size);
    await test(team);
  });
}

/** Defines a test with threads, and with tasks. */
export function testTeams(
  name: string,
  size: number,
  test: (team: Team) => Promise<void>,
): void {
  testThreads(name, size, test);
  Deno.test(`${name} (tasks of one event loop)`, async () => {
    using team = new Tasks(size);
    await test(team);
  });
}

/** Words that threads share. */
export function sharedWords(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * count));
}

/** Waits until something holds that nothing tells of. */
export async function eventually(holds: () => boolean): Promise<void> {
  for (let patience = 0; !holds(); patience++) {
    if (patience > 20_000) throw new Error("It never came to pass");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The memory of a lock or its like. */
export function recordOf(shared: object): WaitRecord {
  const { record } = pack(shared) as {
    record: WaitRecord | [WaitRecord] | { waiters: WaitRecord };
  };
  if (Array.isArray(record)) return record[0];
  return "waiters" in record ? record.waiters : record;
}

/** How many wait for a lock or its like, in all threads. */
export function waiters(
  shared: object,
  of: "getters" | "putters" = "getters",
): number {
  const at = of === "putters" ? QUEUE_BYTES : 0;
  return new WaitQueue(recordOf(shared), true, at).size;
}

/** A promise and whether it has settled. */
export function watch<T>(
  promise: Promise<T>,
): { promise: Promise<T>; readonly settled: boolean } {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  return {
    promise,
    get settled(): boolean {
      return settled;
    },
  };
}
