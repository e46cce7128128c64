import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  activeCount,
  currentThread,
  enumerate,
  mainThread,
  Thread,
  type ThreadOptions,
} from "../../workers/threads/thread.ts";
import {
  callExceptHook,
  type ExceptHook,
  type ExceptHookArgs,
  ModuleImportError,
  RemoteError,
  RunnerExitError,
  setExceptHook,
} from "../../workers/base/errors.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { currentProcess, Process } from "../../workers/threads/process.ts";
import * as targets from "./targets.ts";
import "../support/leaks.ts";
import { listDescendants } from "../support/system.ts";
import { until, within } from "../support/waiting.ts";

const module = new URL("./targets.ts", import.meta.url);

function thread<T>(
  target: NonNullable<ThreadOptions<T>["target"]>,
  options: Omit<ThreadOptions<T>, "target"> = {},
): Thread<T> {
  return new Thread<T>({ target, module, ...options });
}

function createGate(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

function openGate(gate: Int32Array): void {
  Atomics.store(gate, 1, 1);
}

/** Waits until so many threads stand at the gate. */
async function arrivals(gate: Int32Array, count: number): Promise<void> {
  while (Atomics.load(gate, 0) < count) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Runs with a hook that keeps what it is told. */
async function withHook(
  run: (told: ExceptHookArgs[]) => Promise<void>,
  hook: ExceptHook = () => {},
): Promise<void> {
  const told: ExceptHookArgs[] = [];
  const previous = setExceptHook((args) => {
    told.push(args);
    return hook(args);
  });
  try {
    await run(told);
  } finally {
    setExceptHook(previous);
  }
}

/** Runs while what is printed to stderr is kept, a piece for each write. */
async function withStderr(
  run: (written: string[]) => Promise<void>,
): Promise<void> {
  const written: string[] = [];
  const { writeSync } = Deno.stderr;
  Deno.stderr.writeSync = (bytes) => {
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    await run(written);
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
}

Deno.test("Thread runs its target and gives the result", async () => {
  const sum = thread(targets.add, { args: [1, 2] });
  sum.start();
  const result: number = await sum.result;
  assertEquals(result, 3);
  assertEquals(await sum.join(), true);
});

Deno.test("Thread waits for a target that is asynchronous", async () => {
  const sum = thread(targets.addLater, { args: [1, 2] });
  sum.start();
  assertEquals(await sum.result, 3);
  await sum.join();
});

Deno.test("Thread takes a target's name, and a module as string or URL", async () => {
  const sum = thread<number>("add", { args: [2, 3], module: module.href });
  assertMatch(sum.name, /^Thread-\d+ \(add\)$/);
  sum.start();
  assertEquals(await sum.result, 5);
  await sum.join();
});

Deno.test("Thread names: numbered with the target, given, and changed", () => {
  const first = thread(targets.add);
  const second = thread(targets.fail);
  const [, number, target] = /^Thread-(\d+) \((\w+)\)$/.exec(first.name)!;
  assertEquals(target, "add");
  assertEquals(second.name, `Thread-${Number(number) + 1} (fail)`);
  assertEquals(new targets.Square(1).name, `Thread-${Number(number) + 2}`);
  const named = thread(targets.add, { name: "adder" });
  assertEquals([named.name, named.getName()], ["adder", "adder"]);
  named.name = "summer";
  assertEquals(named.getName(), "summer");
  named.setName("last");
  assertEquals(named.name, "last");
  assertThrows(
    () => named.setName(5 as unknown as string),
    TypeError,
    '"name"',
  );
});

Deno.test("Threads: ten gated by a semaphore are all alive until they are let go", async () => {
  const gate = createGate();
  const threads = Array.from(
    { length: 10 },
    () => thread(targets.passGate, { args: [gate] }),
  );
  for (const each of threads) {
    assertEquals([each.ident, each.isAlive()], [null, false]);
    each.start();
  }
  await arrivals(gate, 10);
  assert(threads.every((each) => each.isAlive()));
  assertEquals(activeCount(), 11);
  assertEquals(new Set(threads.map(({ ident }) => ident)).size, 10);
  openGate(gate);
  for (const each of threads) assertEquals(await each.join(), true);
  assert(threads.every((each) => !each.isAlive()));
  assert(threads.every(({ ident }) => ident !== null));
  assertEquals(activeCount(), 1);
});

Deno.test("Thread.isAlive() and ident over a life", async () => {
  const sum = thread(targets.add, { args: [1, 2] });
  assertEquals([sum.isAlive(), sum.ident], [false, null]);
  sum.start();
  assertEquals(sum.isAlive(), true);
  const { ident } = sum;
  assert(Number.isInteger(ident) && ident !== mainThread().ident);
  await sum.join();
  assertEquals([sum.isAlive(), sum.ident], [false, ident]);
});

Deno.test("enumerate() leaves out the joined", async () => {
  const gate = createGate();
  const waiting = thread(targets.passGate, { args: [gate] });
  assertEquals(enumerate(), [mainThread()]);
  waiting.start();
  assertEquals(enumerate(), [mainThread(), waiting]);
  openGate(gate);
  await waiting.join();
  assertEquals(enumerate(), [mainThread()]);
});

Deno.test("currentThread() in a thread is that thread", async () => {
  const asked = thread(targets.tellWhoIAm, { name: "asked", args: [1, "a"] });
  asked.start();
  assertEquals(await asked.result, {
    name: "asked",
    ident: asked.ident,
    daemon: false,
    alive: true,
    args: [1, "a"],
    isThread: true,
    main: "MainThread",
    isMain: false,
    active: 1,
    listed: ["asked"],
  });
  await asked.join();
});

Deno.test("mainThread() is the current one, alive and no daemon", () => {
  const main = mainThread();
  assertStrictEquals(currentThread(), main);
  assertEquals([main.name, main.isAlive(), main.daemon, main.ident], [
    "MainThread",
    true,
    false,
    1,
  ]);
});

Deno.test("Thread.start() a second time is an error", async () => {
  const sum = thread(targets.add, { args: [1, 2] });
  sum.start();
  assertThrows(() => sum.start(), Error, "it was started already");
  await sum.join();
  assertThrows(() => sum.start(), Error, "it was started already");
  assertThrows(() => mainThread().start(), Error, "it was started already");
});

Deno.test("Thread.join() of an unstarted thread is an error", async () => {
  await assertRejects(
    () => thread(targets.add).join(),
    Error,
    "it was not started",
  );
});

Deno.test("Thread.join() of oneself is an error", async () => {
  await assertRejects(
    () => currentThread().join(),
    Error,
    "it would wait for itself",
  );
  const joining = thread(targets.joinMyself);
  joining.start();
  assertMatch(await joining.result, /it would wait for itself/);
  await joining.join();
});

Deno.test("Thread.join() tells whether it ended in time", async () => {
  const gate = createGate();
  const waiting = thread(targets.passGate, { args: [gate] });
  waiting.start();
  assertEquals(await waiting.join(0), false);
  assertEquals(await waiting.join(5), false);
  openGate(gate);
  assertEquals(await waiting.join(30_000), true);
  assertEquals(await waiting.join(0), true);
  assertEquals(await waiting.join(Infinity), true);
});

Deno.test("Thread.join() refuses options that make no sense", async () => {
  const sum = thread(targets.add, { args: [1, 2] });
  sum.start();
  const signal = 5 as unknown as AbortSignal;
  await assertRejects(() => sum.join({ signal }), TypeError, '"signal"');
  const misspelled = { timout: 5 } as object;
  await assertRejects(() => sum.join(misspelled), TypeError, '"timout"');
  await sum.join();
});

Deno.test("Thread.join() takes a signal, which ends the wait with its reason", async () => {
  const gate = createGate();
  const gated = thread(targets.passGate, { args: [gate] });
  gated.start();
  const controller = new AbortController();
  const joining = gated.join({ timeout: 60_000, signal: controller.signal });
  const reason = new Error("no longer");
  controller.abort(reason);
  assertStrictEquals(await joining.catch((error) => error), reason);
  const { signal } = controller;
  assertStrictEquals(await gated.join({ signal }).catch((e) => e), reason);
  assertEquals(await gated.join({ timeout: 1 }), false);
  openGate(gate);
  assertEquals(
    await gated.join({ signal: new AbortController().signal }),
    true,
  );
  assertEquals(await gated.join({ timeout: 0 }), true);
});

Deno.test("Threads: twenty started in a loop run side by side, and are joined in a loop", async () => {
  const gate = createGate();
  const threads: Thread[] = [];
  for (let number = 0; number < 20; number++) {
    const thread = new Thread({
      target: targets.passGate,
      args: [gate],
      module: new URL("./targets.ts", import.meta.url),
    });
    thread.start();
    threads.push(thread);
  }
  // Were they to run one after another, the first would wait for ever
  await arrivals(gate, 20);
  openGate(gate);
  for (const thread of threads) assertEquals(await thread.join(), true);
  assertEquals(enumerate(), [mainThread()]);
});

Deno.test("Thread.start() starts a thread whose caller blocks at once", async () => {
  const event = new ThreadEvent();
  const setting = thread(targets.setEvent, { args: [event] });
  setting.start();
  assert(event.waitSync({ timeout: 30_000 }));
  await setting.join();
});

Deno.test("Thread's args are checked against its target by the compiler", () => {
  const module = new URL("./targets.ts", import.meta.url);
  const { add, addLater, tellWhoIAm, giveBack } = targets;
  const sum: Thread<number> = new Thread({ target: add, args: [1, 2], module });
  const list: Thread<number>[] = [
    sum,
    new Thread({ target: addLater, args: [1, 2] as const, module }),
    new Thread<number>({ target: "add", args: ["unchecked"], module }),
    new Thread<number>({ target: add, args: ["unchecked"], module }),
  ];
  new Thread({ target: tellWhoIAm, module });
  new Thread({ target: giveBack, args: [1, "two"], module });
  // @ts-expect-error: one is missing
  new Thread({ target: add, args: [1], module });
  // @ts-expect-error: one is too many
  new Thread({ target: add, args: [1, 2, 3], module });
  // @ts-expect-error: one is of another type
  new Thread({ target: add, args: [1, "2"], module });
  // @ts-expect-error: all are missing
  new Thread({ target: add, module });
  // @ts-expect-error: it takes none
  new Thread({ target: tellWhoIAm, args: [1], module });
  assertEquals(list.length, 4);
});

Deno.test("Thread.join() refuses time-outs that make no sense", async () => {
  const sum = thread(targets.add);
  await assertRejects(() => sum.join(-1), RangeError, '"timeout"');
  await assertRejects(() => sum.join(NaN), TypeError, '"timeout"');
  await assertRejects(
    () => sum.join("5" as unknown as number),
    TypeError,
    '"timeout"',
  );
});

Deno.test("Thread.daemon can be set until the start, and late is an error", async () => {
  const sum = thread(targets.add, { args: [1, 2] });
  assertEquals(sum.daemon, false);
  sum.daemon = true;
  assertEquals(sum.daemon, true);
  assertThrows(
    () => sum.daemon = "yes" as unknown as boolean,
    TypeError,
    '"daemon"',
  );
  sum.start();
  assertThrows(() => sum.daemon = false, Error, "it was started already");
  await sum.join();
  assertThrows(() => sum.daemon = false, Error, "it was started already");
});

Deno.test("Thread.daemon is inherited from the thread, Process.daemon from the process", async () => {
  for (const daemon of [true, false]) {
    const asked = thread(targets.inheritDaemon, { daemon });
    asked.start();
    await asked.join();
    assertEquals(await asked.result, [daemon, false]);
  }
});

Deno.test("currentProcess() is known in each thread of a program", async () => {
  const main = currentProcess();
  assertEquals([main.name, main.pid, main.daemon, main.isAlive()], [
    "MainProcess",
    Deno.pid,
    false,
    true,
  ]);
  assertStrictEquals(currentProcess(), main);
  await assertRejects(() => main.join(), Error, "wait for itself");
  const asked = thread(targets.tellProcess, { args: [true] });
  asked.start();
  const told = ["MainProcess", false, Deno.pid, []];
  assertEquals(await asked.result, [told, told]);
  await asked.join();
});

Deno.test("Thread.result rejects with the original's name, message, stack and cause", async () => {
  const failing = thread(targets.fail, { args: ["on purpose"] });
  failing.start();
  const error = await assertRejects(() => failing.result, RemoteError);
  assertEquals(String(error), "RangeError: on purpose");
  assertMatch(error.stack ?? "", /at fail \(.*targets\.ts/);
  assertInstanceOf(error.cause, RemoteError);
  assertEquals(String(error.cause), "TypeError: the cause");
  await failing.join();
});

Deno.test("Thread.result rejects if the thread ends itself", async () => {
  const exiting = thread(targets.exitWith, { args: [4] });
  exiting.start();
  const error = await assertRejects(() => exiting.result, RunnerExitError);
  assertEquals(error.exit, { code: 4, reason: "exit" });
  await exiting.join();
});

Deno.test("Thread.result rejects for a result that can't be cloned", async () => {
  const giving = thread(targets.giveFunction, { name: "giving" });
  giving.start();
  await assertRejects(
    () => giving.result,
    RemoteError,
    'Cannot return the result of thread "giving"',
  );
  await giving.join();
});

Deno.test("an error in one thread leaves the others alone", async () => {
  const gate = createGate();
  const waiting = thread(targets.passGate, { args: [gate] });
  waiting.start();
  await withHook(async (told) => {
    const failing = thread(targets.fail, { args: ["on purpose"] });
    failing.start();
    await failing.join();
    assertEquals(told.length, 1);
  });
  assert(waiting.isAlive());
  openGate(gate);
  assertEquals(await waiting.join(), true);
});

Deno.test("the except hook by default prints once, in one write", async () => {
  await withStderr(async (written) => {
    const failing = thread(targets.fail, { args: ["on purpose"] });
    failing.start();
    await failing.join();
    assertEquals(written.length, 1);
    const pattern = new RegExp(
      `^Exception in thread Thread-\\d+ \\(fail\\):\nRangeError: on purpose\n` +
        `    at fail .*\nCaused by: TypeError: the cause\n.*\n$`,
      "s",
    );
    assertMatch(written[0]!, pattern);
  });
});

Deno.test("the except hook by default prints errors that cause each other, or can't be read", async () => {
  const ring = new Error("outer", { cause: new Error("inner") });
  (ring.cause as Error).cause = ring;
  const closed = Object.defineProperty(new Error("closed"), "stack", {
    get: () => assert(false),
  });
  const replaced = Object.defineProperty(new Error("replaced"), "stack", {
    value: { toString: () => assert(false) },
  });
  for (const cause of [ring, closed, replaced]) {
    const error = new Error("top", { cause });
    await withStderr(async (written) => {
      const thread = { kind: "timer", name: "broken" } as const;
      await callExceptHook({ error, thread });
      assertEquals(written.length, 1);
      assertMatch(
        written[0]!,
        cause === ring
          ? /^Exception in timer broken:\nError: top\n.*by: Error: outer\n.*by: Error: inner\n(?!.*\nCaused)/s
          : /^Exception in timer broken:\nError: top\n.*by: what can't be described/s,
      );
    });
  }
});

Deno.test("the except hook by default prints in short what few bytes would make long", async () => {
  let cause: unknown = "leaf";
  for (let level = 0; level < 10; level++) cause = new Array(100).fill(cause);
  await withStderr(async (written) => {
    await callExceptHook({
      error: new Error("top", { cause }),
      thread: { kind: "timer", name: "long" },
    });
    assertMatch(written[0]!, /\nCaused by: \[/);
  });
});

Deno.test("the except hook that was set is told the error and the thread", async () => {
  await withHook(async (told) => {
    const failing = new targets.Failing({ name: "failing" });
    failing.start();
    await failing.join();
    assertEquals(told.length, 1);
    assertStrictEquals(told[0]!.thread, failing);
    assertEquals(
      String(told[0]!.error),
      `Error: failing failed, number ${failing.ident}`,
    );
  });
});

Deno.test("the except hook that fails is contained", async () => {
  const hooks: ExceptHook[] = [
    () => {
      throw new Error("The hook fails");
    },
    () => Promise.reject(new Error("The hook fails")),
  ];
  for (const hook of hooks) {
    await withStderr((written) =>
      withHook(async () => {
        const failing = thread(targets.fail, { args: ["on purpose"] });
        failing.start();
        await failing.join();
        await new Promise((resolve) => setTimeout(resolve));
        assertEquals(written.length, 1);
        assertMatch(
          written[0]!,
          /^Exception in the except hook, .*The hook f/s,
        );
      }, hook)
    );
  }
});

Deno.test("the except hook is left alone where somebody asked for the result", async () => {
  await withHook(async (told) => {
    const failing = thread(targets.fail, { args: ["on purpose"] });
    failing.start();
    await assertRejects(() => failing.result, RemoteError);
    await failing.join();
    assertEquals(told, []);
  });
});

Deno.test("setExceptHook() refuses what is no function", () => {
  assertThrows(() => setExceptHook(5 as unknown as null), TypeError);
});

Deno.test("a thread's variables are its own", async () => {
  const first = thread(targets.addLocal, { args: [1] });
  const second = thread(targets.addLocal, { args: [10] });
  first.start();
  second.start();
  assertEquals(await first.result, 1);
  assertEquals(await second.result, 10);
  assertEquals(targets.addLocal(100), 100);
  await Promise.all([first.join(), second.join()]);
});

Deno.test("a thread's arguments are copied, and shared memory is shared", async () => {
  const memory = new Int32Array(new SharedArrayBuffer(4));
  const list = [1, 2];
  const giving = thread(targets.giveBack, {
    args: [list, memory, new Map([[1, 2n]])],
  });
  giving.start();
  list.push(3);
  const [copy, same, map] = await giving.result as [
    number[],
    Int32Array,
    Map<number, bigint>,
  ];
  memory[0] = 7;
  assertEquals([copy, same[0], map.get(1)], [[1, 2], 7, 2n]);
  await giving.join();
});

Deno.test("a thread's arguments may contain locks, which are shared", async () => {
  const lock = new Lock();
  await lock.acquire();
  const locking = thread(targets.waitForLock, { args: [{ lock }, lock] });
  locking.start();
  assertEquals(await locking.join(30), false);
  lock.release();
  assertEquals(await locking.result, "locked");
  await locking.join();
  assertEquals(lock.locked(), true);
});

Deno.test("a Thread subclass runs with copies of its public fields", async () => {
  const square = new targets.Square(7);
  square.factor = 2;
  square.start();
  assertEquals(await square.result, 98);
  await square.join();
  assertEquals(square.run(), 98);
});

Deno.test("a thread starts other threads and ends them", async () => {
  const starting = thread(targets.startOthers);
  starting.start();
  const [told, alive] = await starting.result as [
    { ident: number; name: string },
    boolean,
  ];
  assertNotEquals(told.ident, starting.ident);
  assertMatch(told.name, /^Thread-\d+ \(tellWhoIAm\)$/);
  assertEquals(alive, false);
  await starting.join();
});

Deno.test("a thread ends after those it started, but for daemons", async () => {
  const gate = createGate();
  const starting = thread(targets.startAndLeave, { args: [gate] });
  starting.start();
  assertEquals(await starting.result, "left");
  await arrivals(gate, 1);
  assertEquals(await starting.join(20), false);
  openGate(gate);
  assertEquals(await starting.join(), true);
});

for (const Class of [Thread, Process]) {
  Deno.test(`a ${Class.name} ends after the tasks of a pool that it made`, async () => {
    const file = await Deno.makeTempFile();
    try {
      const leaving = new Class({
        target: targets.submitAndLeave,
        args: [file],
        module,
      });
      leaving.start();
      assertEquals(await leaving.result, "left");
      assertEquals(await within("the end", leaving.join()), true);
      assertEquals(await Deno.readTextFile(file), "done\n".repeat(3));
    } finally {
      await Deno.remove(file);
    }
  });

  Deno.test(`a ${Class.name} ends after the timers that it started`, async () => {
    const file = await Deno.makeTempFile();
    try {
      const leaving = new Class({
        target: targets.setTimerAndLeave,
        args: [file],
        module,
      });
      leaving.start();
      assertEquals(await leaving.result, "left");
      assertEquals(await within("the end", leaving.join()), true);
      assertEquals(await Deno.readTextFile(file), "rung");
    } finally {
      await Deno.remove(file);
    }
  });

  Deno.test(`a ${Class.name} tells of a rejection that its target leaves behind`, () =>
    withHook(async (told) => {
      const leaving = new Class({ target: targets.rejectAndLeave, module });
      leaving.start();
      assertEquals(await leaving.result, "left");
      await within("the end", leaving.join());
      const errors = told.map(({ error }) => String(error));
      assertEquals(errors, ["RangeError: left behind"]);
      if (leaving instanceof Process) assertEquals(leaving.exitCode, 1);
    }));

  for (const way of ["returns", "throws", "strays"]) {
    Deno.test(`a ${Class.name} that ${way} reports it, then waits for the threads that it started`, async () => {
      const folder = await Deno.makeTempDir();
      const [gate, file] = [`${folder}/gate`, `${folder}/file`];
      try {
        await withHook(async (told) => {
          const starting = new Class({
            target: targets.startAndEnd,
            args: [way, gate, file],
            module,
          });
          starting.start();
          if (way === "returns") {
            assertEquals(await starting.result, "returned");
          } else {
            await until(() => told.length > 0, "the except hook");
            const error = await assertRejects(
              () => starting.result,
              RemoteError,
            );
            assertEquals(String(error), "RangeError: on purpose");
          }
          assertEquals(await starting.join(20), false);
          assert(starting.isAlive());
          await Deno.writeTextFile(gate, "");
          assertEquals(await within("the end", starting.join()), true);
          assertEquals(await Deno.readTextFile(file), "done");
          assertEquals(told.length, way === "returns" ? 0 : 1);
          if (starting instanceof Process) {
            assertEquals(starting.exitCode, way === "returns" ? 0 : 1);
          }
        });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

Deno.test("a thread starts a process", async () => {
  const starting = thread(targets.startChild);
  starting.start();
  assertEquals(await starting.result, 3);
  await starting.join();
  assertEquals(listDescendants(), []);
});

Deno.test("`await using` ends a thread", async () => {
  const endless = thread(targets.forever);
  {
    await using using = endless;
    using.start();
  }
  assertEquals(endless.isAlive(), false);
  await assertRejects(
    () => endless.result,
    RunnerExitError,
    "was terminated",
  );
  await using _unstarted = thread(targets.add);
});

Deno.test("Thread refuses a target without a name, or none at all", () => {
  assertThrows(() => thread(() => {}), TypeError, "anonymous");
  assertThrows(() => thread(""), TypeError, "anonymous");
  assertThrows(
    () => new Thread({ target: () => {}, module }),
    TypeError,
    "anonymous",
  );
  assertThrows(() => new Thread({ target() {}, module }), TypeError, "anonym");
  function target(): void {}
  assertMatch(new Thread({ target, module }).name, /\(target\)$/);
  assertThrows(() => thread(5 as unknown as string), TypeError, '"target"');
  assertThrows(() => new Thread({ module }), TypeError, "override run()");
  assertThrows(
    () =>
      new class extends Thread {
        static readonly module = import.meta.url;
        override run(): void {}
      }(),
    TypeError,
    "anonymous class",
  );
});

Deno.test("Thread refuses a missing module with the cure, and one that is no URL", () => {
  const error = assertThrows(
    () => new Thread({ target: targets.tellWhoIAm }),
    ModuleImportError,
    "module: import.meta.url",
  );
  assertMatch((error as Error).message, /target "tellWhoIAm"/);
  class Unplaced extends Thread {
    override run(): void {}
  }
  assertThrows(
    () => new Unplaced(),
    ModuleImportError,
    'class "Unplaced"',
  );
  assertThrows(
    () => thread(targets.add, { module: "./targets.ts" }),
    TypeError,
    "absolute URL",
  );
  assertThrows(
    () => thread(targets.add, { module: 5 as unknown as string }),
    TypeError,
    '"module"',
  );
});

Deno.test("Thread refuses other options of a wrong shape", () => {
  assertThrows(
    () => thread(targets.add, { daemon: 1 as unknown as boolean }),
    TypeError,
    '"daemon"',
  );
  assertThrows(
    () => thread(targets.add, { name: 1 as unknown as string }),
    TypeError,
    '"name"',
  );
  assertThrows(
    () => thread(targets.add, { args: {} as unknown as [] }),
    TypeError,
    '"args"',
  );
  assertThrows(
    () => thread(targets.add, { deamon: true } as object),
    TypeError,
    '"deamon": a Thread has no such option, only target, args, name, daemon',
  );
});

Deno.test("Thread names the argument or field that can't be cloned, and starts nothing", () => {
  assertThrows(
    () => thread(targets.add, { args: [1, () => {}] }),
    TypeError,
    "argument 1",
  );
  const late = thread(targets.add, { args: [1, { deep: new WeakMap() }] });
  assertThrows(() => late.start(), TypeError, "argument 1");
  assertEquals([late.isAlive(), late.ident], [false, null]);
  const square = Object.assign(new targets.Square(1), { extra: () => {} });
  assertThrows(() => square.start(), TypeError, 'field "extra"');
});

Deno.test("Thread tells a target that is not exported, or no function", async () => {
  const expected: [string, string][] = [
    ["missing", "does not export it"],
    ["notFunction", "not a function"],
  ];
  for (const [target, message] of expected) {
    await withHook(async (told) => {
      const refused = thread(target);
      refused.start();
      await refused.join();
      assertEquals(told.length, 1);
      assertInstanceOf(told[0]!.error, ModuleImportError);
      await assertRejects(() => refused.result, ModuleImportError, message);
    });
  }
});

Deno.test("Thread tells a class that is not exported", async () => {
  class Hidden extends Thread {
    static readonly module = module;
    override run(): void {}
  }
  const hidden = new Hidden();
  hidden.start();
  await assertRejects(() => hidden.result, ModuleImportError, '"Hidden"');
  await hidden.join();
});

Deno.test("Thread tells a module that fails to import, with the original error", async () => {
  const failing = new URL("./failing_module.ts", import.meta.url);
  const refused = thread("anything", { module: failing });
  refused.start();
  const error = await assertRejects(() => refused.result, ModuleImportError);
  assertEquals(error.module, failing.href);
  assertInstanceOf(error.cause, RemoteError);
  assertEquals(error.cause.message, "This module fails on purpose");
  await refused.join();
});

Deno.test("Thread with permissions of its own reaches neither the locks, the signals nor the input of its program", async () => {
  for (const nested of [false, true]) {
    const confined = thread(targets.reachOut, {
      args: [nested],
      permissions: nested ? { read: true } : "none",
    });
    confined.start();
    assertEquals(await confined.result, [
      "undefined",
      "NotCapable",
      null,
      null,
      0,
    ]);
    await confined.join();
  }
});

Deno.test('Thread with permissions "none" computes, and can do nothing else', async () => {
  const restricted = thread(targets.tryEverything, {
    args: [import.meta.filename],
    permissions: "none",
  });
  restricted.start();
  assertEquals(await restricted.result, []);
  await restricted.join();
  assertEquals(Deno.permissions.querySync({ name: "read" }).state, "granted");
});
