/** Workers, tasks and callers that misbehave: every task settles once. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  PoolClosedError,
  RemoteError,
  RunnerExitError,
} from "../../workers/base/errors.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { testPool, testPools, withFolder, withHook } from "./_pools.ts";
import * as tasks from "./tasks.ts";
import { pause, until, within } from "../support/waiting.ts";

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch {
    return false;
  }
}

/** Tells which processes are asked to end; none of them is killed meanwhile. */
function withholdKills() {
  const { prototype } = Deno.ChildProcess;
  const { kill } = prototype;
  const withheld = new Set<Deno.ChildProcess>();
  const asked = new Set<number>();
  prototype.kill = function (signal) {
    asked.add(this.pid);
    if (signal === "SIGKILL") withheld.add(this);
    else kill.call(this, signal);
  };
  function restore(): void {
    prototype.kill = kill;
    for (const child of withheld) child.kill("SIGKILL");
    withheld.clear();
  }
  return { asked, restore };
}

/** Makes the start of a worker fail as it does without a free descriptor. */
function failStarts() {
  const { openSync } = Deno;
  const { spawn } = Deno.Command.prototype;
  const starts = {
    fail: true,
    failed: 0,
    restore() {
      Deno.openSync = openSync;
      Deno.Command.prototype.spawn = spawn;
    },
  };
  function failIfAsked(): void {
    if (!starts.fail) return;
    starts.failed++;
    throw Object.assign(new Error("Too many open files"), { code: "EMFILE" });
  }
  Deno.openSync = (...args) => {
    failIfAsked();
    return openSync(...args);
  };
  Deno.Command.prototype.spawn = function () {
    failIfAsked();
    return spawn.call(this);
  };
  return starts;
}

testPools("tells of every thing that a task may throw", async (make) => {
  await using pool = make({ workers: 1 });
  for (
    const kind of [
      "a function",
      "a symbol",
      "nothing",
      "an error with a function as its cause",
      "an error with a ring of causes",
      "an error whose message throws",
      "an object that can't be inspected",
      "a revoked proxy",
      "an error with shared memory as its cause",
    ]
  ) {
    const { message } = await assertRejects(
      () => pool.submit(tasks.throwOdd, kind),
      RemoteError,
      "",
      kind,
    );
    assertFalse(message.startsWith("Cannot return the result"), kind);
  }
  assertEquals(await pool.submit(tasks.countCalls), 1);
  assertEquals(pool.stats().restarts, 0);
});

testPools("tells why a result can't be passed on", async (make) => {
  await using pool = make({ workers: 1 });
  for (
    const kind of [
      "a function",
      "a symbol",
      "a weak map",
      "a deep function",
      "a getter that throws",
      "a then that throws",
      "a then that throws when called",
      "a revoked proxy",
      "a port",
    ]
  ) {
    await assertRejects(
      () => pool.submit(tasks.giveOdd, kind),
      RemoteError,
      "",
      kind,
    );
  }
  assertEquals(await pool.submit(tasks.countCalls), 1);
  assertEquals(pool.stats().restarts, 0);
});

testPools(
  "replaces a worker that ends between tasks, and the except hook gets its error",
  (make, kind) =>
    withHook(async (caught) => {
      await using pool = make({ workers: 1, name: "mine" });
      for (const way of ["throw", "reject", "exit"]) {
        assertEquals(await pool.submit(tasks.exitLater, way), "answered");
        const { restarts } = pool.stats();
        await until(() => pool.stats().restarts > restarts, `another, ${way}`);
        assertEquals(await pool.submit(tasks.add, 1, 2), 3);
      }
      assertEquals(
        caught.map(({ error, thread }) => [String(error), thread]),
        [0, 1].map((number) => [
          "TypeError: Left behind",
          { kind, name: `mine_${number}` },
        ]),
      );
    }),
);

testPools(
  "waits at its end for the threads that its tasks started",
  (make) =>
    withFolder(async (folder) => {
      const [gate, file] = [`${folder}/gate`, `${folder}/file`];
      const pool = make({ workers: 1 });
      await pool.submit(tasks.startThread, gate, file, false);
      let ended = false;
      const end = pool.shutdown().then(() => ended = true);
      // Longer than a worker may take otherwise
      await pause(2_200);
      assertFalse(ended);
      await Deno.writeTextFile(gate, "");
      await within("the end", end);
      assertEquals(await Deno.readTextFile(file), "done");
    }),
);

testPools(
  "tells at once of a worker's uncaught error, and waits for the threads that it started",
  (make) =>
    withHook((caught) =>
      withFolder(async (folder) => {
        const [gate, file] = [`${folder}/gate`, `${folder}/file`];
        const pool = make({ workers: 1 });
        await pool.submit(tasks.startThread, gate, file, true);
        await until(() => caught.length > 0, "the except hook");
        // By another worker
        assertEquals(await pool.submit(tasks.countCalls), 1);
        assertEquals(pool.stats().restarts, 1);
        const end = pool.shutdown();
        await Deno.writeTextFile(gate, "");
        await within("the end", end);
        assertEquals(await Deno.readTextFile(file), "done");
        assertEquals(caught.length, 1);
      })
    ),
);

testPools(
  "keeps as many failed workers that wait for their threads as it may have others",
  (make) =>
    withHook((caught) =>
      withFolder(async (folder) => {
        await using pool = make({ workers: 1 });
        for (let index = 0; index < 3; index++) {
          await pool.submit(tasks.startThread, `${folder}/gate`, folder, true);
          await until(() => caught.length > index, "the except hook");
        }
        await until(() => pool.stats().workers === 2, "the end of one");
        assertEquals(await pool.submit(tasks.add, 1, 2), 3);
        await pool.terminate();
      })
    ),
);

testPool(
  "ProcessPool",
  "ends one failed worker for each that is too many, also while others do not obey",
  (make) =>
    withHook((caught) =>
      withFolder(async (folder) => {
        const { asked, restore } = withholdKills();
        const pool = make({ workers: 1 });
        try {
          for (let index = 0; index < 4; index++) {
            await pool.submit(tasks.ignoreSignal);
            const args = [`${folder}/gate`, folder, true] as const;
            await pool.submit(tasks.startThread, ...args);
            await until(() => caught.length > index, "the except hook");
          }
          await until(() => asked.size === 3, "three that are asked to end");
        } finally {
          restore();
          await pool.terminate();
        }
      })
    ),
);

testPools(
  "goes on while no worker can be started, and starts one when it can",
  async (make) => {
    await using pool = make();
    const gate = await Deno.makeTempFile();
    const starts = failStarts();
    try {
      starts.fail = false;
      await pool.submit(tasks.add, 1, 2);
      starts.fail = true;
      const long = pool.submit(tasks.awaitEnd, gate);
      const short = pool.submit(tasks.add, 3, 4);
      await until(() => starts.failed >= 5, "five starts that fail");
      starts.fail = false;
      assertEquals(await within("another worker", short), 7);
      starts.fail = true;
      const last = Promise.all([1, 2, 3].map((x) => pool.submit("nap", x)));
      await Deno.remove(gate);
      assertEquals(await long, gate);
      assertEquals(await last, [1, 2, 3]);
    } finally {
      starts.restore();
    }
  },
);

testPools("rejects its tasks if no worker can be started", async (make) => {
  await using pool = make();
  const starts = failStarts();
  try {
    const refused = [1, 2].map((x) =>
      assertRejects(() => pool.submit(tasks.add, x, 2), Error, "Cannot start")
    );
    await within("the end of the tasks", Promise.all(refused));
    assertEquals(starts.failed, 5);
  } finally {
    starts.restore();
  }
});

testPool(
  "ProcessPool",
  "kills a worker that does not obey terminate(), although it waits for its threads",
  (make) =>
    withFolder(async (folder) => {
      const pool = make({ workers: 1 });
      await pool.submit(tasks.startThread, `${folder}/gate`, folder, false);
      await pool.submit(tasks.ignoreSignal);
      // It says that it waits after both have been asked for
      const ends = [pool.shutdown(), pause(0).then(() => pool.terminate())];
      await within("its end", Promise.all(ends));
    }),
);

testPools(
  "keeps the locks that it was given",
  (make) =>
    withFolder(async (folder) => {
      await using pool = make({
        workers: 1,
        initializer: "keepLock",
        initializerArgs: [new Lock()],
      });
      tasks.collectGarbage();
      await pause(1); // a WeakRef keeps what it gave for this turn
      tasks.collectGarbage();
      assertEquals(await pool.submit(tasks.useLock), "held");
      const file = `${folder}/file`;
      const held = pool.submit(tasks.holdLock, new Lock(), file);
      await until(() => exists(file), "the task");
      tasks.collectGarbage();
      await pause(1);
      tasks.collectGarbage();
      await Deno.truncate(file);
      assertEquals(await held, "held");
    }),
);

for (const moves of [false, true]) {
  testPools(
    "lets no short task wait behind a long one while another worker idles" +
      (moves ? ", if data moves" : ""),
    (make) =>
      withFolder(async (folder) => {
        await using pool = make();
        function submit(file: string | null): Promise<string> {
          if (!moves) return pool.submit(tasks.waitForFile, file);
          const buffer = new ArrayBuffer(8);
          return pool.run(tasks.waitForFileWith, [file, buffer], {
            transfer: [buffer],
          });
        }
        const submitMany = () => Array.from({ length: 30 }, () => submit(null));
        for (let round = 0; round < 20; round++) {
          await Promise.all(submitMany());
        }
        const file = `${folder}/file`;
        const before = submitMany();
        const long = submit(file);
        const short = [...before, ...submitMany()];
        const passed = await within("the short tasks", Promise.all(short));
        assertEquals(new Set(passed), new Set(["passed"]));
        await Deno.writeTextFile(file, "");
        assertEquals(await long, "let go");
      }),
  );
}

testPools(
  "settles each task once while workers die and it ends",
  async (make) => {
    for (const end of ["shutdown", "cancel", "terminate", "both"]) {
      const pool = make({ retries: 1 });
      const counts = { settled: 0, refused: 0 };
      const settle = () => counts.settled++;
      const submitMany = (): void => {
        for (let index = 0; index < 20; index++) {
          const result = index % 10 === 3
            ? pool.submit(tasks.exit, 1)
            : index % 10 === 7
            ? pool.run(tasks.napAndTellPid, [60_000], { timeout: 30 })
            : pool.submit(tasks.addLater, index, 0);
          result.then(settle, settle);
        }
      };
      submitMany();
      await new Promise((resolve) => setTimeout(resolve, 100));
      submitMany();
      await Promise.resolve();
      const ended = end === "shutdown"
        ? pool.shutdown()
        : end === "cancel"
        ? pool.shutdown({ cancel: true })
        : end === "terminate"
        ? pool.terminate()
        : Promise.all([pool.shutdown(), pool.terminate(), pool.shutdown()]);
      await assertRejects(() => pool.submit(tasks.add, 1, 2), PoolClosedError);
      await ended;
      assertEquals(counts.settled, 40, end);
      const { completed, failed, cancelled, ...rest } = pool.stats();
      assertEquals(completed + failed + cancelled, 40, end);
      assertEquals([rest.workers, rest.queued, rest.running], [0, 0, 0]);
    }
  },
);

testPools("map() ends when the items misbehave", async (make) => {
  await using pool = make();
  const returned: string[] = [];
  function iterator(name: string, next: () => unknown): Iterable<number> {
    return {
      [Symbol.iterator]: () => ({
        next: next as () => IteratorResult<number>,
        return: () => {
          returned.push(name);
          return { done: true, value: undefined };
        },
      }),
    };
  }
  const none = iterator("none", () => {
    throw new RangeError("No first");
  });
  await assertRejects(
    async () => await pool.map(tasks.square, none),
    RangeError,
    "No first",
  );
  const odd = iterator("odd", () => undefined);
  await assertRejects(async () => await pool.map(tasks.square, odd), TypeError);
  let count = 0;
  const endless = iterator("endless", () => ({ done: false, value: count++ }));
  await assertRejects(
    async () => await pool.map(tasks.failOdd, endless),
    RemoteError,
    "No ",
  );
  await until(() => returned.includes("endless"), "the items to be told");
  async function* rejecting() {
    yield 2;
    await Promise.reject(new RangeError("No second"));
  }
  for (const ordered of [true, false]) {
    await assertRejects(
      async () => await pool.map(tasks.square, rejecting(), { ordered }),
      RangeError,
      "No second",
    );
  }
  assertEquals(pool.stats().queued + pool.stats().running, 0);
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
});

testPools("map() ends when its pool does", async (make) => {
  function* endless() {
    while (true) yield 1;
  }
  for (const ordered of [true, false]) {
    const pool = make();
    const all = (async () => {
      let count = 0;
      const results = pool.map(tasks.addOne, endless(), { ordered });
      for await (const _ of results) if (++count === 20) pool.terminate();
    })();
    await assertRejects(() => all, PoolClosedError);
    await pool.terminate();
  }
});

testPools("map() names the worker's death", async (make, kind) => {
  await using pool = make();
  const error = await assertRejects(
    async () => await pool.map("exit", [7, 7, 7]),
    RunnerExitError,
  );
  assertStringIncludes(error.message, `the ${kind} that ran it exited`);
  assertInstanceOf(error, RunnerExitError);
  assert(pool.stats().running === 0);
});

testPools("run() can be aborted while its worker starts", async (make) => {
  await using pool = make({ workers: 1 });
  const controller = new AbortController();
  const { signal } = controller;
  const result = pool.run(tasks.add, [1, 2], { signal });
  await Promise.resolve();
  assertEquals(pool.stats().workers, 1);
  controller.abort(new Error("enough"));
  await assertRejects(() => result, Error, "enough");
  assertEquals(await pool.submit(tasks.countCalls), 1);
  assertEquals(pool.stats().restarts, 0);
});

testPools("an abort after the result changes nothing", async (make) => {
  await using pool = make({ workers: 1 });
  const controller = new AbortController();
  const { signal } = controller;
  assertEquals(await pool.run(tasks.countCalls, [], { signal }), 1);
  controller.abort();
  assertEquals(await pool.submit(tasks.countCalls), 2);
  const { cancelled, completed, restarts } = pool.stats();
  assertEquals([cancelled, completed, restarts], [0, 2, 0]);
});

testPools("aborts in every state settle each task once", async (make) => {
  await using pool = make();
  let settled = 0;
  const results: Promise<unknown>[] = [];
  for (let index = 0; index < 60; index++) {
    const timeout = index % 2 === 0 ? index : 60_000;
    const controller = new AbortController();
    const { signal } = controller;
    const result = index % 3 === 0
      ? pool.run(tasks.napAndTellPid, [20], { signal, timeout })
      : pool.run(tasks.add, [1, 2], { signal, timeout });
    setTimeout(() => controller.abort(), 3 * index);
    results.push(result.finally(() => settled++));
  }
  await Promise.allSettled(results);
  assertEquals(settled, 60);
  await until(() => pool.stats().running === 0, "the end of what was killed");
  const { completed, failed, cancelled } = pool.stats();
  assertEquals([completed + cancelled, failed], [60, 0]);
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
});
