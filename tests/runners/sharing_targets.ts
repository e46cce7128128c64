/** What processes do with locks and their like that their parent keeps. */

// Each of many processes loads no more than it needs
import { BoundedSemaphore } from "../../workers/locks/semaphore.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { Pipe } from "../../workers/queue/pipe.ts";
import { Process } from "../../workers/threads/process.ts";
import { loopForEver } from "../support/endless.ts";
import type {
  PipeConnection,
  Semaphore,
  SharedQueue,
  ThreadEvent,
} from "../../mod.ts";

export async function visit(
  lock: Lock,
  log: SharedQueue<string>,
  times: number,
) {
  for (let i = 0; i < times; i++) {
    using _held = await lock.hold();
    await log.put("in");
    await log.put("out");
  }
}

/** Gives back what it was given, so that the parent finds its own. */
export function giveBack<T>(value: T): T {
  return value;
}

/** Returns what ends with its process. */
export function ownOf(kind: "Lock" | "Pipe"): unknown {
  return { own: kind === "Lock" ? new Lock() : Pipe()[0] };
}

export function isInstance(lock: Lock, semaphore: BoundedSemaphore): boolean {
  return lock instanceof Lock && semaphore instanceof BoundedSemaphore;
}

export async function holdForEver(
  { lock, semaphore, told }: {
    lock: Lock;
    semaphore: Semaphore;
    told: ThreadEvent;
  },
) {
  await lock.acquire();
  await semaphore.acquire();
  await semaphore.acquire();
  told.set();
  setInterval(() => {}, 1_000);
  await new Promise(() => {});
}

export async function releaseAndStay(
  lock: Lock,
  semaphore: Semaphore,
  told: ThreadEvent,
) {
  {
    using _lock = await lock.hold();
    using _permit = await semaphore.hold();
  }
  told.set();
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

/** Tells, and does not return to its event loop. */
export async function tellAndEnd(
  how: "exit" | "kill" | "busy",
  event: ThreadEvent,
  queue: SharedQueue<number>,
  lock: Lock,
) {
  await lock.acquire();
  await queue.get();
  for (let i = 0; i < 20; i++) event.set();
  queue.taskDone();
  queue.close();
  lock.release();
  if (how === "exit") Deno.exit(0);
  if (how === "kill") Deno.kill(Deno.pid, "SIGKILL");
  loopForEver();
}

/** Has as many calls under way as may be, and releases some times. */
export async function releaseAtLimit(
  lock: Lock,
  count: number,
  times: number,
) {
  await lock.acquire();
  const waits = Array.from({ length: count }, () => lock.acquire());
  let taken = 0;
  lock.release();
  for (const wait of waits.slice(0, times)) {
    await wait;
    taken++;
    lock.release();
  }
  return taken;
}

/** Has a process of its own hold the lock and wait for an item. */
export async function holdBelow(
  lock: Lock,
  queue: SharedQueue<number>,
  told: ThreadEvent,
  killed: ThreadEvent,
) {
  const process = new Process({
    target: holdAndWait,
    args: [lock, queue, told],
    module: import.meta.url,
  });
  process.start();
  process.result.catch(() => {});
  await killed.wait();
  process.kill();
  await process.join();
}

/** Takes the lock and an item, which it never looks at. */
export async function holdAndWait(
  lock: Lock,
  queue: SharedQueue<number>,
  told: ThreadEvent,
) {
  await lock.acquire();
  void queue.get();
  told.set();
  loopForEver();
}

/** Has a process of its own hold the lock, and never return to its loop. */
export async function loopBelow(
  lock: Lock,
  pids: SharedQueue<number>,
  told: ThreadEvent,
) {
  const process = new Process({
    target: acquireAndLoop,
    args: [lock, told],
    module: import.meta.url,
  });
  process.start();
  process.result.catch(() => {});
  await pids.put(process.pid!);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

/** In a thread: starts a process that holds the lock. */
export async function startHolder(lock: Lock, told: ThreadEvent) {
  const process = new Process({
    target: acquireAndLoop,
    args: [lock, told],
    module: import.meta.url,
  });
  process.start();
  process.result.catch(() => {});
  await new Promise(() => {});
}

/** In a thread: starts a process at the end of a pipe. */
export async function startSender(pipe: PipeConnection<number, number>) {
  const process = new Process({
    target: sendAndStay,
    args: [pipe],
    module: import.meta.url,
  });
  process.start();
  process.result.catch(() => {});
  await new Promise(() => {});
}

export async function sendAndStay(pipe: PipeConnection<number, number>) {
  await pipe.send(42);
  await pipe.recv();
}

/** Never returns to its event loop. */
export async function acquireAndLoop(lock: Lock, told: ThreadEvent) {
  await lock.acquire();
  told.set();
  for (;;);
}

export async function acquireAndReturn(lock: Lock, semaphore: Semaphore) {
  await lock.acquire();
  await semaphore.acquire();
}

export async function acquireAndStay(lock: Lock, told: ThreadEvent) {
  await lock.acquire();
  told.set();
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

/** Sends one value, and ends. */
export async function sendOnce(
  pipe: PipeConnection<number, number>,
  code: number | null,
) {
  await pipe.send(42);
  if (code !== null) Deno.exit(code);
}

/** Asks for many items, and never reads an answer. */
export async function askForMuch(queue: SharedQueue<number>, count: number) {
  for (let i = 0; i < count; i++) void queue.get().catch(() => {});
  // The calls are on their way after a turn
  await new Promise((resolve) => setTimeout(resolve));
  loopForEver();
}

/**
 * In a thread: starts processes that ask for an item each, and never read it;
 * tells who they are.
 */
export async function startAsking(
  queue: SharedQueue<unknown>,
  count: number,
  pids: SharedQueue<number>,
) {
  for (let i = 0; i < count; i++) {
    const process = new Process({
      target: askForMuch,
      args: [queue as SharedQueue<number>, 1],
      module: import.meta.url,
    });
    process.start();
    process.result.catch(() => {});
    await pids.put(process.pid!);
  }
  await new Promise(() => {});
}

/** Gets a few items as fast as it can, then waits for the event. */
export async function getSome(
  queue: SharedQueue<number>,
  count: number,
  told: ThreadEvent,
  on: ThreadEvent,
): Promise<number[]> {
  const items = [];
  for (let i = 0; i < count; i++) items.push(await queue.get());
  told.set();
  await on.wait();
  return items;
}

/** Gets items as fast as it can. */
export async function getItems(
  queue: SharedQueue<number>,
  count: number,
): Promise<number[]> {
  const items = [];
  for (let i = 0; i < count; i++) items.push(await queue.get());
  return items;
}

/** Collects what nothing refers to any more. */
export async function collectGarbage() {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let turn = 0; turn < 20; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
    gc();
  }
}

/** Empties queues in several tasks; returns the items of each, in their order. */
export async function emptyInTasks(
  queues: SharedQueue<number>[],
  tasks: number,
): Promise<number[][]> {
  const taken = [];
  for (const queue of queues) {
    const taking = Array.from({ length: tasks }, () => Array.fromAsync(queue));
    taken.push(...await Promise.all(taking));
  }
  return taken;
}

/** Waits in the lock and the queue when it is killed. */
export async function waitForEver(
  lock: Lock,
  queue: SharedQueue<number>,
  told: ThreadEvent,
) {
  const waits = [lock.acquire(), queue.get()];
  told.set();
  await Promise.all(waits);
}

/** Fills a queue and empties it; tells what it gave, and what it refused. */
export async function useQueue(queue: SharedQueue<number>, items: number[]) {
  async function nameOf(act: () => Promise<unknown>): Promise<unknown> {
    return await act().catch((error) => error.name);
  }
  for (const item of items) await queue.put(item);
  const outcomes = [
    await queue.join({ timeout: 1 }),
    await nameOf(() => queue.put(0, { blocking: false })),
  ];
  const order = [];
  for (const _ of items) {
    order.push(await queue.get());
    queue.taskDone();
  }
  outcomes.push(
    await nameOf(() => queue.get({ timeout: 1 })),
    await queue.join(),
  );
  const sync = {
    size: () => queue.size,
    closed: () => queue.closed,
    empty: () => queue.empty(),
    full: () => queue.full(),
    putSync: () => queue.putSync(1),
    putNowait: () => queue.putNowait(1),
    getSync: () => queue.getSync(),
    getNowait: () => queue.getNowait(),
    joinSync: () => queue.joinSync(),
  };
  const refused = Object.entries(sync).map(([name, act]) => {
    try {
      return `${name}: ${act()}`;
    } catch (error) {
      return `${name}: ${/use "(.*)"/.exec((error as Error).message)?.[1]}`;
    }
  });
  return { order, outcomes, refused };
}

/** Puts items where there is room, which others make again. */
export async function produce(
  room: Semaphore,
  items: SharedQueue<number>,
  count: number,
) {
  for (let i = 0; i < count; i++) {
    await room.acquire();
    await items.put(i);
  }
}

export function releaseBadly(semaphore: Semaphore): string[] {
  return [0, -1, 1.5].map((count) => {
    try {
      semaphore.release(count);
      return "released";
    } catch (error) {
      return (error as Error).name;
    }
  });
}

/** Puts what can't be put; tells how each was refused. */
export async function putBadly(
  queue: SharedQueue<unknown>,
  lock: Lock,
): Promise<unknown[]> {
  const { port1, port2 } = new MessageChannel();
  const refusals = [];
  for (const value of [[lock], new SharedArrayBuffer(4), port1, Symbol("x")]) {
    const error = await queue.put(value).then(() => null, (error) => error);
    refusals.push(`${error?.name}: ${error?.message.split(":")[0]}`);
  }
  port1.close();
  port2.close();
  return refusals;
}

/** Puts many items at the same time. */
export async function putAtOnce(
  queue: SharedQueue<number>,
  count: number,
): Promise<[number, string[]]> {
  const puts = await Promise.allSettled(
    Array.from({ length: count }, (_, i) => queue.put(i)),
  );
  const refused = puts.filter((put) => put.status === "rejected");
  return [count - refused.length, refused.map(({ reason }) => reason.name)];
}

/** Puts bytes at the same time; tells how each was refused. */
export async function putBytesAtOnce(
  queue: SharedQueue<Uint8Array>,
  sizes: number[],
  told: ThreadEvent,
): Promise<string[]> {
  const puts = sizes.map((size) =>
    queue.put(new Uint8Array(size)).then(() => "put", (error) => error.name)
  );
  told.set();
  return await Promise.all(puts);
}

export async function doneTooOften(queue: SharedQueue<number>) {
  queue.taskDone();
  await queue.join();
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

export async function outcomes(
  lock: Lock,
  queue: SharedQueue<number>,
  event: ThreadEvent,
): Promise<unknown[]> {
  const aborted = new AbortController();
  const waiting = lock.acquire({ signal: aborted.signal });
  aborted.abort(new Error("given up"));
  const names = [];
  for (
    const act of [
      () => waiting,
      () => lock.hold({ timeout: 1 }),
      () => lock.acquire({ timeout: -1 }),
      () => lock.acquire(false as never),
      () => queue.get({ blocking: false }),
      () => Promise.resolve().then(() => lock.locked()),
    ]
  ) {
    const error = await act().then(() => null, (error) => error);
    names.push(error.name === "Error" ? error.message : error.name);
  }
  return [
    ...names,
    await lock.acquire({ blocking: false }),
    await event.wait({ timeout: 1 }),
  ];
}

export async function releaseTooOften(semaphore: Semaphore) {
  semaphore.release();
  await semaphore.acquire({ blocking: false });
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

export async function releaseTooMany(semaphore: Semaphore) {
  await semaphore.acquire();
  semaphore.release(5);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

export async function double(pipe: PipeConnection<number, number>) {
  for await (const n of pipe) await pipe.send(n * 2);
}

/** Passes the lock on to a process of its own. */
export async function passOn(lock: Lock, log: SharedQueue<string>) {
  const module = import.meta.url;
  const process = new Process({ target: visit, args: [lock, log, 2], module });
  process.start();
  await process.result;
  await process.join();
}

/** Calls what it was not given. */
export async function forge(queue: SharedQueue<unknown>) {
  const put = queue.put.bind(queue);
  Reflect.set(queue, "put", put);
  await put({
    "@socketserver/sync": "Lock",
    proof: "c0e8a1f2-5b0a-4c52-9f53-3f3c54c1f1a6",
    record: "no such name",
  });
}
