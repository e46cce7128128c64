import {
  assert,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { PoolClosedError } from "../../workers/base/errors.ts";
import { ThreadPool } from "../../workers/pool/pool.ts";
import { Gate, testPool, testPools, withFolder } from "./_pools.ts";
import * as tasks from "./tasks.ts";
import { until, within } from "../support/waiting.ts";

testPools("run() does as submit() does", async (make) => {
  await using pool = make();
  const sum: number = await pool.run(tasks.add, [1, 2]);
  const later = await pool.run(tasks.addLater, [3, 4], { timeout: 60_000 });
  const named = await pool.run<number>("add", [5, 6], {
    signal: new AbortController().signal,
  });
  assertEquals([sum, later, named], [3, 7, 11]);
  await assertRejects(() => pool.run(tasks.fail, ["no"]), Error, "no");
});

testPools(
  "run() takes a task out that waits when it is aborted",
  async (make) => {
    const file = await Deno.makeTempFile();
    try {
      await using pool = make({ workers: 1 });
      const first = pool.submit(tasks.noteAndNap, file, 50);
      await until(() => Deno.readTextFileSync(file) !== "", "the first task");
      const controller = new AbortController();
      const { signal } = controller;
      const waiting = Array.from(
        { length: 5 },
        () => pool.run(tasks.countCalls, [], { signal }),
      );
      const between = pool.submit(tasks.add, 1, 2);
      assertEquals(pool.stats().queued, 6);
      controller.abort(new RangeError("enough"));
      for (const result of waiting) {
        await assertRejects(() => result, RangeError, "enough");
      }
      assertEquals(pool.stats().queued, 1);
      await first;
      assertEquals(await between, 3);
      assertEquals(await pool.submit(tasks.countCalls), 1);
      const { cancelled, restarts, completed } = pool.stats();
      assertEquals([cancelled, restarts, completed], [5, 0, 3]);
    } finally {
      await Deno.remove(file);
    }
  },
);

testPools(
  "run() costs a running task its worker when it is aborted",
  async (make) => {
    const file = await Deno.makeTempFile();
    try {
      await using pool = make({ workers: 1, retries: 3 });
      const controller = new AbortController();
      const { signal } = controller;
      assertEquals(await pool.submit(tasks.countCalls), 1);
      const hanging = pool.run(tasks.hang, [file], { signal });
      await until(() => Deno.readTextFileSync(file) !== "", "the task");
      const behind = pool.submit(tasks.countCalls);
      controller.abort();
      const error = await assertRejects(() => hanging, DOMException);
      assertEquals(error.name, "AbortError");
      // A new worker has not counted yet.
      assertEquals(await behind, 1);
      const { cancelled, failed, restarts } = pool.stats();
      assertEquals([cancelled, failed, restarts], [1, 0, 1]);
      const begun = await Deno.readTextFile(file);
      assertEquals(begun.split("\n").length, 2);
    } finally {
      await Deno.remove(file);
    }
  },
);

testPools("run() ends a task that takes too long", async (make) => {
  await using pool = make({ workers: 1 });
  const endless = pool.run(tasks.napAndTellPid, [60_000], { timeout: 50 });
  const waiting = pool.run(tasks.add, [1, 2], { timeout: 0 });
  const [error, other] = await Promise.all([
    assertRejects(() => endless, DOMException),
    assertRejects(() => waiting, DOMException),
  ]);
  assertEquals([error.name, other.name], ["TimeoutError", "TimeoutError"]);
  assertStringIncludes(error.message, '"napAndTellPid"');
  assertStringIncludes(error.message, "50 ms");
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
});

testPool(
  "ThreadPool",
  "run() sets a thread aside that can't be stopped",
  async (make) => {
    const gate = new Gate();
    await using pool = make({ workers: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const looping = pool.run<never>("loopUntil", [gate.memory], { signal });
    await gate.arrived(1);
    controller.abort(new Error("enough"));
    await assertRejects(() => looping, Error, "enough");
    // The other thread is there before the first is given up.
    assertEquals(await pool.submit(tasks.add, 1, 2), 3);
    gate.open();
  },
);

testPool(
  "ProcessPool",
  "run() kills a process in an endless loop",
  async (make) => {
    await using pool = make({ workers: 1 });
    const before = await pool.submit(tasks.pid);
    const endless = pool.run(tasks.forever, [], { timeout: 50 });
    await assertRejects(() => endless, DOMException);
    assertNotEquals(await pool.submit(tasks.pid), before);
  },
);

testPools(
  "run() leaves other tasks alone when one is aborted",
  async (make) => {
    await using pool = make();
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 100 }, () => pool.submit(tasks.add, 1, 2)),
      );
    }
    const controllers = Array.from({ length: 20 }, () => new AbortController());
    const results: Promise<unknown>[] = [];
    for (const { signal } of controllers) {
      for (let index = 0; index < 30; index++) {
        results.push(pool.submit(tasks.add, index, 1));
      }
      results.push(pool.run(tasks.add, [0, 0], { signal }));
    }
    const ended = Promise.allSettled(results);
    for (const controller of controllers) {
      controller.abort(new Error("enough"));
      await new Promise((resolve) => setTimeout(resolve));
    }
    const settled = await ended;
    settled.forEach((result, index) => {
      if (index % 31 === 30) {
        if (result.status === "rejected") {
          assertStringIncludes(result.reason.message, "enough");
        }
      } else {assertEquals(result, {
          status: "fulfilled",
          value: index % 31 + 1,
        });}
    });
    await until(() => pool.stats().running === 0, "the end of what was killed");
  },
);

testPools(
  "run() refuses what is aborted already, and what can't work",
  async (make) => {
    await using pool = make();
    const signal = AbortSignal.abort(new RangeError("before"));
    await assertRejects(
      () => pool.run(tasks.add, [1, 2], { signal }),
      RangeError,
      "before",
    );
    for (const timeout of [-1, NaN, "5" as never]) {
      await assertRejects(
        () => pool.run(tasks.add, [1, 2], { timeout }),
        Error,
        '"timeout"',
      );
    }
    await assertRejects(
      () => pool.run(tasks.add, [1, 2], { timeot: 5 } as object),
      TypeError,
      '"timeot": run() has no such option, only signal, timeout, abortTimeout, transfer',
    );
    await assertRejects(
      () => pool.run(tasks.add, 5 as never),
      TypeError,
      '"args"',
    );
    await assertRejects(
      () => pool.run(tasks.add, [1, 2], { signal: {} as AbortSignal }),
      TypeError,
      '"signal"',
    );
    await assertRejects(
      () => pool.run(tasks.add, [1, 2], { transfer: {} as never }),
      TypeError,
      '"transfer"',
    );
    assertEquals(pool.stats().workers, 0);
    await assertRejects(
      () => pool.run(tasks.add, [1, 2], { transfer: [{}] as never }),
      TypeError,
      '"add"',
    );
  },
);

testPools("run() moves what is to be moved", async (make, kind) => {
  await using pool = make({ workers: 1 });
  for (let round = 0; round < 3; round++) {
    const bytes = new Uint8Array(65_536);
    const { buffer } = bytes;
    const moved = pool.run(tasks.addByte, [bytes], { transfer: [buffer] });
    const result = await moved;
    assert(buffer.detached);
    assertEquals([result.length, result[0]], [65_536, 1]);
  }
  const buffer = new ArrayBuffer(8);
  const options = { transfer: [buffer] };
  assertEquals(await pool.run(tasks.keepBuffer, [buffer], options), 8);
  // What the task keeps is its own.
  assertEquals(await pool.submit(tasks.tellKept), [8, false]);
  assertEquals(await pool.run(tasks.giveKept, []), new ArrayBuffer(8));
  assertEquals(await pool.submit(tasks.tellKept), [8, false]);
  if (kind === "process") return;
  const kept = new ArrayBuffer(8);
  assertEquals(
    await pool.run(tasks.keepAndGiveBuffer, [kept], { transfer: [kept] }),
    new ArrayBuffer(8),
  );
  assertEquals(await pool.submit(tasks.tellKept), [0, true]);
});

testPool("ThreadPool", "run() moves ports, there and back", async (make) => {
  await using pool = make({ workers: 1 });
  const { port1, port2 } = new MessageChannel();
  const heard = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  const port = await pool.run(tasks.sayAndReturn, [port2], {
    transfer: [port2],
  });
  assert(port instanceof MessagePort);
  assertEquals(await heard, "said");
  const answer = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  port.postMessage("again");
  assertEquals(await answer, "again");
  port.close();
  port1.close();
});

testPool(
  "ThreadPool",
  "run() does not run a task again whose data went with its thread",
  async (make) => {
    await using pool = make({ workers: 1, retries: 5 });
    const buffer = new ArrayBuffer(8);
    await assertRejects(
      () => pool.run("exit", [1, buffer], { transfer: [buffer] }),
      Error,
      "exited with code 1",
    );
    assertEquals(await pool.submit(tasks.add, 1, 2), 3);
  },
);

testPools(
  "run() keeps the worker of an aborted task that obeys its signal",
  (make) =>
    withFolder(async (folder) => {
      await using pool = make({ workers: 1 });
      const file = `${folder}/file`;
      const read = () => Deno.readTextFileSync(file);
      assertEquals(await pool.submit(tasks.countCalls), 1);
      for (const name of ["AbortError", "TimeoutError"]) {
        const controller = new AbortController();
        const { signal } = controller;
        const aborts = name === "AbortError";
        const options = aborts ? { signal } : { timeout: 100 };
        await Deno.writeTextFile(file, "");
        const aborted = pool.run(tasks.obey, [file, signal], options);
        await until(() => read() !== "", "the task");
        if (aborts) controller.abort();
        const error = await assertRejects(() => aborted, DOMException);
        assertEquals(error.name, name);
        await until(() => pool.stats().running === 0, "its end");
        assertEquals(read(), `begun\n${name}\n`);
      }
      assertEquals(await pool.submit(tasks.countCalls), 2);
      const { cancelled, restarts } = pool.stats();
      assertEquals([cancelled, restarts], [2, 0]);
    }),
);

testPools(
  "run() replaces the worker of an aborted task that goes on for abortTimeout",
  (make) =>
    withFolder(async (folder) => {
      await using pool = make({ workers: 1 });
      assertEquals(await pool.submit(tasks.countCalls), 1);
      const controller = new AbortController();
      const { signal } = controller;
      const file = `${folder}/file`;
      await Deno.writeTextFile(file, "");
      const hanging = pool.run("hang", [file, signal], {
        signal,
        abortTimeout: 50,
      });
      await until(() => Deno.readTextFileSync(file) !== "", "the task");
      controller.abort(new RangeError("enough"));
      await assertRejects(() => hanging, RangeError, "enough");
      assertEquals(await pool.submit(tasks.countCalls), 1);
      assertEquals(pool.stats().restarts, 1);
    }),
);

testPools(
  "a signal among the arguments follows the original, whoever runs the task",
  (make) =>
    withFolder(async (folder) => {
      await using pool = make({ workers: 1 });
      const file = `${folder}/file`;
      const controller = new AbortController();
      const { signal } = controller;
      const obeying = pool.submit(tasks.obey, file, signal);
      await until(() => pool.stats().running === 1, "the task");
      controller.abort(new RangeError("enough"));
      assertEquals(await obeying, "RangeError");
      // One that was aborted before, and one with a reason that can't cross
      assertEquals(await pool.submit(tasks.obey, file, signal), "RangeError");
      const odd = AbortSignal.abort(() => {});
      assertEquals(await pool.submit(tasks.obey, file, odd), "AbortError");
      assertEquals(pool.stats().restarts, 0);
    }),
);

testPools(
  "run() lets 20,000 tasks that wait be aborted in no time",
  async (make) => {
    await using pool = make({ workers: 1 });
    const nap = pool.submit(tasks.nap, 50);
    const controller = new AbortController();
    const { signal } = controller;
    const results = Array.from(
      { length: 20_000 },
      () => pool.run(tasks.add, [1, 2], { signal }),
    );
    const settled = Promise.allSettled(results);
    const begun = performance.now();
    controller.abort();
    // It took over 7 s when each looked through all others
    assertLess(performance.now() - begun, 4_000);
    const reasons = (await settled).map(({ status }) => status);
    assertEquals(new Set(reasons), new Set(["rejected"]));
    assertEquals(await nap, 50);
    assertEquals(pool.stats().cancelled, 20_000);
  },
);

testPools("run() and shutdown() settle a task once", async (make) => {
  for (const way of ["abort first", "end first"]) {
    const pool = make({ workers: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const results = Array.from(
      { length: 3 },
      () => pool.run(tasks.napAndTellPid, [60_000], { signal }),
    );
    const settled = Promise.allSettled(results);
    await until(() => pool.stats().running === 1, "the first task");
    if (way === "abort first") controller.abort(new Error("enough"));
    const ended = Promise.all([pool.terminate(), pool.shutdown()]);
    controller.abort(new Error("enough"));
    for (const { reason } of await settled as PromiseRejectedResult[]) {
      assert(reason instanceof PoolClosedError || reason.message === "enough");
    }
    await ended;
    assertEquals(pool.stats().cancelled + pool.stats().failed, 3);
  }
});

/** Checked by the compiler alone. */
export function typesAreChecked(pool: ThreadPool): void {
  const sum: Promise<number> = pool.run(tasks.add, [1, 2]);
  const sums: PromiseLike<number[]> = pool.starmap(tasks.add, [[1, 2]]);
  // @ts-expect-error A text is no number
  pool.run(tasks.add, [1, "2"]);
  // @ts-expect-error An argument is missing
  pool.run(tasks.add, [1]);
  // @ts-expect-error A text is no number
  pool.starmap(tasks.add, [[1, "2"]]);
  const initializer = tasks.add;
  new ThreadPool({ module: "", initializer, initializerArgs: [1, 2] });
  // @ts-expect-error A text is no number
  new ThreadPool({ module: "", initializer, initializerArgs: [1, "2"] });
  void [sum, sums];
}

/** What can't cross to any worker, and what can't to a process alone. */
const STRANGE_REASONS: [name: string, reason: unknown][] = [
  ["function", () => {}],
  ["blob", new Blob(["x"])],
  ["function without a text", Object.assign(Object.create(null), { f() {} })],
];

testPools("a signal may be aborted with what can't cross", async (make) => {
  await using pool = make({ workers: 1 });
  const { pid } = tasks;
  const before = await pool.submit(pid);
  for (const [name, reason] of STRANGE_REASONS) {
    const controller = new AbortController();
    const { signal } = controller;
    const file = await Deno.makeTempFile();
    try {
      const result = pool.run(tasks.obey, [file, signal], { signal });
      await until(() => Deno.readTextFileSync(file) !== "", "the task");
      controller.abort(reason);
      const thrown = await result.then(() => null, (error) => error);
      assertEquals(thrown === reason, true, name);
      assertEquals(await pool.submit(pid), before);
      const aborted = pool.submit(tasks.reasonOf, signal);
      assertEquals(typeof await within(name, aborted), "string");
    } finally {
      await Deno.remove(file);
    }
  }
  assertEquals(pool.stats().restarts, 0);
});

testPool(
  "ThreadPool",
  "a signal that is aborted while its task waits in a worker is not lost",
  async (make) => {
    await using pool = make({ workers: 1 });
    // Until both are known to be tiny, and so are given ahead
    const signal = AbortSignal.abort();
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 50 }, () => [
          pool.submit(tasks.awaitGate, null),
          pool.submit(tasks.reasonOf, signal),
        ]).flat(),
      );
    }
    const gate = new Gate();
    const first = pool.submit(tasks.awaitGate, gate.memory);
    const controller = new AbortController();
    const next = pool.submit(tasks.reasonOf, controller.signal);
    await gate.arrived(1);
    controller.abort("gone");
    gate.open();
    await first;
    try {
      assertEquals(await within("the task", next), "gone");
    } finally {
      pool.terminate();
    }
  },
);
