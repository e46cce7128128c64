import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { RunnerExitError } from "../../workers/base/errors.ts";
import { RLock } from "../../workers/locks/lock.ts";
import { testPool } from "./_pools.ts";
import * as tasks from "./tasks.ts";
import { listDescendants } from "../support/system.ts";
import { until } from "../support/waiting.ts";

testPool(
  "ProcessPool",
  "runs tasks in processes of their own",
  async (make) => {
    await using pool = make();
    const pids = new Set<number>();
    await until(async () => {
      const naps = [1, 2].map(() => pool.submit(tasks.napAndTellPid, 50));
      for (const pid of await Promise.all(naps)) pids.add(pid);
      return pids.size === 2;
    }, "both processes");
    assert(!pids.has(Deno.pid));
    if (Deno.build.os !== "linux") return; // children can't be listed
    const children = new Set(listDescendants().map(({ pid }) => pid));
    assert(pids.isSubsetOf(children));
  },
);

testPool(
  "ProcessPool",
  "refuses locks and shared memory, and says why",
  async (make) => {
    await using pool = make();
    for (
      const [value, name] of [
        [new RLock(), "an RLock"],
        [{ deep: [new RLock()] }, "an RLock"],
        [new SharedArrayBuffer(1), "a SharedArrayBuffer"],
      ]
    ) {
      await assertRejects(
        () => pool.submit(tasks.giveBack, 0, value),
        TypeError,
        `Cannot pass argument 1 of "giveBack": Cannot pass ${name} to a process`,
      );
    }
    assertEquals(pool.stats().workers, 0);
  },
);

testPool(
  "ProcessPool",
  "tells the signal that ended a process",
  async (make) => {
    await using pool = make({ workers: 1 });
    const pid = await pool.submit(tasks.pid);
    const nap = pool.submit(tasks.napAndTellPid, 60_000);
    await Promise.resolve();
    Deno.kill(pid, "SIGKILL");
    const error = await assertRejects(
      () => nap,
      RunnerExitError,
      "killed by signal 9",
    );
    assertEquals(error.exit.code, -9);
    assertNotEquals(await pool.submit(tasks.pid), pid);
  },
);

testPool(
  "ProcessPool",
  "ends a process in an endless loop at termination",
  async (make) => {
    const pool = make({ workers: 1 });
    const endless = pool.submit(tasks.forever);
    while (pool.stats().running === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const rejected = assertRejects(() => endless);
    await pool.terminate();
    await rejected;
    assert(pool.stats().workers === 0);
  },
);
