import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type ExceptHookArgs,
  ModuleImportError,
  RunnerExitError,
} from "../../workers/base/errors.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { ProcessPool, ThreadPool } from "../../workers/pool/pool.ts";
import { until } from "../support/waiting.ts";
import { Gate, module, testPool, testPools, withHook } from "./_pools.ts";
import * as tasks from "./tasks.ts";

testPools(
  "calls the initializer in each worker, before its first task",
  async (make) => {
    const list = [1];
    await using pool = make({
      initializer: tasks.prepare,
      initializerArgs: [list, "b"],
    });
    list.push(2);
    await Promise.all([1, 2, 3, 4].map(async () => {
      await pool.submit(tasks.napAndTellPid, 10);
      assertEquals(await pool.submit(tasks.tellPrepared), [[1], "b"]);
    }));
    await pool.submit<never>("exit", 1).catch(() => {});
    assertEquals(await pool.submit(tasks.tellPrepared), [[1], "b"]);
  },
);

testPool("ThreadPool", "shares locks with its initializer", async (make) => {
  const lock = new Lock();
  await using pool = make({
    initializer: "prepare",
    initializerArgs: [lock],
    workers: 1,
  });
  using _held = await lock.hold();
  const [seen] = await pool.submit(tasks.tellPrepared);
  assertInstanceOf(seen, Lock);
  assert(seen.locked());
});

testPools(
  "rejects all tasks if the initializer throws, and tries once",
  async (make) => {
    await using pool = make({
      initializer: "fail",
      initializerArgs: ["not ready"],
    });
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => pool.submit(tasks.add, 1, 2)),
    );
    for (const result of results) {
      assert(result.status === "rejected");
      assertInstanceOf(result.reason, RunnerExitError);
      assertStringIncludes(result.reason.message, '"fail", its initializer');
      assertEquals(String(result.reason.cause), "RangeError: not ready");
    }
    await assertRejects(() => pool.submit(tasks.add, 1, 2), RunnerExitError);
    assertEquals(pool.stats().restarts, 0);
  },
);

testPools(
  "gives up when workers end in the initializer",
  async (make, kind) => {
    // A process can't close itself; that one exits is tested in pool_test.ts.
    const ways = kind === "thread" ? ["closeSelf", "failLater"] : ["failLater"];
    for (const initializer of ways) {
      await using pool = make({ initializer, workers: 1 });
      await assertRejects(() => pool.submit(tasks.add, 1, 2), RunnerExitError);
    }
  },
);

testPools("refuses an initializer that is not exported", async (make) => {
  await using pool = make({ initializer: "nobody" });
  await assertRejects(
    () => pool.submit(tasks.add, 1, 2),
    ModuleImportError,
    '"nobody"',
  );
});

testPools("terminates while an initializer hangs", async (make) => {
  const pool = make({ initializer: "never" });
  const result = pool.submit(tasks.add, 1, 2);
  const rejected = assertRejects(() => result);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await pool.terminate();
  await rejected;
});

testPools("ends a worker after maxTasksPerWorker tasks", async (make) => {
  await using pool = make({ workers: 1, maxTasksPerWorker: 3 });
  const counts: number[] = [];
  for (let index = 0; index < 7; index++) {
    counts.push(await pool.submit(tasks.countCalls));
  }
  assertEquals(counts, [1, 2, 3, 1, 2, 3, 1]);
  assertEquals(pool.stats().restarts, 0);
});

testPools(
  "gives no worker more than maxTasksPerWorker under load",
  async (make) => {
    await using pool = make({ maxTasksPerWorker: 30 });
    const counts = await Promise.all(
      Array.from({ length: 150 }, () => pool.submit(tasks.countCalls)),
    );
    assertEquals(Math.max(...counts), 30);
    assertGreater(counts.filter((count) => count === 1).length, 4);
    const { completed, failed, restarts } = pool.stats();
    assertEquals([completed, failed, restarts], [150, 0, 0]);
  },
);

testPool(
  "ThreadPool",
  "counts no task that a worker gave back towards maxTasksPerWorker",
  async (make) => {
    const each = 500;
    await using pool = make({ workers: 1, maxTasksPerWorker: 2 * each + 3 });
    assertEquals(await pool.submit(tasks.countCalls), 1);
    const controller = new AbortController();
    const { signal } = controller;
    // Until both are known to be tiny, and so are given ahead
    for (let round = 0; round < each; round += 50) {
      await Promise.all(
        Array.from({ length: 50 }, () => [
          pool.submit(tasks.awaitGate, null),
          pool.submit(tasks.isAborted, signal),
        ]).flat(),
      );
    }
    const gate = new Gate();
    const first = pool.submit(tasks.awaitGate, gate.memory);
    const next = pool.run(tasks.isAborted, [signal], { signal });
    const rejected = assertRejects(() => next, DOMException);
    await gate.arrived(1);
    controller.abort();
    await rejected;
    gate.open();
    await first;
    // The last task of the same worker
    assertEquals(await pool.submit(tasks.countCalls), 2);
  },
);

testPools("refuses options of workers that can't work", (make) => {
  for (const maxTasksPerWorker of [0, -1, NaN, 1.5]) {
    assertThrows(
      () => make({ maxTasksPerWorker }),
      RangeError,
      '"maxTasksPerWorker"',
    );
  }
  assertThrows(
    () => make({ initializer: (() => () => {})() }),
    TypeError,
    'anonymous function as "initializer"',
  );
  assertThrows(
    () => make({ initializer: 5 as never }),
    TypeError,
    'Cannot use 5 as "initializer"',
  );
  assertThrows(
    () => make({ initializer: "add", initializerArgs: 5 as never }),
    TypeError,
    '"initializerArgs"',
  );
  assertThrows(
    () => make({ initializer: "add", initializerArgs: [() => {}] }),
    TypeError,
    '"initializerArgs"',
  );
  return Promise.resolve();
});

testPools("starts minWorkers at once and keeps them", async (make) => {
  await using pool = make({ minWorkers: 1, idleTimeout: 20 });
  await until(() => pool.stats().idle === 1, "the first worker");
  await Promise.all([1, 2].map(() => pool.submit(tasks.nap, 30)));
  await until(() => pool.stats().workers === 1, "the end of the second");
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
  assertEquals(pool.stats().restarts, 0);
});

testPools(
  "gives the except hook the error of workers that can't start while no task waits",
  (make, kind) =>
    withHook(async (caught) => {
      for (
        const options of [
          { initializer: "fail", initializerArgs: ["not ready"] },
          { module: new URL("./no_module.ts", import.meta.url) },
          { initializer: "nobody" },
        ]
      ) {
        await using pool = make({ ...options, minWorkers: 2, name: "images" });
        await until(() => caught.length > 0, "the except hook");
        await until(() => pool.stats().workers === 0, "their ends");
        assertEquals(caught.map(({ thread }) => thread), [
          { kind, name: "images" },
        ]);
        const [{ error }] = caught.splice(0) as [ExceptHookArgs];
        assertStrictEquals(
          await assertRejects(() => pool.submit(tasks.add, 1, 2)),
          error,
        );
      }
      await using pool = make({ initializer: "fail" });
      await assertRejects(() => pool.submit(tasks.add, 1, 2));
      assertEquals(caught, []);
    }),
);

testPool(
  "ThreadPool",
  "gives the except hook no error that a task gets which no worker has begun",
  (make) =>
    withHook(async (caught) => {
      const options = { initializer: "failAside", workers: 1, name: "images" };
      await using pool = make(options);
      await assertRejects(
        () => pool.submit(tasks.add, 1, 2),
        RunnerExitError,
        "5 workers in a row ended before they did any",
      );
      await until(() => caught.length >= 5, "the errors of the workers");
      for (const { thread } of caught) {
        assertStringIncludes(thread.name, "images_");
      }
    }),
);

testPools("ends all workers that idle, and starts others", async (make) => {
  await using pool = make({ idleTimeout: 10 });
  for (let round = 0; round < 2; round++) {
    assertEquals(await pool.submit(tasks.countCalls), 1);
    await until(() => pool.stats().workers === 0, "the end of the worker");
  }
  assertEquals(pool.stats().restarts, 0);
});

testPools(
  "runs several tasks in a worker at once, if asked",
  async (make) => {
    await using pool = make({ workers: 1, concurrentTasksPerWorker: 2 });
    for (let round = 0; round < 20; round++) {
      const met = Array.from({ length: 10 }, () => pool.submit(tasks.meet));
      assertEquals(new Set(await Promise.all(met)), new Set(["met"]));
    }
    const { completed, workers } = pool.stats();
    assertEquals([completed, workers], [200, 1]);
    const naps = Array.from({ length: 4 }, () => pool.submit(tasks.nap, 20));
    await until(() => pool.stats().running === 2, "two tasks");
    assertEquals(pool.stats().queued, 2);
    await Promise.all(naps);
  },
);

testPools(
  "gives a task that its worker may be ended for a worker of its own",
  async (make) => {
    await using pool = make({ workers: 1, concurrentTasksPerWorker: 8 });
    const nap = pool.submit(tasks.nap, 50);
    const ended = pool.run("never", [], { timeout: 80 });
    const behind = pool.submit(tasks.add, 1, 2);
    await assertRejects(() => ended, DOMException);
    assertEquals(await nap, 50);
    assertEquals(await behind, 3);
    assertEquals(pool.stats().failed, 0);
  },
);

Deno.test("pools refuse numbers of workers that can't be", () => {
  for (const Class of [ThreadPool, ProcessPool]) {
    for (
      const options of [
        { minWorkers: -1 },
        { workers: 2, minWorkers: 3 },
        { idleTimeout: -1 },
        { concurrentTasksPerWorker: 0 },
      ]
    ) {
      const name = Object.keys(options).at(-1);
      assertThrows(
        () => new Class({ module, ...options }),
        RangeError,
        `"${name}"`,
      );
    }
  }
});
