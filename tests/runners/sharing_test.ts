/** Locks and their like that a parent keeps for its processes. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  BoundedSemaphore,
  ForkingTCPServer,
  LifoQueue,
  Lock,
  Pipe,
  PriorityQueue,
  Process,
  ProcessPool,
  QueueClosedError,
  QueueFullError,
  RLock,
  Semaphore,
  SharedQueue,
  Thread,
  ThreadEvent,
  ThreadPool,
  Timer,
} from "../../mod.ts";
import { encode } from "../../workers/codec/codec.ts";
import { exportObject, pack, typeOf } from "../../workers/codec/share.ts";
import type { QueueCore } from "../../workers/queue/_queue_core.ts";
import { ShareHost } from "../../workers/queue/_shares.ts";
import { ProtocolError } from "../../workers/line/dialect.ts";
import "../support/leaks.ts";
import { killAtRandom } from "./_random_kills.ts";
import { runProgram } from "./_program.ts";
import { pause, until, within } from "../support/waiting.ts";
import * as targets from "./sharing_targets.ts";
import { Square } from "./targets.ts";
import { Visitor } from "./visitor_fixture.ts";

const module = new URL("./sharing_targets.ts", import.meta.url);

function start<A extends unknown[], T>(
  target: (...args: A) => T | Promise<T>,
  ...args: A
): Process<T> {
  const process = new Process<T>({
    target: target as () => T,
    args: args as unknown as [],
    module,
  });
  process.start();
  return process;
}

async function run<A extends unknown[], T>(
  target: (...args: A) => T | Promise<T>,
  ...args: A
): Promise<T> {
  const process = start(target, ...args);
  try {
    return await process.result;
  } finally {
    await process.join();
  }
}

Deno.test("A process can't return a lock or pipe that it made itself", async () => {
  await using pool = new ProcessPool({ module, workers: 1 });
  const said = "from a process that made it";
  for (const kind of ["Lock", "Pipe"] as const) {
    await assertRejects(() => run(targets.ownOf, kind), Error, said);
    await assertRejects(
      () => pool.submit(targets.ownOf, kind),
      Error,
      said,
    );
  }
});

Deno.test("Lock keeps processes and their parent apart", async () => {
  const [lock, log] = [new Lock(), new SharedQueue<string>()];
  const visits = [1, 2].map(() => run(targets.visit, lock, log, 20));
  await Promise.all([...visits, targets.visit(lock, log, 20)]);
  log.close();
  const seen = await Array.fromAsync(log);
  assertEquals(seen.length, 120);
  seen.forEach((what, i) => assertEquals(what, i % 2 ? "out" : "in"));
});

Deno.test("Process gives back the very objects it was given", async () => {
  const parts = { lock: new Lock(), queues: [new SharedQueue()] };
  const back = await run(targets.giveBack, parts);
  assertStrictEquals(back.lock, parts.lock);
  assertStrictEquals(back.queues[0], parts.queues[0]);
});

Deno.test("Process has instances of the same classes", async () => {
  const semaphore = new BoundedSemaphore(1);
  assert(await run(targets.isInstance, new Lock(), semaphore));
});

Deno.test("Process that is killed gives back what it held", async () => {
  const lock = new Lock();
  const semaphore = new Semaphore(2);
  const told = new ThreadEvent();
  const process = start(targets.holdForEver, { lock, semaphore, told });
  await told.wait();
  assertEquals([lock.locked(), semaphore.value], [true, 0]);
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals([lock.locked(), semaphore.value], [false, 2]);
});

Deno.test("Process that is killed may have lost what it held to somebody else", async () => {
  const lock = new Lock();
  const semaphore = new Semaphore(2);
  const told = new ThreadEvent();
  const process = start(targets.holdForEver, { lock, semaphore, told });
  await told.wait();
  lock.release();
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals([lock.locked(), semaphore.value], [false, 2]);
});

Deno.test("Process that is killed does not free what a new holder has", async () => {
  const [lock, semaphore, told] = [
    new Lock(),
    new Semaphore(2),
    new ThreadEvent(),
  ];
  const process = start(targets.holdForEver, { lock, semaphore, told });
  await told.wait();
  lock.release();
  semaphore.release(2);
  await Promise.all([lock.acquire(), semaphore.acquire(), semaphore.acquire()]);
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals([lock.locked(), semaphore.value], [true, 0]);
});

Deno.test("Process that is killed gives back its permits, whoever else had some and returned them", async () => {
  const semaphore = new Semaphore(6);
  await semaphore.acquire();
  const processes = [];
  for (let i = 0; i < 2; i++) {
    const told = new ThreadEvent();
    const lock = new Lock();
    processes.push(start(targets.holdForEver, { lock, semaphore, told }));
    await told.wait();
  }
  assertEquals(semaphore.value, 1);
  semaphore.release();
  for (const [i, process] of processes.entries()) {
    process.kill();
    await process.join();
    await assertRejects(() => process.result);
    assertEquals(semaphore.value, 4 + 2 * i);
  }
});

Deno.test("Process that is killed does not free what another process has since", async () => {
  const lock = new Lock();
  const [first, second] = [new ThreadEvent(), new ThreadEvent()];
  const dying = start(targets.acquireAndStay, lock, first);
  await first.wait();
  lock.release();
  const holding = start(targets.acquireAndStay, lock, second);
  await second.wait();
  dying.kill();
  await dying.join();
  await assertRejects(() => dying.result);
  assert(lock.locked());
  holding.kill();
  await holding.join();
  await assertRejects(() => holding.result);
  assert(!lock.locked());
});

Deno.test("Process that is killed gives back the permit of a semaphore that a release had opened", async () => {
  const semaphore = new Semaphore(0);
  const told = new ThreadEvent();
  const process = start(targets.holdForEver, {
    lock: new Lock(),
    semaphore,
    told,
  });
  semaphore.release(2);
  await told.wait();
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals(semaphore.value, 2);
});

for (const how of ["exit", "kill", "busy"] as const) {
  Deno.test(`set(), taskDone(), close() and release() are in effect when they return in a process (${how})`, async () => {
    const [event, lock] = [new ThreadEvent(), new Lock()];
    const queue = new SharedQueue<number>();
    await queue.put(1);
    const process = start(targets.tellAndEnd, how, event, queue, lock);
    await event.wait();
    assert(await queue.join());
    await until(() => queue.closed && !lock.locked(), "what it told");
    process.kill();
    await process.join();
    await process.result.catch(() => {});
  });
}

Deno.test("Lock.release() works in a process with as many calls under way as may be", async () => {
  const released = await run(targets.releaseAtLimit, new Lock(), 10_000, 500);
  assertEquals(released, 500);
});

Deno.test("Process below a process that is killed gives back its lock and its item, each once", async () => {
  for (const isReleased of [false, true]) {
    const lock = new Lock();
    const queue = new SharedQueue<number>();
    const [told, killed] = [new ThreadEvent(), new ThreadEvent()];
    const process = start(targets.holdBelow, lock, queue, told, killed);
    await told.wait();
    await queue.put(1);
    await until(() => queue.size === 0, "the item is taken");
    queue.close();
    if (isReleased) {
      lock.release();
      await lock.acquire();
    }
    killed.set();
    await process.result;
    await process.join();
    assertEquals(lock.locked(), isReleased);
    assertEquals(await Array.fromAsync(queue), [1]);
    queue.taskDone();
    assert(await queue.join({ timeout: 0 }));
  }
});

Deno.test("Process below a process that is killed has ended before its Lock is free", async () => {
  const [lock, told] = [new Lock(), new ThreadEvent()];
  const pids = new SharedQueue<number>();
  const process = start(targets.loopBelow, lock, pids, told);
  await told.wait();
  const pid = await pids.get();
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assert(!lock.locked());
  if (Deno.build.os === "linux") {
    assert(!await isBusy(pid));
  }
});

/** Whether a process uses the processor: more than its own end takes. */
async function isBusy(pid: number): Promise<boolean> {
  function ticks(): number {
    try {
      const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11]);
    } catch {
      return 0;
    }
  }
  const before = ticks();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return ticks() > before + 1;
}

Deno.test("Thread that ends while a process that it started has a Lock leaves the Lock free", async () => {
  const [lock, told] = [new Lock(), new ThreadEvent()];
  const thread = new Thread({
    target: targets.startHolder,
    args: [lock, told],
    module,
  });
  thread.start();
  const ended = assertRejects(() => thread.result);
  await told.wait();
  assert(lock.locked());
  const waiting = lock.acquire();
  await thread[Symbol.asyncDispose]();
  await ended;
  assert(await waiting);
  lock.release();
  assert(!lock.locked());
});

Deno.test("Process that released what it held gives nothing back when it is killed", async () => {
  const [lock, semaphore, told] = [
    new Lock(),
    new Semaphore(1),
    new ThreadEvent(),
  ];
  const process = start(targets.releaseAndStay, lock, semaphore, told);
  await told.wait();
  await Promise.all([lock.acquire(), semaphore.acquire()]);
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals([lock.locked(), semaphore.value], [true, 0]);
});

Deno.test("Process that ends well leaves to others what they are to release", async () => {
  const room = new Semaphore(2);
  const items = new SharedQueue<number>();
  const done = run(targets.produce, room, items, 5);
  for (let i = 0; i < 5; i++) {
    assertEquals(await items.get(), i);
    room.release();
  }
  await done;
  assertEquals(room.value, 2);
});

Deno.test("Process that returns while it has a Lock leaves the Lock free", async () => {
  const [lock, semaphore] = [new Lock(), new Semaphore(1)];
  await run(targets.acquireAndReturn, lock, semaphore);
  assertEquals([lock.locked(), semaphore.value], [false, 0]);
});

Deno.test("Process that is killed while it waits takes nothing any more", async () => {
  const lock = new Lock();
  const queue = new SharedQueue<number>();
  const told = new ThreadEvent();
  await lock.acquire();
  const process = start(targets.waitForEver, lock, queue, told);
  await told.wait();
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  lock.release();
  await queue.put(7);
  assert(!lock.locked());
  assertEquals(await queue.get({ blocking: false }), 7);
});

Deno.test("SharedQueue.join() counts an item once that a killed process never got", async () => {
  const queue = new SharedQueue<number>();
  const told = new ThreadEvent();
  const process = start(targets.waitForEver, new Lock(), queue, told);
  await told.wait();
  Deno.kill(process.pid!, "SIGSTOP");
  await queue.put(7);
  while (queue.size > 0) await new Promise((resolve) => setTimeout(resolve));
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals(await queue.get(), 7);
  queue.taskDone();
  assert(await queue.join({ timeout: 0 }));
});

Deno.test("SharedQueue.close() loses no item that a killed process never got", async () => {
  const queue = new SharedQueue<number>();
  const answered = Promise.withResolvers<unknown>();
  const host = new ShareHost(answered.resolve);
  const id = exportObject(queue);
  await queue.put(7);
  host.receive(["call", 1, id, "get", encode([]), {}]);
  assertEquals(await answered.promise, [1, encode(7)]);
  queue.close();
  host.end(false);
  assertEquals(await Array.fromAsync(queue), [7]);
  queue.taskDone();
  assert(await queue.join({ timeout: 0 }));
});

Deno.test("SharedQueue, LifoQueue and PriorityQueue keep their order, and count, in a process", async () => {
  const expected: [SharedQueue<number>, number[]][] = [
    [new SharedQueue({ maxSize: 3 }), [2, 3, 1]],
    [new LifoQueue({ maxSize: 3 }), [1, 3, 2]],
    [new PriorityQueue({ maxSize: 3 }), [1, 2, 3]],
  ];
  for (const [queue, order] of expected) {
    assertEquals(await run(targets.useQueue, queue, [2, 3, 1]), {
      order,
      outcomes: [false, "QueueFullError", "QueueEmptyError", true],
      refused: [
        "size: await get()",
        "closed: await get()",
        "empty: await get()",
        "full: await put()",
        "putSync: await put()",
        "putNowait: await put(value, { blocking: false })",
        "getSync: await get()",
        "getNowait: await get({ blocking: false })",
        "joinSync: await join()",
      ],
    });
    assert(await queue.join({ timeout: 0 }));
    await assertRejects(
      () => run(targets.doneTooOften, queue),
      Error,
      "Cannot mark an item as done",
    );
  }
});

Deno.test("Semaphore.release() refuses in a process what makes no sense", async () => {
  const semaphore = new Semaphore(1);
  const names = await run(targets.releaseBadly, semaphore);
  assertEquals(names, ["RangeError", "RangeError", "RangeError"]);
});

Deno.test("SharedQueue.put() refuses in a process what it refuses in a thread", async () => {
  const queue = new SharedQueue();
  assertEquals(await run(targets.putBadly, queue, new Lock()), [
    "TypeError: Cannot put a Lock in a queue",
    "TypeError: Cannot put a SharedArrayBuffer in a queue",
    "DataCloneError: Cannot put a MessagePort in a queue",
    "DataCloneError: Symbol(x) could not be cloned.",
  ]);
  assertEquals(queue.size, 0);
});

Deno.test("SharedQueue.put() refuses a process the call that is one too many", async () => {
  const queue = new SharedQueue<number>();
  const [done, refused] = await run(targets.putAtOnce, queue, 10_002);
  assertEquals([done, queue.size], [10_000, 10_000]);
  assertEquals(refused, ["RangeError", "RangeError"]);
});

Deno.test("SharedQueue.put() refuses a process the bytes that are too many at once", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 2 ** 27 });
  const sizes = [2 ** 25, 2 ** 24, 2 ** 25, 9];
  const told = new ThreadEvent();
  assertEquals(await run(targets.putBytesAtOnce, queue, sizes, told), [
    "put",
    "put",
    "RangeError",
    "put",
  ]);
  // A larger item goes alone, and leaves room for what is small
  const large = [2 ** 26 + 1, 9, 9_999];
  assertEquals(await run(targets.putBytesAtOnce, queue, large, told), [
    "put",
    "put",
    "RangeError",
  ]);
  assert(told.isSet());
});

Deno.test("ShareHost refuses a child more bytes or calls at once than it may send", async () => {
  const queue = new SharedQueue<Uint8Array>({ maxSize: 1 });
  await queue.put(new Uint8Array());
  const id = exportObject(queue);
  for (const [count, size] of [[2, 2 ** 25 + 2 ** 20], [10_000, 1]] as const) {
    const host = new ShareHost(() => {});
    const args = encode([new Uint8Array(size)]);
    for (let n = 1; n < count; n++) {
      host.receive(["call", n, id, "put", args, {}]);
    }
    if (size === 1) host.receive(["call", count, id, "put", args, {}]);
    assertThrows(
      () => host.receive(["call", count + 1, id, "put", args, {}]),
      ProtocolError,
      "too many",
    );
    host.end(false);
  }
});

Deno.test("ShareHost lets a child not say that it holds more than it took", async () => {
  const semaphore = new Semaphore(3);
  const sent: unknown[][] = [];
  const host = new ShareHost((message) => void sent.push(message as unknown[]));
  const id = exportObject(semaphore);
  await semaphore.acquire();
  host.receive(["call", 1, id, "acquire", encode([]), {}]);
  for (const count of [-1, NaN, 0.5, "1", null]) {
    host.receive(["tell", 0, id, "release", encode([count])]);
  }
  await semaphore.acquire();
  await until(() => sent.some(([number]) => number === 1), "the answer");
  host.receive(["took", 1, 1]);
  host.end(false);
  assertEquals(semaphore.value, 1);
});

Deno.test("Process that is killed gives back what it held after a release that failed", async () => {
  const semaphore = new BoundedSemaphore(2);
  await assertRejects(
    () => run(targets.releaseTooMany, semaphore),
    Error,
    "Cannot release the semaphore by 5",
  );
  assertEquals(semaphore.value, 2);
});

Deno.test("ShareHost refuses that a child takes an answer before there is one", async () => {
  const queue = new SharedQueue<string>();
  const host = new ShareHost(() => {});
  host.receive(["call", 1, exportObject(queue), "get", encode([]), {}]);
  // Waits that end so would count towards no limit, and would go on for ever
  assertThrows(
    () => host.receive(["took", 1, 1]),
    ProtocolError,
    "no answer yet",
  );
  host.end(false);
  await queue.put("for another");
  assertEquals(await queue.get({ timeout: 1_000 }), "for another");
});

Deno.test("ShareHost puts an item back once if who asked for it ends at that moment", async () => {
  const queue = new SharedQueue<string>();
  await queue.put("the only one");
  const host = new ShareHost(() => {});
  host.receive(["call", 1, exportObject(queue), "get", encode([]), {}, 1]);
  host.receive(["end", 1, false]);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(queue.size, 1);
  host.end(false);
});

Deno.test("ShareHost takes a permit back if who asked for it returns at that moment", async () => {
  const semaphore = new Semaphore(1);
  const host = new ShareHost(() => {});
  host.receive([
    "call",
    1,
    exportObject(semaphore),
    "acquire",
    encode([]),
    {},
    1,
  ]);
  host.receive(["end", 1, true]);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(semaphore.value, 1);
  host.end(false);
});

Deno.test("ShareHost lets others get items while one has asked for more than it takes", async () => {
  const queue = new SharedQueue<number>();
  for (let item = 0; item < 100; item++) await queue.put(item);
  const id = exportObject(queue);
  const answered: unknown[] = [];
  const host = new ShareHost(([number]) => answered.push(number));
  const get = (number: number, account: number) =>
    host.receive(["call", number, id, "get", encode([]), {}, account]);
  for (let number = 1; number <= 80; number++) get(number, 1);
  await until(() => answered.length === 32, "as many as may be on their way");
  get(81, 2);
  await until(() => answered.includes(81), "the other's item");
  assertEquals(answered.length, 33);
  host.receive(["took", 1, 1]);
  await until(() => answered.length === 34, "one more");
  host.end(false);
  assertEquals(queue.size, 99);
});

Deno.test("ShareHost answers a get although what held it up is acknowledged at that moment", async () => {
  for (const [gets, most] of [[1, 4], [32, 0]] as const) {
    const queue = new SharedQueue<number>();
    for (let item = 0; item < 100; item++) queue.putNowait(item);
    const id = exportObject(queue);
    const answered: unknown[] = [];
    const host = new ShareHost(([number]) => answered.push(number));
    const get = (number: number, most: number) =>
      host.receive(["call", number, id, "get", encode([]), {}, 0, most]);
    for (let number = 1; number <= gets; number++) get(number, most);
    await until(() => answered.length === gets, "the first answers");
    get(gets + 1, 0);
    for (let number = 1; number <= gets; number++) {
      host.receive(["took", number, 1 + most]);
    }
    await until(() => answered.includes(gets + 1), "the last answer");
    host.end(true);
  }
});

Deno.test("ShareHost answers the gets that it has held up although those before them end without an item", async () => {
  for (const way of ["time out", "are cancelled"]) {
    const queue = new SharedQueue<number>();
    for (let item = 0; item < 32; item++) queue.putNowait(item);
    const { getters } = typeOf(queue)!.inner!(queue) as QueueCore;
    const id = exportObject(queue);
    const answered: unknown[] = [];
    const host = new ShareHost(([number]) => answered.push(number));
    const get = (number: number, options: object) =>
      host.receive(["call", number, id, "get", encode([]), options]);
    for (let number = 1; number <= 32; number++) get(number, {});
    await until(() => answered.length === 32, "all items");
    const options = way === "time out" ? { timeout: 50 } : {};
    for (let number = 33; number <= 99; number++) get(number, options);
    get(100, {});
    await pause(0);
    await until(() => getters.size === 0, "those that are held up");
    for (let number = 1; number <= 32; number++) {
      host.receive(["took", number, 1]);
    }
    if (way === "are cancelled") {
      for (let number = 33; number <= 99; number++) {
        host.receive(["cancel", number]);
      }
    }
    await until(() => answered.length === 99, `those that ${way}`);
    queue.putNowait(32);
    await until(() => answered.includes(100), "the last item");
    host.end(true);
  }
});

Deno.test("ShareHost puts back in order what two gets got and what was sent ahead with the first", async () => {
  const queue = new SharedQueue<number>();
  for (let item = 0; item < 8; item++) queue.putNowait(item);
  const id = exportObject(queue);
  const answered: unknown[] = [];
  const host = new ShareHost(([number]) => answered.push(number));
  await pause(0);
  for (const [number, most] of [[1, 4], [2, 0]]) {
    host.receive(["call", number, id, "get", encode([]), {}, 0, most]);
  }
  await until(() => answered.length === 2, "both answers");
  host.end(false);
  const items = Array.from({ length: 8 }, () => queue.getNowait());
  assertEquals(items, [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("ShareHost refuses a call that waits and wants no answer", async () => {
  const queue = new SharedQueue<number>({ maxSize: 1 });
  await queue.put(1);
  const id = exportObject(queue);
  const host = new ShareHost(() => {});
  for (const [method, args] of [["put", [2]], ["get", []]]) {
    for (const kind of ["call", "tell"]) {
      assertThrows(
        () => host.receive([kind, -1, id, method, encode(args), null]),
        ProtocolError,
      );
    }
  }
  host.end(false);
  assertEquals(queue.size, 1);
});

Deno.test("an RLock that comes again after it was collected stays one object, and its owner's", async () => {
  const flags = ["-A", "--v8-flags=--expose-gc"];
  const { code, stdout, stderr } = await runProgram("collected.ts", flags);
  assertEquals([code, stdout, stderr], [0, "true true\n", ""]);
});

Deno.test("a queue does not keep the host of a process that has ended, to which it had lent items", async () => {
  const flags = ["-A", "--v8-flags=--expose-gc"];
  const { code, stdout, stderr } = await runProgram("host.ts", flags);
  assertEquals([code, stdout, stderr], [0, "collected\n", ""]);
});

Deno.test("RLock has one owner, a Lock is itself, and threads are told apart, where --seed gives all the same random numbers", async () => {
  const flags = ["-A", "--seed=1"];
  const { code, stdout, stderr } = await runProgram("seeded.ts", flags);
  assertEquals([code, stdout, stderr], [0, "false false false 2\n", ""]);
});

Deno.test("a program ends although the queue is full to which an item goes back", async () => {
  const { code, stdout, stderr } = await runProgram("put_back.ts", ["-A"]);
  assertEquals([code, stdout, stderr], [0, "ends\n", ""]);
});

Deno.test("Lock, SharedQueue and ThreadEvent answer a process as they do a thread", async () => {
  const lock = new Lock();
  using _held = await lock.hold();
  const queue = new SharedQueue<number>();
  assertEquals(
    await run(targets.outcomes, lock, queue, new ThreadEvent()),
    [
      "given up",
      "TimeoutError",
      "RangeError",
      "TypeError",
      "QueueEmptyError",
      "NotSupported",
      false,
      false,
    ],
  );
});

Deno.test("Semaphore.release() that fails is an uncaught error of the process", async () => {
  await assertRejects(
    () => run(targets.releaseTooOften, new BoundedSemaphore(1)),
    Error,
    "Cannot release the semaphore",
  );
});

Deno.test("Pipe carries values to a process and back", async () => {
  const [ours, theirs] = Pipe<number, number>();
  const done = run(targets.double, theirs);
  await ours.send(1);
  await ours.send(2);
  assertEquals([await ours.recv(), await ours.recv()], [2, 4]);
  ours.close();
  await done;
});

for (const code of [null, 3]) {
  Deno.test(`Pipe ends when the process at its other end does (${code})`, async () => {
    const [ours, theirs] = Pipe<number, number>();
    const process = start(targets.sendOnce, theirs, code);
    assertEquals(await ours.recv(), 42);
    await assertRejects(() => ours.recv(), QueueClosedError);
    await assertRejects(() => ours.send(1), QueueClosedError);
    await process.join();
    await process.result.catch(() => {});
  });
}

Deno.test("Pipe ends when the process at its other end dies before it has it", async () => {
  const failing = new URL("./failing_module.ts", import.meta.url);
  for (const from of [module, failing]) {
    const [ours, theirs] = Pipe<number, number>();
    const args: [unknown] = [{ deep: [theirs] }];
    const process = new Process({
      target: "giveBack",
      args,
      module: from,
    });
    process.start();
    const ended = assertRejects(() => process.result);
    if (from === module) process.kill();
    await process.join();
    await ended;
    await assertRejects(() => within("the end", ours.recv()), QueueClosedError);
  }
});

Deno.test("Pipe ends when the process at its other end ends with the thread that started it", async () => {
  const [ours, theirs] = Pipe<number, number>();
  const target = targets.startSender;
  const thread = new Thread({ target, args: [theirs], module });
  thread.start();
  const ended = assertRejects(() => thread.result);
  assertEquals(await ours.recv(), 42);
  const rest = assertRejects(() => ours.recv(), QueueClosedError);
  await thread[Symbol.asyncDispose]();
  await ended;
  await rest;
});

/** A process that has got some items, to which others were sent ahead. */
async function startGetting(queue: SharedQueue<number>, count: number) {
  const [told, on] = [new ThreadEvent(), new ThreadEvent()];
  const process = start(targets.getSome, queue, count, told, on);
  await told.wait();
  return { process, on };
}

Deno.test("SharedQueue sends items ahead to a process, which count until it takes them", async () => {
  const queue = new SharedQueue<number>({ maxSize: 1_000 });
  for (let i = 0; i < 1_000; i++) queue.putNowait(i);
  const { process, on } = await startGetting(queue, 600);
  await until(() => queue.size === 400, "what was taken");
  for (let i = 0; i < 600; i++) queue.putNowait(1_000 + i);
  assert(queue.full());
  // What is ahead comes back to the front as soon as somebody waits for it
  const rest = new Set<number>();
  while (rest.size < 1_000) rest.add(await queue.get());
  on.set();
  const taken = await process.result;
  await process.join();
  assertEquals(taken, Array.from({ length: 600 }, (_, i) => i));
  for (const item of taken) assert(!rest.has(item));
});

Deno.test("SharedQueue gets back in order what a killed process was sent ahead", async () => {
  for (const Queue of [SharedQueue<number>, PriorityQueue<number>]) {
    const queue = new Queue();
    for (let i = 0; i < 1_000; i++) queue.putNowait(i);
    const { process } = await startGetting(queue, 600);
    process.kill();
    await process.join();
    await assertRejects(() => process.result);
    const rest = Array.from({ length: 400 }, (_, i) => 600 + i);
    assertEquals(rest.map(() => queue.getNowait()), rest);
    assert(queue.empty());
    for (let i = 0; i < 1_000; i++) queue.taskDone();
    assert(await queue.join({ timeout: 0 }));
  }
});

Deno.test("SharedQueue keeps the order for each task of a process, of which one waits when items were sent ahead", async () => {
  const queues = Array.from({ length: 20 }, () => new SharedQueue<number>());
  const count = 2_000;
  for (const queue of queues) {
    for (let i = 0; i < count; i++) queue.putNowait(i);
  }
  const emptying = run(targets.emptyInTasks, queues, 3);
  for (const queue of queues) {
    for (let i = 0; i < 500; i++) await queue.put(count + i);
    queue.close();
  }
  const taken = await within("the items", emptying);
  assertEquals(taken.flat().length, 20 * (count + 500));
  for (const items of taken) {
    const late = items.filter((item, i) => i > 0 && item < items[i - 1]!);
    assertEquals(late, []);
  }
});

Deno.test("SharedQueue that was collected in a process and comes again goes on with what it was sent ahead", async () => {
  const queue = new SharedQueue<number>();
  for (let i = 0; i < 1_000; i++) queue.putNowait(i);
  const core = typeOf(queue)!.inner!(queue) as QueueCore;
  const pool = new ProcessPool({ module, workers: 1 });
  let next = 0;
  async function get(count: number): Promise<void> {
    const getting = pool.submit(targets.getItems, queue, count);
    const expected = Array.from({ length: count }, () => next++);
    assertEquals(await within("items", getting), expected);
  }
  try {
    // Until some are ahead
    for (let count = 200; core.ahead === 0; count = 1) await get(count);
    await pool.submit(targets.collectGarbage);
    await get(300);
  } finally {
    await pool.terminate();
  }
});

Deno.test("SharedQueue sends no item ahead while others wait", async () => {
  const queue = new SharedQueue<number>();
  const { process, on } = await startGetting(queue, 0);
  const count = 2_000;
  const [others, gets] = [[] as number[], [] as Promise<unknown>[]];
  const taking = start(targets.getSome, queue, count, new ThreadEvent(), on);
  for (let i = 0; i < count; i++) {
    gets.push(queue.get().then((item) => others.push(item)));
  }
  for (let i = 0; i < 2 * count; i++) queue.putNowait(i);
  await Promise.all(gets);
  on.set();
  const taken = await taking.result;
  await Promise.all([process.join(), taking.join(), process.result]);
  assertEquals(new Set([...others, ...taken]).size, 2 * count);
});

/** A thread with processes that have asked for an item each. */
async function startLending(queue: SharedQueue<Uint8Array>, count: number) {
  const pids = new SharedQueue<number>();
  const { getters } = typeOf(queue)!.inner!(queue) as QueueCore;
  const before = getters.size;
  const thread = new Thread({
    target: targets.startAsking,
    args: [queue, count, pids],
    module,
  });
  thread.start();
  const ended = assertRejects(() => thread.result);
  await until(() => getters.size === before + count, "its calls");
  async function end(): Promise<void> {
    await thread[Symbol.asyncDispose]();
    await ended;
  }
  return { pids: Array.from({ length: count }, () => pids.getNowait()), end };
}

Deno.test("SharedQueue has room again when the thread ends that had lent an item to a process", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 1_000 });
  const { end } = await startLending(queue, 1);
  const item = new Uint8Array(900);
  await queue.put(item);
  await until(() => queue.empty(), "the item is lent");
  assertThrows(() => queue.putNowait(item), QueueFullError);
  const waiting = queue.put(item);
  await end();
  await within("room", waiting);
  assertEquals(queue.getNowait(), item);
});

Deno.test("SharedQueue keeps room for exactly what is still lent, whoever dies", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 600 });
  // With its length and its kind it takes 100
  const item = new Uint8Array(91);
  function room(): number {
    let count = 0;
    for (; !queue.full(); count++) queue.putNowait(item);
    for (let taken = 0; taken < count; taken++) queue.getNowait();
    return count;
  }
  const two = await startLending(queue, 2);
  const one = await startLending(queue, 1);
  const { getters } = typeOf(queue)!.inner!(queue) as QueueCore;
  const process = start(targets.askForMuch, queue as SharedQueue<never>, 1);
  await until(() => getters.size === 4, "all calls");
  for (let count = 0; count < 4; count++) queue.putNowait(item);
  await until(() => queue.empty(), "all items are lent");
  assertEquals(room(), 2);
  // A process of a thread dies: what it had comes back
  Deno.kill(two.pids[0]!, "SIGKILL");
  assertEquals(await within("its item", queue.get()), item);
  assertEquals(room(), 3);
  // A thread dies: what its processes had is lost
  await two.end();
  assertEquals(room(), 4);
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals(queue.getNowait(), item);
  assertEquals(room(), 5);
  await one.end();
  assertEquals(room(), 6);
});

Deno.test("SharedQueue limits what a process that reads no answer is sent", async () => {
  const queue = new SharedQueue<number>({ maxSize: 4 });
  const process = start(targets.askForMuch, queue, 1_000);
  const { getters } = typeOf(queue)!.inner!(queue) as QueueCore;
  await until(() => getters.size === 1_000, "its calls");
  let count = 0;
  await assertRejects(async () => {
    for (;; count++) await queue.put(1, { timeout: 500 });
  }, QueueFullError);
  assertEquals(count, 32 + 4);
  process.kill();
  await process.join();
  await assertRejects(() => process.result);
  assertEquals(queue.size, 32 + 4);
});

Deno.test("Process passes a Lock of its parent on to a process of its own", async () => {
  const [lock, log] = [new Lock(), new SharedQueue<string>()];
  await run(targets.passOn, lock, log);
  assertEquals(log.size, 4);
});

Deno.test("SharedQueue takes data that looks like a stand-in as data", async () => {
  const queue = new SharedQueue<Record<string, unknown>>();
  await run(targets.forge, queue as SharedQueue<unknown>);
  assertEquals((await queue.get()).record, "no such name");
});

Deno.test("Process takes a client's data that looks like a stand-in as data, beside a real one", async () => {
  const queue = new SharedQueue<number>();
  const forged = JSON.parse(
    '{ "@socketserver/sync": "SharedQueue", "record": "no such name", ' +
      '"proof": "c0e8a1f2-5b0a-4c52-9f53-3f3c54c1f1a6" }',
  );
  const given = await run(targets.giveBack, { queue, forged });
  assertStrictEquals(given.queue, queue);
  assertEquals(given.forged, forged);
});

Deno.test("ShareHost passes on the values of a method, and a wait's options that are a child's", async () => {
  const [lock, queue] = [new Lock(), new SharedQueue<unknown>()];
  await lock.acquire();
  const answers: unknown[] = [];
  const host = new ShareHost((answer) => answers.push(answer));
  const call = (n: number, method: string, args: unknown[], object: object) =>
    host.receive(["call", n, exportObject(object), method, encode(args), {
      signal: "none",
      extra: 1,
    }]);
  // In front of the host's signal it would keep the wait from being cancelled
  call(1, "acquire", [{}], lock);
  call(2, "put", [1, {}], queue);
  call(3, "put", [], queue);
  host.receive(["cancel", 1]);
  await until(() => answers.length === 3, "the answers");
  host.end(false);
  lock.release();
  assertEquals(await lock.acquire({ blocking: false }), true);
  assertEquals([await queue.get(), await queue.get()], [1, undefined]);
});

Deno.test("ShareHost refuses a message of any length without a walk through it", () => {
  const host = new ShareHost(() => {});
  const id = exportObject(new Lock());
  for (
    const message of [
      new Array(2 ** 32 - 1),
      Object.assign(new Array(2 ** 32 - 1), ["call", 1, id, "acquire", null]),
    ]
  ) assertThrows(() => host.receive(message), ProtocolError);
});

Deno.test("Process refuses what only threads can share", () => {
  for (const value of [new RLock(), new SharedArrayBuffer(4)]) {
    const args: [unknown] = [value];
    const process = new Process({ target: targets.giveBack, args, module });
    assertThrows(() => process.start(), TypeError, "only threads");
  }
});

Deno.test("ProcessPool's tasks share a SharedQueue with their parent", async () => {
  await using pool = new ProcessPool({ module, workers: 2 });
  const [lock, log] = [new Lock(), new SharedQueue<string>()];
  await Promise.all([1, 2].map(() => pool.submit(targets.visit, lock, log, 5)));
  assertEquals(log.size, 20);
  assertStrictEquals(await pool.submit(targets.giveBack, lock), lock);
});

Deno.test("ForkingTCPServer's context shares a Lock and a SharedQueue", async () => {
  const log = new SharedQueue<string>();
  const context = { lock: new Lock(), log };
  await using server = new ForkingTCPServer({ port: 0 }, Visitor, {
    workers: 2,
    context,
  });
  server.serveForever();
  const replies = Array.from({ length: 6 }, async () => {
    using conn = await Deno.connect(server.serverAddress);
    return await new Response(conn.readable).text();
  });
  assertEquals(await Promise.all(replies), new Array(6).fill("visited\n"));
  log.close();
  const seen = await Array.fromAsync(log);
  assertEquals(seen, new Array(6).fill(["in", "out"]).flat());
});

Deno.test("what belongs to its thread is refused by name, and is not passed as {}", () => {
  const module = new URL("./targets.ts", import.meta.url);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const socket = Deno.listenDatagram({
    hostname: "127.0.0.1",
    port: 0,
    transport: "udp",
  });
  const { signal } = new AbortController();
  const bound: Record<string, object> = {
    ThreadPool: new ThreadPool({ module }),
    ProcessPool: new ProcessPool({ module }),
    Thread: new Thread({ target: "add", module }),
    Square: new Square(2),
    Timer: new Timer(1, () => {}),
    Listener: listener,
    DatagramConn: socket,
    AbortSignal: signal,
  };
  class Plain {
    value = 1;
  }
  try {
    for (const Class of [Thread, Process]) {
      const where = Class === Thread ? "to a thread" : "to a process";
      for (const [name, value] of Object.entries(bound)) {
        for (const args of [[value], [{ deep: [new Map([[1, value]])] }]]) {
          const starting = new Class({ target: "add", args, module });
          const error = assertThrows(() => starting.start(), Error, where);
          assertMatch(error.message, new RegExp(`an? ${name} ${where}`));
        }
      }
    }
    assertEquals(pack([new Plain()]), [new Plain()]);
  } finally {
    listener.close();
    socket.close();
  }
});

Deno.test("Processes that are killed at random give back what they hold, each once", async () => {
  const { faults } = await killAtRandom(6);
  assertEquals(faults, []);
});
