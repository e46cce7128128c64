/** What a worker says is not believed. */
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { RunnerExitError } from "../../workers/base/errors.ts";
import { checkPoolOptions } from "../../workers/pool/_options.ts";
import { Scheduler } from "../../workers/pool/_scheduler.ts";
import { Gate, module, testPool, testPools } from "./_pools.ts";
import { listThreads } from "../support/system.ts";
import { until } from "../support/waiting.ts";

const RECORD = { name: "Error", message: "" };

function nested(depth: number): object {
  return depth === 0
    ? RECORD
    : { ...RECORD, errors: [{ error: nested(depth - 1) }] };
}

const LIES: Record<string, unknown[]> = {
  "a text": ["x"],
  "a number": [7],
  "nothing": [null],
  "an object": [{ id: 0, status: 0 }],
  "an empty list": [[]],
  "a short answer": [[0, 0, 0]],
  "a second word that it is ready": [1],
  "an answer to a task that was not given": [[63, 0, 0, 0]],
  "an answer without a number": [["0", 0, 0, 0]],
  "an answer to half a task": [[0.5, 0, 0, 0]],
  "an answer to a task of before": [[-1, 0, 0, 0]],
  "two answers to a task": [[0, 0, 0, 0], [0, 0, 0, 0]],
  "an unknown status": [[0, 99, 0, 0]],
  "a status that is a text": [[0, "done", 0, 0]],
  "a time that is none": [[0, 0, 0, NaN]],
  "a time before it began": [[0, 0, 0, -1]],
  "an error that is none": [[0, 2, null, 0]],
  "an error's cause that is none": [[0, 2, {
    name: "Error",
    message: "",
    cause: { error: null },
  }, 0]],
  "an error's errors that are none": [[0, 2, { ...RECORD, errors: {} }, 0]],
  "an error of more than are read": [[0, 2, {
    ...RECORD,
    errors: new Array(65).fill({ value: 0 }),
  }, 0]],
  "an error with endless errors": [[0, 2, {
    ...RECORD,
    errors: new Array(2 ** 32 - 1),
  }, 0]],
  "an error that is deeper than is read": [[0, 2, nested(9), 0]],
  "that it left out a task that it was to do": [[0, 4, 0, 0]],
  "an uncaught error that is none": [[null]],
  "that it waits for others": [2],
  "the results of no chunk": [[0, 5, [[], []], 0]],
};

/** One of each sort: the same code reads what threads and processes say. */
const LIES_OF_PROCESSES = [
  "a text",
  "an empty list",
  "an answer to a task that was not given",
  "two answers to a task",
  "an error's cause that is none",
];

/** A pool of one worker, whose tasks can speak for it. */
class OpenPool extends Scheduler {
  constructor(kind: "thread" | "process") {
    super({
      ...checkPoolOptions(kind, { module, workers: 1 }),
      main: new URL("./open_main.ts", import.meta.url).href,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.terminate();
  }
}

testPools("ends a worker that says what it may not", async (_make, kind) => {
  await using pool = new OpenPool(kind);
  const names = kind === "thread" ? Object.keys(LIES) : LIES_OF_PROCESSES;
  for (const name of names) {
    const messages = LIES[name]!;
    const result = pool.submit("say", messages, {}).promise;
    const error = await result.then(
      (value) => value,
      (error) => error,
    );
    // The first answer was right.
    if (name !== "two answers to a task") {
      assertInstanceOf(error, RunnerExitError, name);
      assertStringIncludes(error.message, "protocol error", name);
    }
    await until(() => pool.stats().workers === 0 || pool.idle, name);
    assertEquals(await pool.submit("add", [1, 2], {}).promise, 3, name);
  }
});

testPool(
  "ThreadPool",
  "runs no task twice when a thread that was given up wakes, and tells why it was",
  async () => {
    await using pool = new OpenPool("thread");
    const calls = new Int32Array(new SharedArrayBuffer(8));
    const gate = new Gate();
    const call = (memory: Int32Array | null) =>
      pool.submit("sayAndLoop", [calls, memory], {}).promise;
    // Only what is known to be tiny is given to a thread ahead.
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 100 }, () => call(null)));
    }
    calls[0] = 0;
    const fatal = call(gate.memory);
    const behind = Array.from({ length: 20 }, () => call(null));
    const error = await assertRejects(() => fatal, RunnerExitError);
    assertStringIncludes(error.message, "malformed or out of order");
    await Promise.all(behind);
    gate.open();
    await until(
      () => !listThreads().includes(calls[1]!),
      "the end of the thread",
    );
    assertEquals(calls[0], 21);
  },
);

testPools("lets no task forge results", async (make) => {
  const url = new URL("./forging_module.ts", import.meta.url);
  await using pool = make({ module: url, workers: 1 });
  const results = await Promise.all(
    Array.from({ length: 50 }, () => pool.submit("forge")),
  );
  assertEquals(new Set(results), new Set(["honest"]));
});
