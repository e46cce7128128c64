/**
 * Kills processes at random, or those that started them, while they hold locks,
 * permits and items. Run it for a longer soak: `deno run -A --unstable-net tests/runners/_random_kills.ts 200`.
 */
// deno-lint-ignore-file no-console
import {
  BoundedSemaphore,
  Lock,
  Process,
  Semaphore,
  SharedQueue,
  Thread,
} from "../../mod.ts";

const module = import.meta.url;
const PERMITS = 3;

/** What all processes share. */
interface Arena {
  lock: Lock;
  bounded: BoundedSemaphore;
  semaphore: Semaphore;
  items: SharedQueue<number>;
  done: SharedQueue<number>;
  /** Who comes into the lock, and who goes, as a negative number. */
  log: SharedQueue<number>;
}

/** What starts what: the last one does the work. */
const WAYS = ["p", "pp", "p", "tp", "p", "tpp"] as const;

type Way = "" | "p" | (typeof WAYS)[number];
type Started = Process<void> | Thread<void>;

function start(arena: Arena, id: number, way: Way): Started {
  const options = {
    target: "work",
    args: [arena, id, way.slice(1)] as unknown as [],
    module,
  };
  const started = way.startsWith("t")
    ? new Thread<void>(options)
    : new Process<void>(options);
  started.start();
  started.result.catch(() => {});
  return started;
}

async function end(started: Started): Promise<void> {
  if (started instanceof Thread) return await started[Symbol.asyncDispose]();
  started.kill();
  await started.join();
}

/** Takes and gives back everything, again and again. */
export async function work(arena: Arena, id: number, way: Way): Promise<void> {
  if (way !== "") return void await start(arena, id, way).join();
  const { lock, bounded, semaphore, items, done, log } = arena;
  async function visit(): Promise<void> {
    using _held = await lock.hold();
    await log.put(id);
    await log.put(-id);
  }
  async function permits(): Promise<void> {
    await bounded.acquire();
    await semaphore.acquire();
    await Promise.resolve();
    semaphore.release();
    bounded.release();
  }
  async function consume(): Promise<void> {
    for await (const item of items) {
      await done.put(item);
      items.taskDone();
    }
  }
  async function repeat(act: () => Promise<void>): Promise<void> {
    while (!items.closed) await act();
  }
  Object.defineProperty(items, "closed", { value: false, writable: true });
  const repeating = [repeat(visit), repeat(permits), repeat(permits)];
  await consume();
  Object.assign(items, { closed: true });
  await Promise.all(repeating);
}

/** What was wrong at the end, and how much was done. */
export interface KillReport {
  faults: string[];
  visits: number;
  items: number;
}

/** Kills so many processes. */
export async function killAtRandom(kills: number): Promise<KillReport> {
  const arena: Arena = {
    lock: new Lock(),
    bounded: new BoundedSemaphore(PERMITS),
    semaphore: new Semaphore(0),
    items: new SharedQueue({ maxSize: 1_000, capacity: 20_000 }),
    done: new SharedQueue(),
    log: new SharedQueue(),
  };
  arena.semaphore.release(PERMITS);
  const faults: string[] = [];
  const killed = new Set<number>();
  const done = new Map<number, number>();
  let [visits, inside, put, lastId] = [0, 0, 0, 0];
  async function watchLog(): Promise<void> {
    for await (const id of arena.log) {
      if (id < 0) inside = inside === -id ? 0 : inside;
      else {
        if (inside !== 0 && !killed.has(inside)) {
          faults.push(`${id} came in while ${inside} was inside`);
        }
        inside = id;
        visits++;
      }
    }
  }
  async function watchDone(): Promise<void> {
    for await (const item of arena.done) {
      done.set(item, (done.get(item) ?? 0) + 1);
    }
  }
  async function produce(): Promise<void> {
    try {
      for (;;) await arena.items.put(++put);
    } catch {
      put--;
    }
  }
  const watching = [watchLog(), watchDone(), produce()];
  function launch(): [Started, number] {
    const id = ++lastId;
    return [start(arena, id, WAYS[id % WAYS.length]!), id];
  }
  const running = [launch(), launch(), launch()];
  for (let kill = 0; kill < kills; kill++) {
    const before = visits + done.size;
    const pause = 10 + Math.random() * 90;
    await new Promise((resolve) => setTimeout(resolve, pause));
    // They must get on, however many were killed
    for (let i = 0; visits + done.size === before; i++) {
      if (i > 3_000) {
        return { faults: [...faults, "all hang"], visits, items: put };
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const at = Math.floor(Math.random() * running.length);
    const [started, id] = running.splice(at, 1)[0]!;
    killed.add(id);
    await end(started);
    running.push(launch());
  }
  arena.items.close();
  await Promise.all(running.map(([started]) => started.join()));
  arena.done.close();
  arena.log.close();
  await Promise.all(watching);
  const lost = put - done.size;
  // One that it has, and one that the thread which started it has for it
  if (lost > 2 * kills) {
    faults.push(`${lost} items were lost by ${kills} kills`);
  }
  for (const [item, times] of done) {
    if (times > 1) faults.push(`item ${item} came ${times} times`);
  }
  if (arena.lock.locked()) faults.push("the lock is locked");
  const { bounded, semaphore, items } = arena;
  if (bounded.value !== PERMITS) {
    faults.push(`${bounded.value} bounded permits`);
  }
  if (semaphore.value !== PERMITS) faults.push(`${semaphore.value} permits`);
  if (items.size !== 0 || items.full()) faults.push(`${items.size} items`);
  return { faults, visits, items: put };
}

if (import.meta.main) {
  console.log(await killAtRandom(Number(Deno.args[0] ?? 200)));
}
