import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  ModuleImportError,
  PoolClosedError,
  PoolFullError,
  RemoteError,
  RunnerExitError,
} from "../../workers/base/errors.ts";
import {
  type PoolOptions,
  ProcessPool,
  ThreadPool,
} from "../../workers/pool/pool.ts";
import { module, testPools } from "./_pools.ts";
import * as tasks from "./tasks.ts";
import { until } from "../support/waiting.ts";

testPools("awaits a function that has a then()", async (make) => {
  await using pool = make({ workers: 1 });
  assertEquals(await pool.submit(tasks.giveCallableThenable), "awaited");
});

testPools(
  "runs a function or its name, and infers the result",
  async (make) => {
    await using pool = make();
    const sum: number = await pool.submit(tasks.add, 1, 2);
    const later: number = await pool.submit(tasks.addLater, 3, 4);
    const named: number = await pool.submit<number>("add", 5, 6);
    assertEquals([sum, later, named], [3, 7, 11]);
    const value = {
      map: new Map([[1, new Date(0)]]),
      bytes: new Uint8Array(3),
    };
    assertEquals(await pool.submit(tasks.giveBack, value, undefined, -0), [
      value,
      undefined,
      -0,
    ]);
  },
);

testPools("gives many results, each to its own task", async (make) => {
  await using pool = make();
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(
      Array.from(
        { length: 1_000 },
        (_, index) =>
          index % 10 === 0
            ? pool.submit(tasks.giveBack, index, new Set([index]))
            : pool.submit(tasks.giveBack, index),
      ),
    );
    results.forEach(([index], at) => assertEquals(index, at));
  }
  const { completed, failed, running, queued } = pool.stats();
  assertEquals([completed, failed, running, queued], [5_000, 0, 0, 0]);
});

testPools(
  "rejects with the name, message, stack and cause of what was thrown",
  async (make) => {
    await using pool = make();
    const error = await assertRejects(
      () => pool.submit(tasks.fail, "on purpose"),
      RemoteError,
    );
    assertEquals(String(error), "RangeError: on purpose");
    assertMatch(error.stack ?? "", /at fail \(.*tasks\.ts/);
    assertEquals(String(error.cause), "TypeError: the cause");
    assertEquals(pool.stats().failed, 1);
  },
);

testPools(
  "rejects with the errors of an AggregateError, at most 64 and 8 deep",
  async (make, kind) => {
    await using pool = make();
    const tell = async (kind: string) => {
      const error = await assertRejects(
        () => pool.submit(tasks.throwMany, kind),
        RemoteError,
      );
      assertEquals(error.name, "AggregateError");
      return error;
    };
    const some = await tell("some");
    assertEquals(some.errors?.map(String), ["RangeError: first", "second"]);
    assertInstanceOf(some.errors?.[0], RemoteError);
    assertEquals(String(some.errors[0].cause), "TypeError: the cause");
    assertEquals(some.errors[1], "second");
    assertEquals((await tell("many")).errors?.length, 64);
    const unfit = (await tell("unfit")).errors?.length;
    assertEquals(unfit, kind === "thread" ? 1 : undefined);
    let depth = 0;
    let error = await tell("a ring");
    for (; error.errors?.length === 1; depth++) {
      error = error.errors[0] as RemoteError;
    }
    assertEquals([depth, error.errors], [8, []]);
    assertEquals((await tell("two rings")).errors?.length, 2);
    const odd = await tell("odd");
    assertEquals([odd.message, odd.errors?.length], ["odd", 2]);
    const other = await assertRejects(
      () => pool.submit(tasks.throwWithoutErrors, "its own"),
      RemoteError,
      "its own",
    );
    assertEquals([other.name, other.errors], ["TypeError", undefined]);
  },
);

testPools(
  "rejects an unknown export and leaves the worker alive",
  async (make) => {
    await using pool = make({ workers: 1 });
    assertEquals(await pool.submit(tasks.countCalls), 1);
    for (
      const [name, why] of [["nobody", "not export it"], [
        "notFunction",
        "not a function",
      ]]
    ) {
      const error = await assertRejects(
        () => pool.submit(name!),
        ModuleImportError,
        why,
      );
      assertStringIncludes(error.message, `"${name}"`);
      assertEquals(error.module, module.href);
    }
    assertEquals(await pool.submit(tasks.countCalls), 2);
    assertEquals(pool.stats().restarts, 0);
  },
);

testPools("refuses targets without a name", async (make) => {
  await using pool = make();
  await assertRejects(() => pool.submit(() => 1), TypeError, "anonymous");
  await assertRejects(() => pool.submit(5 as never), TypeError, '"target"');
  assertThrows(() => pool.map(() => 1, []), TypeError, "anonymous");
  assertEquals(pool.stats().workers, 0);
});

testPools(
  "names the argument that can't be cloned, and goes on",
  async (make) => {
    await using pool = make({ workers: 1 });
    for (
      const bad of [() => {}, Symbol("no"), [{ deep: () => {} }], new WeakMap()]
    ) {
      const good = pool.submit(tasks.giveBack, "before");
      const error = await assertRejects(
        () => pool.submit(tasks.giveBack, 0, bad),
        TypeError,
      );
      assertStringIncludes(error.message, 'argument 1 of "giveBack"');
      assertEquals(await good, ["before"]);
    }
    assertEquals(await pool.submit(tasks.countCalls), 1);
  },
);

testPools(
  "goes on after more refused tasks than a worker can have",
  async (make) => {
    await using pool = make({ workers: 1 });
    const bad = [{ deep: () => {} }];
    const refused = Array.from(
      { length: 300 },
      () => pool.submit(tasks.giveBack, bad),
    );
    const sum = pool.submit(tasks.add, 1, 2);
    for (const { status } of await Promise.allSettled(refused)) {
      assertEquals(status, "rejected");
    }
    assertEquals(await sum, 3);
  },
);

testPools(
  "rejects a result that can't be cloned, and goes on",
  async (make) => {
    await using pool = make({ workers: 1 });
    const results = await Promise.allSettled([
      pool.submit(tasks.add, 1, 2),
      pool.submit(tasks.giveFunction),
      pool.submit(tasks.add, 3, 4),
    ]);
    assertEquals(results.map(({ status }) => status), [
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    const { reason } = results[1] as PromiseRejectedResult;
    assertInstanceOf(reason, RemoteError);
    assertStringIncludes(reason.message, "result");
  },
);

testPools(
  "rejects the task whose worker died, and replaces that",
  async (make, kind) => {
    await using pool = make();
    for (let round = 1; round <= 3; round++) {
      const error = await assertRejects(
        () => pool.submit(tasks.exit, 7),
        RunnerExitError,
        `the ${kind} that ran it exited with code 7`,
      );
      assertEquals(error.exit, { code: 7, reason: "exit" });
      assertEquals(await pool.submit(tasks.add, 1, 2), 3);
      assertEquals(pool.stats().restarts, round);
    }
  },
);

testPools("tells what ended a worker under a task", async (make) => {
  await using pool = make({ workers: 1 });
  const error = await assertRejects(
    () => pool.submit(tasks.rejectAndHang),
    RunnerExitError,
  );
  assertEquals(String(error.cause), "TypeError: Left behind");
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
});

testPools(
  "runs a task again that its worker died of, if asked",
  async (make) => {
    const file = await Deno.makeTempFile();
    try {
      await using pool = make({ retries: 1 });
      assertEquals(await pool.submit(tasks.dieOnce, file), "run 2");
      await assertRejects(() => pool.submit(tasks.exit, 1), RunnerExitError);
      assertEquals(pool.stats().failed, 1);
    } finally {
      await Deno.remove(file);
    }
  },
);

testPools(
  "rejects all tasks if the module can't be imported, and tries once",
  async (make) => {
    for (const name of ["no_such_module.ts", "../runners/failing_module.ts"]) {
      const url = new URL(name, import.meta.url);
      await using pool = make({ module: url });
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => pool.submit("add", 1, 2)),
      );
      for (const result of results) {
        assert(result.status === "rejected");
        assertInstanceOf(result.reason, ModuleImportError);
        assertEquals(result.reason.module, url.href);
      }
      await assertRejects(() => pool.submit("add", 1, 2), ModuleImportError);
      await assertRejects(
        async () => await pool.map("add", [1]),
        ModuleImportError,
      );
      assertEquals(pool.stats().restarts, 0);
    }
  },
);

testPools(
  "gives up when workers die again and again before they did anything",
  async (make) => {
    const url = new URL("./exiting_module.ts", import.meta.url);
    await using pool = make({ module: url, workers: 1 });
    const error = await assertRejects(
      () => pool.submit("add", 1, 2),
      RunnerExitError,
      "5 workers in a row",
    );
    assertEquals(error.exit.code, 3);
    await assertRejects(() => pool.submit("add", 1, 2), RunnerExitError);
  },
);

testPools(
  "starts workers only when there is work that others have no time for",
  async (make) => {
    await using pool = make();
    assertEquals(pool.stats().workers, 0);
    for (let index = 0; index < 20; index++) await pool.submit(tasks.add, 1, 2);
    assertEquals(pool.stats().workers, 1);
    const naps = [
      pool.submit(tasks.napAndTellPid, 20),
      pool.submit(tasks.napAndTellPid, 20),
    ];
    await Promise.all(naps);
    assertEquals(pool.stats().workers, 2);
    await until(() => pool.stats().idle === 2, "the second worker");
  },
);

testPools(
  "rejects what is more than maxQueue, whether its workers run or not",
  async (make) => {
    await using pool = make({ workers: 2, maxQueue: 2 });
    for (const state of ["none runs", "one runs", "both run"]) {
      const accepted = [1, 2, 3, 4].map((number) =>
        pool.submit(tasks.nap, number)
      );
      const error = await assertRejects(
        () => pool.submit(tasks.nap, 5),
        PoolFullError,
        '"maxQueue"',
        state,
      );
      assertStringIncludes(error.message, "drained()");
      assert(pool.needsDrain);
      assertEquals(await Promise.all(accepted), [1, 2, 3, 4]);
      await pool.drained();
    }
    assertEquals(await pool.submit(tasks.add, 5, 6), 11);
  },
);

testPools("says when it needs a pause, and when that is over", async (make) => {
  await using pool = make({ workers: 1 });
  await pool.drained();
  const results: Promise<number>[] = [];
  while (!pool.needsDrain) results.push(pool.submit(tasks.add, 1, 2));
  assertEquals(results.length, 32);
  assert(pool.stats().needsDrain);
  await pool.drained();
  assert(!pool.needsDrain);
  await Promise.all(results);
});

testPools("measures run and wait times", async (make) => {
  await using pool = make({ workers: 1 });
  const empty = { mean: 0, min: 0, max: 0, p50: 0, p99: 0 };
  assertEquals(pool.stats().runTime, empty);
  assertEquals(pool.stats().utilization, 0);
  await Promise.all([
    pool.submit(tasks.napAndTellPid, 20),
    pool.submit(tasks.napAndTellPid, 20),
  ]);
  for (let index = 0; index < 8; index++) await pool.submit(tasks.add, 1, 2);
  const { runTime, waitTime, utilization, completed } = pool.stats();
  assertEquals(completed, 10);
  assertGreater(runTime.max, 18);
  assertLess(runTime.p50, 18);
  assertGreater(runTime.p99, 16);
  assert(runTime.min <= runTime.mean && runTime.mean <= runTime.max);
  assertGreater(waitTime.max, 18);
  assertGreater(utilization, 0);
  assert(utilization <= 1);
});

testPools(
  "does what waits before it shuts down, and takes no more",
  async (make) => {
    const pool = make({ workers: 1 });
    const results = Array.from(
      { length: 10 },
      (_, index) => pool.submit(tasks.addLater, index, 0),
    );
    const ended = pool.shutdown();
    await assertRejects(
      () => pool.submit(tasks.add, 1, 2),
      PoolClosedError,
      "shut down",
    );
    await assertRejects(
      async () => await pool.map(tasks.square, [1]),
      PoolClosedError,
    );
    assertEquals((await Promise.all(results)).length, 10);
    await ended;
    await Promise.all([pool.shutdown(), pool.terminate()]);
    assertEquals(pool.stats().workers, 0);
  },
);

testPools(
  "shuts down without a wait, and without having been used",
  async (make) => {
    await make().shutdown();
    const pool = make();
    const sum = pool.submit(tasks.addLater, 1, 2);
    await pool.shutdown({ wait: false });
    assertEquals(await sum, 3);
    await pool.shutdown();
  },
);

testPools("cancels at shutdown what has not begun, if asked", async (make) => {
  const pool = make({ workers: 1 });
  const file = await Deno.makeTempFile();
  try {
    const begun = pool.submit(tasks.noteAndNap, file, 20);
    const waiting = Array.from(
      { length: 5 },
      () => pool.submit(tasks.noteAndNap, file, 20),
    );
    await until(() => Deno.readTextFileSync(file) !== "", "the first task");
    const ended = pool.shutdown({ cancel: true });
    for (const result of await Promise.allSettled(waiting)) {
      assert(result.status === "rejected");
      assertInstanceOf(result.reason, PoolClosedError);
    }
    await begun;
    await ended;
    assertEquals(pool.stats().cancelled, 5);
  } finally {
    await Deno.remove(file);
  }
});

testPools(
  "terminates what runs and what waits",
  async (make) => {
    const file = await Deno.makeTempFile();
    const results: Promise<unknown>[] = [];
    try {
      await using pool = make({ workers: 1, retries: 3 });
      for (let index = 0; index < 3; index++) {
        results.push(
          pool.submit(tasks.hang, file),
        );
      }
      for (const result of results) result.catch(() => {});
      await until(() => Deno.readTextFileSync(file) !== "", "the first task");
      await pool.terminate();
    } finally {
      await Deno.remove(file);
    }
    for (const result of results) {
      await assertRejects(
        () => result,
        PoolClosedError,
      );
    }
  },
);

testPools("terminates while its workers start", async (make) => {
  const pool = make();
  const sum = pool.submit(tasks.add, 1, 2);
  await Promise.resolve();
  await Promise.all([
    assertRejects(() => sum, PoolClosedError),
    pool.terminate(),
  ]);
});

testPools("refuses what can't work at construction", async (make) => {
  for (const workers of [0, -1, NaN, 1.5, Infinity]) {
    assertThrows(() => make({ workers }), RangeError, '"workers"');
  }
  assertThrows(() => make({ workers: "2" as never }), TypeError, '"workers"');
  for (const maxQueue of [0, -1, NaN]) {
    assertThrows(() => make({ maxQueue }), RangeError, '"maxQueue"');
  }
  for (const retries of [-1, NaN, 0.5]) {
    assertThrows(() => make({ retries }), RangeError, '"retries"');
  }
  assertThrows(() => make({ module: "./relative.ts" }), TypeError, "absolute");
  assertThrows(() => make({ name: 5 as never }), TypeError, '"name"');
  assertThrows(() => make({ processes: 3 } as object), TypeError, "processes");
  await Promise.resolve();
});

Deno.test("pools refuse to be constructed without options or module", () => {
  for (const Class of [ThreadPool, ProcessPool]) {
    assertThrows(() => new Class(undefined as never), TypeError, "options");
    assertThrows(
      () => new Class({} as PoolOptions),
      ModuleImportError,
      "import.meta.url",
    );
  }
});

Deno.test("shutdown() refuses what is no option", async () => {
  await using pool = new ThreadPool({ module });
  assertThrows(() => pool.shutdown(false as never), TypeError, "an object");
});

Deno.test("pools are named and numbered", () => {
  assertMatch(new ThreadPool({ module }).name, /^ThreadPool-\d+$/);
  assertMatch(new ProcessPool({ module }).name, /^ProcessPool-\d+$/);
  assertEquals(new ThreadPool({ module, name: "mine" }).name, "mine");
});
