/** What the tests of pools share. */
import { assertEquals } from "@std/assert";
import {
  type ExceptHookArgs,
  setExceptHook,
} from "../../workers/base/errors.ts";
import {
  type Pool,
  type PoolOptions,
  ProcessPool,
  ThreadPool,
} from "../../workers/pool/pool.ts";
import "../support/leaks.ts";
import { listDescendants } from "../support/system.ts";

/** The module of the tasks. */
export const module = new URL("./tasks.ts", import.meta.url);

/** Makes a pool of two workers. */
export type MakePool = (options?: Partial<PoolOptions>) => Pool;

const POOLS: Record<string, MakePool> = {
  ThreadPool: (options) => new ThreadPool({ module, workers: 2, ...options }),
  ProcessPool: (options) => new ProcessPool({ module, workers: 2, ...options }),
};

/** Tests one kind of pool, and that nothing is left of it. */
export function testPool(
  className: "ThreadPool" | "ProcessPool",
  name: string,
  run: (make: MakePool) => Promise<void>,
): void {
  Deno.test(`${className} ${name}`, async () => {
    await run(POOLS[className]!);
    assertEquals(listDescendants(), [], "A child is left");
  });
}

/** Tests both kinds of pools. */
export function testPools(
  name: string,
  run: (make: MakePool, kind: "thread" | "process") => Promise<void>,
): void {
  testPool("ThreadPool", name, (make) => run(make, "thread"));
  testPool("ProcessPool", name, (make) => run(make, "process"));
}

/** Runs with a folder of its own. */
export async function withFolder(
  run: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs with an except hook that keeps what it gets. */
export async function withHook(
  run: (caught: ExceptHookArgs[]) => Promise<void>,
): Promise<void> {
  const caught: ExceptHookArgs[] = [];
  const previous = setExceptHook((args) => caught.push(args));
  try {
    await run(caught);
  } finally {
    setExceptHook(previous);
  }
}

/** A gate for `block()`: counts who has come, and lets all go. */
export class Gate {
  readonly memory: Int32Array = new Int32Array(new SharedArrayBuffer(8));

  async arrived(count: number): Promise<void> {
    for (let seen; (seen = Atomics.load(this.memory, 0)) < count;) {
      const wait = Atomics.waitAsync(this.memory, 0, seen, 10);
      await wait.value;
    }
  }

  open(): void {
    Atomics.store(this.memory, 1, 1);
    Atomics.notify(this.memory, 1);
  }
}
