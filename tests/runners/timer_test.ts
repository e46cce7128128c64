import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type ExceptHookArgs,
  setExceptHook,
} from "../../workers/base/errors.ts";
import { within } from "../support/waiting.ts";
import { Timer } from "../../workers/threads/timer.ts";

Deno.test("Timer: it calls its function once its time is over", async () => {
  let calls = 0;
  const timer = new Timer(20, () => calls++);
  assertEquals(timer.interval, 20);
  assertFalse(timer.isAlive());
  const start = performance.now();
  timer.start();
  assert(timer.isAlive());
  await timer.finished;
  assertGreaterOrEqual(performance.now() - start, 18);
  assertFalse(timer.isAlive());
  assertEquals(calls, 1);
});

Deno.test("Timer.cancel(): nothing is called, and again does nothing", async () => {
  const timer = new Timer(1, () => {
    throw new Error("Called");
  });
  timer.start();
  timer.cancel();
  timer.cancel();
  await timer.finished;
  assertFalse(timer.isAlive());
});

Deno.test("Timer.cancel(): before start() it leaves nothing to do", async () => {
  const timer = new Timer(1, () => {
    throw new Error("Called");
  });
  timer.cancel();
  await timer.finished;
  timer.start();
  assertFalse(timer.isAlive());
  assertThrows(() => timer.start());
});

Deno.test("Timer.cancel(): too late it does nothing", async () => {
  const gate = Promise.withResolvers<void>();
  let done = false;
  const timer = new Timer(0, async () => {
    timer.cancel();
    await gate.promise;
    done = true;
  });
  timer.start();
  gate.resolve();
  await timer.finished;
  assert(done);
});

Deno.test("Timer.finished: it rejects with what the function throws", async () => {
  for (
    const target of [
      () => {
        throw new Error("No");
      },
      () => Promise.reject(new Error("No")),
    ]
  ) {
    const timer = new Timer(0, target);
    timer.start();
    await assertRejects(() => timer.finished, Error, "No");
    assertFalse(timer.isAlive());
  }
});

function failing(): never {
  throw "a text";
}

Deno.test("Timer: the except hook gets an error that nobody asked for", async () => {
  const caught = Promise.withResolvers<ExceptHookArgs>();
  const previous = setExceptHook(caught.resolve);
  try {
    const timer = new Timer(0, failing);
    timer.start();
    const { error, thread } = await within("the hook", caught.promise);
    assertStringIncludes(error.message, "a text");
    assertEquals(thread, { kind: "timer", name: "failing" });
    assertFalse(timer.isAlive());
  } finally {
    setExceptHook(previous);
  }
});

Deno.test("Timer: it ends although what its function throws can't be described", async () => {
  const caught = Promise.withResolvers<ExceptHookArgs>();
  const previous = setExceptHook(caught.resolve);
  const odd = {
    [Symbol.for("Deno.customInspect")]() {
      throw new RangeError("not to be described");
    },
  };
  try {
    const timer = new Timer(0, () => Promise.reject(odd));
    timer.start();
    const { error } = await within("the hook", caught.promise);
    assertEquals(error.cause, odd);
    assertFalse(timer.isAlive());
  } finally {
    setExceptHook(previous);
  }
});

Deno.test("Timer: it refuses what cannot work", () => {
  using timer = new Timer(1_000, () => {});
  timer.start();
  assertThrows(() => timer.start(), Error, "started already");
  timer.cancel();
  assertThrows(() => timer.start(), Error, "started already");
  for (const interval of [-1, NaN, Infinity, 2 ** 31]) {
    assertThrows(() => new Timer(interval, () => {}), RangeError);
  }
  assertThrows(
    () => new Timer(1, "function" as unknown as () => void),
    TypeError,
  );
});
