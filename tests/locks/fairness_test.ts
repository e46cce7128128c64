/** No loop over a primitive keeps the event loop from turning. */
import { assert, assertEquals } from "@std/assert";
import { checkpointDue } from "../../workers/locks/_checkpoint.ts";
import { Barrier } from "../../workers/locks/barrier.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock, RLock } from "../../workers/locks/lock.ts";
import { Semaphore } from "../../workers/locks/semaphore.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { WaitQueue } from "../../workers/locks/_wait_queue.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { step } from "./_jobs.ts";
import {
  eventually,
  recordOf,
  sharedWords,
  Threads,
  waiters,
} from "./_teams.ts";

const PRIMITIVES: Record<string, () => object> = {
  Lock: () => new Lock(),
  LockTry: () => new Lock(),
  LockHold: () => new Lock(),
  RLock: () => new RLock(),
  Semaphore: () => new Semaphore(1),
  Condition: () => new Condition(),
  ConditionWaitFor: () => new Condition(),
  ThreadEvent: () => new ThreadEvent(),
  Barrier: () => new Barrier(1),
  SharedQueue: () => new SharedQueue(),
  SharedQueueTry: () => new SharedQueue(),
};

/** Ends a loop that starves what it waits for; without it, the test hangs. */
const PATIENCE = 10_000;

async function loopUntil(
  steps: () => Promise<unknown>,
  over: () => boolean,
): Promise<boolean> {
  const end = performance.now() + PATIENCE;
  while (!over() && performance.now() < end) await steps();
  return over();
}

/** Works without letting the event loop turn. */
function work(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

for (const [name, make] of Object.entries(PRIMITIVES)) {
  Deno.test(`${name} in a loop lets timers fire`, async () => {
    const primitive = make();
    for (let time = 0; time < 3; time++) {
      let fired = false;
      const timer = setTimeout(() => {
        fired = true;
      }, 1);
      const ended = await loopUntil(
        () => step(false, name, primitive),
        () => fired,
      );
      clearTimeout(timer);
      assert(ended);
    }
  });

  Deno.test(`${name} in a loop lets a client be served`, async () => {
    const primitive = make();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    let served = false;
    async function serve(): Promise<void> {
      using conn = await listener.accept();
      const buffer = new Uint8Array(1);
      await conn.read(buffer);
      await conn.write(buffer);
    }
    async function ask(): Promise<number | null> {
      using conn = await Deno.connect({ port });
      await conn.write(new Uint8Array(1));
      const answer = await conn.read(new Uint8Array(1));
      served = true;
      return answer;
    }
    const all = Promise.all([serve(), ask()]);
    assert(
      await loopUntil(() => step(false, name, primitive), () => served),
    );
    assertEquals((await all)[1], 1);
  });

  Deno.test(`${name} in a loop can be terminated, and keeps nothing`, async () => {
    const primitive = make();
    const turns = sharedWords(1);
    using team = new Threads(1, false);
    team.run(0, "loop", name, primitive, turns);
    await eventually(() => Atomics.load(turns, 0) > 1_000);
    await team.terminate(0);
    // The next step would wait for ever if the thread had kept something.
    await loopUntil(() => step(false, name, primitive), () => true);
    await step(false, name, primitive);
  });
}

const aborted = { signal: AbortSignal.abort() };

const FAILURES: Record<string, () => () => Promise<unknown>> = {
  "Lock.acquire() that is aborted": () => {
    const lock = new Lock();
    return () => lock.acquire(aborted);
  },
  "RLock.acquire() that is aborted": () => {
    const lock = new RLock();
    lock.acquireSync();
    return () => lock.acquire(aborted);
  },
  "ThreadEvent.wait() that is aborted": () => {
    const event = new ThreadEvent();
    return () => event.wait(aborted);
  },
  "Condition.wait() that is aborted": () => {
    const condition = new Condition();
    condition.acquireSync();
    return () => condition.wait(aborted);
  },
  "Barrier.wait() that is broken": () => {
    const barrier = new Barrier(2);
    barrier.abort();
    return () => barrier.wait();
  },
  "SharedQueue.put() that is refused": () => {
    const queue = new SharedQueue<number>();
    queue.close();
    return () => queue.put(1);
  },
  "SharedQueue.get() that is aborted": () => {
    const queue = new SharedQueue<number>();
    return () => queue.get(aborted);
  },
};

for (const [name, make] of Object.entries(FAILURES)) {
  Deno.test(`${name} in a loop lets timers fire`, async () => {
    const fail = make();
    let fired = false;
    const timer = setTimeout(() => {
      fired = true;
    }, 1);
    const ended = await loopUntil(
      () => fail().then(() => assert(false), () => {}),
      () => fired,
    );
    clearTimeout(timer);
    assert(ended);
  });
}

Deno.test("Loops over several primitives with work between let timers fire", async () => {
  const lock = new Lock();
  const queue = new SharedQueue<number>({ maxSize: 1 });
  let fired = 0;
  const timer = setInterval(() => fired++, 1);
  let over = false;
  async function run(steps: () => Promise<unknown>): Promise<void> {
    await loopUntil(steps, () => over || fired >= 5);
    over = true;
    queue.close();
  }
  await Promise.allSettled([
    run(async () => {
      using _held = await lock.hold();
      work(2);
      await Promise.resolve();
    }),
    run(async () => {
      using _held = await lock.hold();
      work(1);
    }),
    run(() => queue.put(1)),
    run(() => queue.get()),
  ]);
  clearInterval(timer);
  assert(fired >= 5, `${fired}`);
});

Deno.test("Lock: tasks that loop beside each other all get on", async () => {
  const lock = new Lock();
  const counts = [0, 0, 0, 0];
  const areOn = () => counts.every((count) => count > 10);
  async function task(me: number): Promise<void> {
    await loopUntil(async () => {
      using _held = await lock.hold();
      counts[me]!++;
      await Promise.resolve();
    }, areOn);
  }
  await Promise.all(counts.map((_, me) => task(me)));
  assert(areOn(), `${counts}`);
  assertEquals(waiters(lock), 0);
});

Deno.test("WaitQueue limits newcomers for one that is woken during another's turn", () => {
  const queue = new WaitQueue(0);
  const [first, second] = [queue.takeTicket(true), queue.takeTicket(true)];
  for (const ticket of [first, second]) queue.enrol(ticket);
  queue.wake(1);
  queue.wake(1);
  assert(queue.unreserve(first));
  assertEquals(queue.reserved, second);
  let newcomers = 0;
  while (newcomers < 100 && queue.mayOvertake()) newcomers++;
  assert(newcomers < 100);
  assert(queue.unreserve(second));
  assert(queue.mayOvertake());
});

Deno.test("Lock.acquire() that yields first is not taken for one of an ended thread", async () => {
  const lock = new Lock();
  await lock.acquire();
  while (!checkpointDue()) work(1);
  const acquired = lock.acquire();
  assertEquals(new WaitQueue(recordOf(lock)).wake(1), 1);
  lock.release();
  assert(await acquired);
});
