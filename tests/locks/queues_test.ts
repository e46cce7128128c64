/** What all queues have in common, and what two of them do otherwise. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  LifoQueue,
  PriorityQueue,
  SharedQueue,
} from "../../workers/queue/shared_queue.ts";
import {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
} from "../../workers/base/errors.ts";
import { typeOf } from "../../workers/codec/share.ts";
import type {
  QueueCore,
  SharedQueueOptions,
} from "../../workers/queue/_queue_core.ts";
import { eventually, testTeams, waiters } from "./_teams.ts";

type Item = [number, Uint8Array];
type Queue = SharedQueue<Item> | LifoQueue<Item> | PriorityQueue<Item>;

/** How each kind orders what was put: the index of what comes next. */
const KINDS: Record<
  string,
  { make(options?: SharedQueueOptions): Queue; next(items: Item[]): number }
> = {
  SharedQueue: {
    make: (options) => new SharedQueue<Item>(options),
    next: () => 0,
  },
  LifoQueue: {
    make: (options) => new LifoQueue<Item>(options),
    next: (items) => items.length - 1,
  },
  PriorityQueue: {
    make: (options) => new PriorityQueue<Item>(options),
    next: (items) =>
      items.reduce((at, item, i) => item[0] < items[at]![0] ? i : at, 0),
  },
};

function item(priority: number, size = 0): Item {
  return [priority, new Uint8Array(size).fill(size)];
}

/** Numbers that a seed repeats. */
function randomOf(seed: number): (below: number) => number {
  return (below) => {
    seed = Math.imul(seed ^ seed >>> 15, seed | 1);
    seed ^= seed + Math.imul(seed ^ seed >>> 7, seed | 61);
    return ((seed ^ seed >>> 14) >>> 0) % below;
  };
}

for (const [name, { make, next }] of Object.entries(KINDS)) {
  Deno.test(`${name} gives what a plain array would, whatever is put`, () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomOf(seed * 7_919);
      const queue = make({ capacity: 2_000 });
      const model: Item[] = [];
      for (let step = 0; step < 500; step++) {
        if (random(5) < 3) {
          const added = item(random(10), random(300));
          try {
            queue.putNowait(added);
            model.push(added);
          } catch (error) {
            assert(error instanceof QueueFullError, `${seed}: ${error}`);
            assert(model.length > 0);
          }
        } else if (model.length === 0) {
          assertThrows(() => queue.getNowait(), QueueEmptyError);
        } else {
          const expected = model.splice(next(model), 1)[0]!;
          assertEquals(queue.getNowait(), expected, `seed ${seed}`);
        }
        assertEquals(queue.size, model.length);
        assertEquals(queue.empty(), model.length === 0);
      }
    }
  });

  Deno.test(`${name}.full() tells of items and of bytes`, () => {
    const few = make({ maxSize: 2 });
    assertFalse(few.full());
    few.putNowait(item(1));
    assertFalse(few.full());
    few.putNowait(item(2));
    assert(few.full());
    assertThrows(() => few.putNowait(item(3)), QueueFullError);
    few.getNowait();
    assertFalse(few.full());
  });

  Deno.test(`${name}.join() waits for the last taskDone()`, async () => {
    const queue = make();
    assert(await queue.join());
    assert(queue.joinSync());
    queue.putNowait(item(1));
    queue.putNowait(item(2));
    assertFalse(await queue.join({ timeout: 5 }));
    assertFalse(queue.joinSync({ timeout: 5 }));
    const joined = Promise.all([queue.join(), queue.join()]);
    queue.getNowait();
    queue.getNowait();
    queue.taskDone();
    assertFalse(await queue.join({ timeout: 0 }));
    queue.taskDone();
    assertEquals(await joined, [true, true]);
    assertThrows(() => queue.taskDone(), RangeError, "as many are done");
    const signal = AbortSignal.abort(new Error("Enough"));
    await assertRejects(() => queue.join({ signal }), Error, "Enough");
  });

  Deno.test(`${name} is closed for those who put, and read to its end`, async () => {
    const queue = make();
    queue.putNowait(item(1));
    queue.close();
    assertThrows(() => queue.putNowait(item(2)), QueueClosedError);
    assertEquals(await Array.fromAsync<Item>(queue), [item(1)]);
    assertThrows(() => queue.getNowait(), QueueClosedError);
  });
}

testTeams("LifoQueue is the same queue in other threads", 1, async (team) => {
  const queue = new LifoQueue<number>();
  await team.run(0, "put", queue as never, 1);
  await team.run(0, "put", queue as never, 2);
  assertEquals(queue.getNowait(), 2);
  assertEquals(await team.run(0, "get", queue as never), 1);
});

testTeams(
  "PriorityQueue is the same queue in other threads",
  1,
  async (team) => {
    const queue = new PriorityQueue();
    for (const number of [3, 1, 2]) {
      await team.run(
        0,
        "put",
        queue as never,
        number,
      );
    }
    assertEquals(queue.getNowait(), 1);
    assertEquals(await team.run(0, "get", queue as never), 2);
    const waits = team.run(0, "get", queue as never).then(() =>
      team.run(0, "get", queue as never)
    );
    await eventually(() => waiters(queue) === 1);
    queue.putNowait(0);
    assertEquals(await waits, 0);
  },
);

Deno.test("PriorityQueue refuses what has no priority", async () => {
  const queue = new PriorityQueue<never>();
  for (const value of ["1", NaN, [], ["1"], [NaN, 1], null, {}]) {
    await assertRejects(
      () => queue.put(value as never),
      TypeError,
      "it must be a number",
    );
  }
  assert(queue.empty());
});

Deno.test("PriorityQueue orders infinities and fractions", () => {
  const queue = new PriorityQueue();
  const numbers = [Infinity, 0.5, -Infinity, -1.5, Infinity, 0, -Infinity];
  for (const number of numbers) queue.putNowait(number);
  const taken = numbers.map(() => queue.getNowait());
  assertEquals(taken, numbers.toSorted((a, b) => a < b ? -1 : Number(a > b)));
});

Deno.test("SharedQueue wakes the next putter where the one before was larger", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 100 });
  queue.putNowait(new Uint8Array(91));
  const small = queue.put(new Uint8Array(50));
  let smaller = false;
  const last = queue.put(new Uint8Array(20)).then(() => {
    smaller = true;
  });
  await queue.get();
  await small;
  // Without its own wake-up it would look for itself at the next tick only.
  for (let turn = 0; turn < 500 && !smaller; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const woken = smaller;
  await last;
  assert(woken);
});

Deno.test("SharedQueue that is closed wakes who waits when another takes the last item", async () => {
  const queue = new SharedQueue<number>();
  queue.putNowait(1);
  const { getters } = typeOf(queue)!.inner!(queue) as QueueCore;
  // Another is next, so that they wait although there is an item
  const ticket = getters.takeTicket(true);
  getters.reserve(ticket);
  const waits = [queue.get(), queue.get()];
  queue.close();
  while (getters.size < 2) {
    getters.beat();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assertEquals(queue.getNowait(), 1);
  assertEquals(getters.size, 1);
  getters.unreserve(ticket);
  for (const wait of waits) await assertRejects(() => wait, QueueClosedError);
});

Deno.test("PriorityQueue: a full one is about as fast as one half full", () => {
  function timeOf(fill: number): number {
    const queue = new PriorityQueue<number>();
    try {
      for (let i = 0; i < fill; i++) queue.putNowait(i * 7919 % 65_537);
    } catch (error) {
      assertInstanceOf(error, QueueFullError);
    }
    const begun = performance.now();
    for (let i = 0; i < 500; i++) {
      queue.getNowait();
      queue.putNowait(i * 7919 % 65_537);
    }
    return performance.now() - begun;
  }
  timeOf(1_000);
  const half = timeOf(18_000);
  // It was over a thousand times as slow
  assert(timeOf(Infinity) < 100 * Math.max(half, 0.5));
});
