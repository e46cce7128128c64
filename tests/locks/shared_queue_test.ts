import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotStrictEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  SocketServerError,
} from "../../workers/base/errors.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { eventually, testTeams, waiters } from "./_teams.ts";

testTeams(
  "SharedQueue: every item arrives once, each producer's in order",
  4,
  async (team) => {
    for (const options of [{}, { maxSize: 3 }, { capacity: 64 }]) {
      const queue = new SharedQueue<number[]>(options);
      const consumed = [2, 3].map((me) => team.run(me, "consume", queue));
      const produced = [0, 1].map((me) =>
        team.run(me, "produce", queue, me, 300)
      );
      await Promise.all(produced);
      queue.close();
      const takes = await Promise.all(consumed);
      for (const take of takes) {
        for (const me of [0, 1]) {
          const items = take.filter(([from]) => from === me).map(([, at]) =>
            at!
          );
          assertEquals(items, items.toSorted((a, b) => a - b));
        }
      }
      const all = takes.flat().map(([me, item]) => me! * 300 + item!);
      assertEquals(
        all.sort((a, b) => a - b),
        Array.from({ length: 600 }, (_, index) => index),
      );
      assertEquals(queue.size, 0);
    }
  },
);

testTeams(
  "SharedQueue: get() waits for an item, put() for room",
  1,
  async (team) => {
    const queue = new SharedQueue({ maxSize: 1 });
    const item = team.run(0, "get", queue);
    await eventually(() => waiters(queue, "getters") === 1);
    queue.putSync("first");
    assertEquals(await item, "first");
    queue.putSync("second");
    const put = team.run(0, "put", queue, "third");
    await eventually(() => waiters(queue, "putters") === 1);
    assertEquals(queue.getSync(), "second");
    await put;
    assertEquals(await queue.get(), "third");
  },
);

testTeams(
  "SharedQueue: Full and Empty, at once and in time",
  1,
  async (team) => {
    const queue = new SharedQueue({ maxSize: 1 });
    for (
      const options of [{ blocking: false }, { timeout: 0 }, { timeout: 20 }]
    ) {
      const empty = await assertRejects(
        () => team.run(0, "get", queue, options),
        Error,
      );
      assertEquals(empty.name, "QueueEmptyError");
      queue.putSync(1);
      const full = await assertRejects(
        () => team.run(0, "put", queue, 2, options),
        Error,
      );
      assertEquals(full.name, "QueueFullError");
      assertEquals(queue.getSync(), 1);
    }
    assertEquals(waiters(queue, "getters") + waiters(queue, "putters"), 0);
  },
);

testTeams(
  "SharedQueue: close() ends those who wait, and what is in it can be read",
  2,
  async (team) => {
    const empty = new SharedQueue();
    const full = new SharedQueue({ maxSize: 1 });
    full.putSync("last");
    const waits = Promise.allSettled([
      team.run(0, "get", empty),
      team.run(1, "put", full, "more"),
    ]);
    await eventually(() =>
      waiters(empty, "getters") + waiters(full, "putters") === 2
    );
    empty.close();
    full.close();
    full.close();
    for (const result of await waits) {
      assert(result.status === "rejected");
      assertEquals(result.reason.name, "QueueClosedError");
    }
    assert(full.closed);
    await assertRejects(() => full.put("late"), QueueClosedError);
    assertThrows(() => full.putSync("late"), QueueClosedError);
    assertEquals(full.getSync(), "last");
    assertThrows(() => full.getSync(), QueueClosedError);
    await assertRejects(() => full.get(), QueueClosedError);
    await assertRejects(() => full.get({ blocking: false }), QueueClosedError);
  },
);

Deno.test("SharedQueue: values arrive as structured clones", async () => {
  const queue = new SharedQueue();
  const ring: Record<string, unknown> = {};
  ring.self = ring;
  const same = { shared: 1 };
  const values = [
    undefined,
    null,
    -0,
    NaN,
    10n,
    "\ud800 half a pair, 日本語",
    [1, , 3],
    new Date(0),
    new Map([[{ key: 1 }, new Set([1])]]),
    /expression/gi,
    new Uint8Array([1, 2, 3]).subarray(1),
    new Float64Array([0.5]),
    new RangeError("An error"),
    JSON.parse('{"__proto__":{"polluted":1}}'),
    "long".repeat(10_000),
  ];
  for (const value of values) {
    await queue.put(value);
    assertEquals(await queue.get(), value);
  }
  await queue.put([same, same, ring]);
  const [one, two, round] = await queue.get() as Record<string, unknown>[];
  assert(one === two && round!.self === round);
  assertNotStrictEquals(one, same);
});

Deno.test("SharedQueue: what can't be cloned is refused by put(), and nothing is lost", async () => {
  const queue = new SharedQueue();
  queue.putSync("before");
  const { port1, port2 } = new MessageChannel();
  const refused = [
    () => 1,
    Symbol("a symbol"),
    [() => 1],
    { port1 },
    new WeakMap(),
  ];
  for (const value of refused) {
    const error = await assertRejects(() => queue.put(value), DOMException);
    assertEquals(error.name, "DataCloneError");
    assertThrows(() => queue.putSync(value), DOMException);
  }
  port1.close();
  port2.close();
  await assertRejects(
    () => queue.put({ deep: [new Lock()] }),
    TypeError,
    "Cannot put a Lock in a queue",
  );
  await assertRejects(
    () => queue.put(new Uint8Array(new SharedArrayBuffer(4))),
    TypeError,
    "SharedArrayBuffer",
  );
  queue.putSync("after");
  queue.close();
  assertEquals(await Array.fromAsync(queue), ["before", "after"]);
});

Deno.test("SharedQueue: an item that is larger than the queue is refused", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 100 });
  await assertRejects(
    () => queue.put(new Uint8Array(100)),
    RangeError,
    'give the queue a larger "capacity"',
  );
  for (let size = 0; size <= 91; size++) {
    queue.putSync(new Uint8Array(size).fill(size));
    assertEquals(queue.getSync(), new Uint8Array(size).fill(size));
  }
  assertThrows(() => queue.putSync(new Uint8Array(92)), RangeError);
});

Deno.test("SharedQueue: a large item is not starved by small ones", async () => {
  const queue = new SharedQueue<Uint8Array>({ capacity: 100 });
  let small = 0;
  async function produce(): Promise<void> {
    for (;;) {
      await queue.put(new Uint8Array(11));
      small++;
    }
  }
  const producers = Promise.allSettled([1, 2, 3, 4, 5, 6].map(produce));
  await eventually(() => waiters(queue, "putters") === 6);
  const large = queue.put(new Uint8Array(91));
  await eventually(() => waiters(queue, "putters") === 7);
  const before = small;
  while ((await queue.get()).length === 11);
  await large;
  queue.close();
  await producers;
  // Those who had waited longer came first, and hardly anybody else.
  assert(small - before < 30, `${small - before} small ones overtook it`);
});

Deno.test("SharedQueue: an aborted get() takes nothing", async () => {
  const queue = new SharedQueue<string>();
  const controller = new AbortController();
  const aborted = queue.get({ signal: controller.signal });
  const other = queue.get();
  queue.putSync("one");
  controller.abort(new Error("Enough"));
  await assertRejects(() => aborted, Error, "Enough");
  assertEquals(await other, "one");
});

Deno.test("SharedQueue: it refuses what cannot work", async () => {
  for (const maxSize of [0, -1, 1.5, NaN]) {
    assertThrows(() => new SharedQueue({ maxSize }), RangeError, "maxSize");
  }
  for (const capacity of [0, -1, 1.5, NaN, Infinity, 2 ** 31]) {
    assertThrows(() => new SharedQueue({ capacity }), RangeError, "capacity");
  }
  for (const options of [5, { maxsize: 5 }]) {
    assertThrows(
      () => new SharedQueue(options as object),
      TypeError,
      typeof options === "number" ? "expected an object" : '"maxsize"',
    );
  }
  const queue = new SharedQueue();
  await assertRejects(() => queue.get({ timeout: -1 }), RangeError);
  assertThrows(() => queue.putSync(1, { timeout: -1 }), RangeError);
  assertThrows(
    () => queue.getSync({ blocking: false, timeout: 1 }),
    TypeError,
  );
  assertFalse(queue.closed);
  for (const type of [QueueFullError, QueueEmptyError, QueueClosedError]) {
    const error = new type();
    assertInstanceOf(error, SocketServerError);
    assertEquals(error.name, type.name);
  }
});
