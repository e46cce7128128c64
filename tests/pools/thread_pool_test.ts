import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
} from "@std/assert";
import { PoolClosedError } from "../../workers/base/errors.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { Gate, testPool } from "./_pools.ts";
import * as tasks from "./tasks.ts";

testPool(
  "ThreadPool",
  "shares locks and memory in arguments and items",
  async (make) => {
    await using pool = make();
    const lock = new Lock();
    const counter = new Int32Array(new SharedArrayBuffer(4));
    const shared = { lock, counter };
    await Promise.all(
      [1, 2, 3].map(() => pool.submit(tasks.increment, shared, 300)),
    );
    await pool.map<void>("increment", [shared]).then(() => {}, () => {});
    assertEquals(counter[0], 900);
    assert(!lock.locked());
  },
);

testPool(
  "ThreadPool",
  "shares a SharedQueue in arguments and results",
  async (make) => {
    await using pool = make();
    const queue = new SharedQueue<number>();
    const returned = await pool.submit(tasks.putAll, queue, [1, 2, 3]);
    const taken: number[] = [];
    for (let index = 0; index < 3; index++) taken.push(await returned.get());
    assertEquals(taken, [1, 2, 3]);
    assertEquals(queue.size, 0);
  },
);

testPool("ThreadPool", "names its threads", async (make) => {
  await using pool = make({ name: "mine", workers: 1 });
  assertEquals(await pool.submit(tasks.tellName), ["mine_0", true, true]);
});

testPool(
  "ThreadPool",
  "lets no tiny task wait behind a long one while a thread is idle",
  async (make) => {
    await using pool = make();
    const pass = () => pool.submit(tasks.blockIf, null);
    // Only what is known to be tiny is given to a thread ahead.
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 100 }, pass));
    }
    const gate = new Gate();
    const before = Array.from({ length: 10 }, pass);
    const blocked = pool.submit(tasks.blockIf, gate.memory);
    const after = Array.from({ length: 60 }, pass);
    assertEquals(new Set(await Promise.all(after)), new Set(["passed"]));
    assertEquals((await Promise.all(before)).length, 10);
    await gate.arrived(1);
    gate.open();
    assertEquals(await blocked, "let go");
  },
);

testPool(
  "ThreadPool",
  "gives the results that a thread has left before it blocks",
  async (make) => {
    await using pool = make({ workers: 1 });
    const pass = () => pool.submit(tasks.blockIf, null);
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 100 }, pass));
    }
    const gate = new Gate();
    const before = Array.from({ length: 10 }, pass);
    const blocked = pool.submit(tasks.blockIf, gate.memory);
    const behind = pool.submit(tasks.blockIf, null);
    assertEquals((await Promise.all(before)).length, 10);
    gate.open();
    assertEquals(await blocked, "let go");
    assertEquals(await behind, "passed");
  },
);

testPool(
  "ThreadPool",
  "loses only the task that a thread died of, not those behind it",
  async (make) => {
    await using pool = make();
    for (let round = 0; round < 40; round++) {
      await Promise.all(
        Array.from(
          { length: 100 },
          () => pool.submit(tasks.addOrExit, 1, 2, false),
        ),
      );
    }
    const results = await Promise.allSettled(
      Array.from(
        { length: 200 },
        (_, index) => pool.submit(tasks.addOrExit, index, 0, index % 50 === 25),
      ),
    );
    results.forEach((result, index) => {
      assertEquals(result.status, index % 50 === 25 ? "rejected" : "fulfilled");
    });
  },
);

testPool("ThreadPool", "lets what a task left behind go on", async (make) => {
  await using pool = make({ workers: 1 });
  const flag = new Int32Array(new SharedArrayBuffer(4));
  await pool.submit(tasks.startTimer, flag);
  while (Atomics.load(flag, 0) === 0) await pool.submit(tasks.add, 1, 2);
  assertEquals(flag[0], 1);
});

testPool(
  "ThreadPool",
  "takes 5,000 tiny tasks one at a time, with pauses",
  async (make) => {
    await using pool = make({ workers: 1 });
    for (let index = 0; index < 5_000; index++) {
      // Longer than a thread waits before it goes back to its event loop.
      if (index % 500 === 0) {
        await new Promise((resolve) => setTimeout(resolve, 8));
      }
      assertEquals(await pool.submit(tasks.add, index, 1), index + 1);
    }
    assertLess(pool.stats().runTime.p50, 1);
  },
);

testPool(
  "ThreadPool",
  "cancels at shutdown what a thread was given ahead",
  async (make) => {
    const pool = make({ workers: 1 });
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 100 }, () => pool.submit(tasks.blockIf, null)),
      );
    }
    const gate = new Gate();
    const blocked = pool.submit(tasks.blockIf, gate.memory);
    const behind = Array.from(
      { length: 30 },
      () => pool.submit(tasks.blockIf, null),
    );
    await gate.arrived(1);
    const ended = pool.shutdown({ cancel: true });
    for (const result of behind) {
      await assertRejects(
        () => result,
        PoolClosedError,
      );
    }
    gate.open();
    assertEquals(await blocked, "let go");
    await ended;
    assertGreater(pool.stats().cancelled, 29);
  },
);
