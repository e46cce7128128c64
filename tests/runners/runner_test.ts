import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  ModuleImportError,
  RemoteError,
  RunnerExitError,
} from "../../workers/base/errors.ts";
import type {
  Runner,
  RunnerKind,
  RunnerOptions,
} from "../../workers/runner/runner.ts";
import { startRunner } from "../../workers/runner/supervisor.ts";
import { findRefMethod } from "../../workers/runner/thread.ts";
import "../support/leaks.ts";
import { listDescendants } from "../support/system.ts";
import { program } from "./_program.ts";

const KINDS: RunnerKind[] = ["thread", "process"];

function url(name: string): string {
  return new URL(name, import.meta.url).href;
}

function start(
  kind: RunnerKind,
  options: Partial<RunnerOptions> = {},
): Runner {
  return startRunner(kind, { main: url("./obedient_main.ts"), ...options });
}

/** Collects a number of messages. */
function messages(runner: Runner, count: number): Promise<unknown[]> {
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  const collected: unknown[] = [];
  runner.onmessage = (message) => {
    collected.push(message);
    if (collected.length === count) resolve(collected);
  };
  return promise;
}

function testBoth(name: string, run: (kind: RunnerKind) => Promise<void>) {
  for (const kind of KINDS) {
    Deno.test(`a ${kind}'s runner ${name}`, async () => {
      await run(kind);
      assertEquals(listDescendants(), []);
    });
  }
}

testBoth(
  "imports the modules in order and calls main with data",
  async (kind) => {
    const runner = start(kind, {
      modules: [url("./plain_module.ts"), url("../support/waiting.ts")],
      data: { map: new Map([[1, new Date(0)]]) },
    });
    const first = messages(runner, 1);
    await runner.ready;
    assertEquals(await first, [{
      kind,
      exports: [
        ["first", "second"],
        ["pause", "until", "within"],
      ],
      data: { map: new Map([[1, new Date(0)]]) },
    }]);
    assertEquals(runner.kind, kind);
    assertEquals(
      typeof runner.pid,
      kind === "process" ? "number" : "undefined",
    );
    runner.post(["close"]);
    assertEquals(await runner.exited, { code: 0, reason: "returned" });
  },
);

testBoth(
  "keeps the order of messages, those before ready included",
  async (kind) => {
    const runner = start(kind);
    const count = 2_000;
    const collected = messages(runner, count + 1);
    for (let index = 0; index < count; index++) runner.post(["echo", index]);
    assertEquals(
      (await collected).slice(1),
      Array.from({ length: count }, (_, index) => index),
    );
    runner.post(["close"]);
    await runner.exited;
  },
);

testBoth("keeps messages until somebody listens", async (kind) => {
  const runner = start(kind);
  await runner.ready;
  runner.post(["countAndClose", 3]);
  await runner.exited;
  assertEquals((await messages(runner, 4)).slice(1), [0, 1, 2]);
});

testBoth("delivers what was posted before it closed", async (kind) => {
  const runner = start(kind);
  const collected = messages(runner, 501);
  runner.post(["countAndClose", 500]);
  assertEquals((await runner.exited).reason, "returned");
  assertEquals((await collected).at(-1), 499);
});

testBoth(
  "carries bytes of every size, also when they are changed after posting",
  async (kind) => {
    const runner = start(kind);
    await runner.ready;
    const sizes = [0, 1, 1_000, 65_536, 131_072, 131_073, 3_000_000];
    const collected = messages(runner, sizes.length + 1);
    for (const size of sizes) {
      const bytes = new Uint8Array(size).fill(7);
      runner.post(["echo", bytes]);
      bytes.fill(8);
    }
    const [, ...received] = await collected as Uint8Array[];
    assertEquals(received.map(({ length }) => length), sizes);
    assert(received.every((bytes) => bytes.every((byte) => byte === 7)));
    runner.post(["close"]);
    await runner.exited;
  },
);

testBoth("refuses what can't be cloned, and goes on", async (kind) => {
  const runner = start(kind);
  const collected = messages(runner, 2);
  const error = assertThrows(() => runner.post(["echo", () => {}]));
  assertEquals((error as DOMException).name, "DataCloneError");
  runner.post(["echo", "still here"]);
  assertEquals((await collected)[1], "still here");
  runner.post(["close"]);
  await runner.exited;
  assertThrows(() => start(kind, { data: Symbol("no") }));
});

testBoth("does nothing when posted to after the end", async (kind) => {
  const runner = start(kind);
  runner.post(["close"]);
  await runner.exited;
  runner.post(["echo", 1]);
  runner.terminate();
  runner.kill();
});

testBoth(
  "tells an error thrown later, with its name, message and stack",
  async (kind) => {
    const runner = start(kind);
    await runner.ready;
    runner.post(["throw", "thrown on purpose"]);
    const { code, reason, error } = await runner.exited;
    assertEquals([code, reason], [1, "error"]);
    assertInstanceOf(error, RemoteError);
    assertEquals(String(error), "TypeError: thrown on purpose");
    assertMatch(error.stack ?? "", /obedient_main\.ts/);
  },
);

testBoth("tells an unhandled rejection, with its cause", async (kind) => {
  const runner = start(kind);
  runner.post(["reject", "rejected on purpose"]);
  const { code, reason, error } = await runner.exited;
  assertEquals([code, reason], [1, "error"]);
  assertEquals(String(error), "RangeError: rejected on purpose");
  assertInstanceOf(error?.cause, RemoteError);
  assertEquals(error.cause.message, "the cause");
});

testBoth("tells what was thrown if it is no error", async (kind) => {
  const runner = start(kind);
  runner.post(["throwString", "just text"]);
  const { error } = await runner.exited;
  assertEquals([error?.message, error?.cause], ["just text", "just text"]);
});

testBoth("ends by an error that can't be read", async (kind) => {
  const runner = start(kind);
  runner.post(["throwHostile"]);
  const { reason, error } = await runner.exited;
  assertEquals(reason, "error");
  assertMatch(String(error), /TypeError: Cannot tell what was thrown/);
});

testBoth("leaves a rejection to the program that claims it", async (kind) => {
  const runner = start(kind);
  const collected = messages(runner, 3);
  runner.post(["claim"]);
  runner.post(["echo", "alive"]);
  assertEquals((await collected).slice(1).sort(), ["alive", "claimed"]);
  runner.post(["close"]);
  assertEquals((await runner.exited).reason, "returned");
});

testBoth("tells the code of Deno.exit()", async (kind) => {
  const runner = start(kind);
  await runner.ready;
  runner.post(["exit", 3]);
  assertEquals(await runner.exited, { code: 3, reason: "exit" });
});

testBoth("rejects ready if main throws at once", async (kind) => {
  const runner = start(kind, { data: "throw at once" });
  const error = await assertRejects(() => runner.ready, RunnerExitError);
  assertEquals(error.exit.reason, "error");
  assertMatch(error.message, /Thrown by main/);
  await runner.exited;
});

testBoth(
  "rejects ready for a module that fails, is missing or is no code",
  async (kind) => {
    const expected: [string, RegExp][] = [
      [url("./failing_module.ts"), /This module fails on purpose/],
      [url("./no_such_module.ts"), /Module not found/],
      [url("../../LICENSE"), /./],
    ];
    for (const [module, message] of expected) {
      const runner = start(kind, { modules: [module] });
      const error = await assertRejects(() => runner.ready, ModuleImportError);
      assertEquals(error.module, module);
      assertMatch(error.message, message);
      assert(error.message.includes(module));
      const exit = await runner.exited;
      assertEquals([exit.code, exit.reason], [1, "import"]);
    }
  },
);

testBoth(
  "ends when it is terminated, before it is ready and after",
  async (kind) => {
    const early = start(kind);
    early.terminate();
    await assertRejects(() => early.ready, RunnerExitError, "was terminated");
    const late = start(kind);
    await late.ready;
    late.terminate();
    const code = kind === "thread" ? 1 : -15;
    assertEquals(await early.exited, { code, reason: "terminated" });
    assertEquals(await late.exited, { code, reason: "terminated" });
  },
);

Deno.test("a process's runner that was terminated does not become ready, however late the signal works", async () => {
  const runner = start("process");
  const { prototype } = Deno.ChildProcess;
  const { kill } = prototype;
  prototype.kill = () => {};
  runner.terminate();
  prototype.kill = kill;
  const collected = messages(runner, 2);
  runner.post(["echo", "still here"]);
  assertEquals((await collected)[1], "still here");
  runner.kill();
  await assertRejects(() => runner.ready, RunnerExitError, "was terminated");
  assertEquals(await runner.exited, { code: -9, reason: "terminated" });
});

Deno.test("processes' runners start eight at once", async () => {
  const runners = Array.from({ length: 8 }, () => start("process"));
  await Promise.all(runners.map((runner) => runner.ready));
  for (const runner of runners) runner.post(["close"]);
  for (const runner of runners) {
    assertEquals((await runner.exited).reason, "returned");
  }
  assertEquals(listDescendants(), []);
});

Deno.test("a thread's runner notices self.close(), with all messages before it", async () => {
  const runner = start("thread");
  const collected = messages(runner, 201);
  await runner.ready;
  runner.post(["countAndCloseSelf", 200]);
  assertEquals(await runner.exited, { code: 0, reason: "exit" });
  assertEquals((await collected).at(-1), 199);
});

Deno.test("a thread's runner that nothing waits for notices the end as well", async () => {
  for (const command of ["close", "closeSelf", "throw"]) {
    const runner = start("thread");
    assert(runner.unref());
    const { promise, resolve } = Promise.withResolvers<void>();
    const alive = setTimeout(resolve, 45_000);
    await runner.ready;
    runner.post([command]);
    runner.exited.then(() => resolve());
    await promise;
    clearTimeout(alive);
    assertMatch((await runner.exited).reason, /returned|exit|error/);
  }
});

Deno.test("a process's runner tells an end by somebody else's signal", async () => {
  const runner = start("process");
  await runner.ready;
  Deno.kill(runner.pid!, "SIGKILL");
  assertEquals(await runner.exited, { code: -9, reason: "exit" });
  assertEquals(listDescendants(), []);
});

Deno.test("a process's runner ends an endless loop by SIGTERM or SIGKILL", async () => {
  for (const method of ["terminate", "kill"] as const) {
    const runner = start("process");
    const looping = messages(runner, 2);
    runner.post(["loop"]);
    await looping;
    runner[method]();
    assertEquals((await runner.exited).reason, "terminated");
  }
  assertEquals(listDescendants(), []);
});

Deno.test("a process's runner leaves no private socket behind, wherever TMPDIR and the program lead", async () => {
  // Where a process makes its folders is said to it once for all
  const folder = await Deno.makeTempDir();
  try {
    for (const TMPDIR of [folder, "."]) {
      const command = program("private_sockets.ts", ["-A"], [folder], {
        TMPDIR,
      });
      const { stdout, stderr } = await command.output();
      assertEquals(new TextDecoder().decode(stderr), "");
      assertEquals(new TextDecoder().decode(stdout), "700, left: 0\n");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("findRefMethod() finds the method that lets go of a Worker, and takes no other", () => {
  const decoys = {
    [Symbol("two arguments")](_a: unknown, _b: unknown): string {
      return "unrefOpPromise";
    },
    [Symbol("another purpose")](_referenced: boolean): void {},
    [Symbol("no method")]: "unrefOpPromise",
    get [Symbol("getter")](): never {
      throw new Error("It is looked at, not called");
    },
    unrefOpPromise(_referenced: boolean): void {},
  };
  assertEquals(findRefMethod(decoys), undefined);
  const wanted = function (_referenced: boolean): string {
    return "unrefOpPromise";
  };
  Object.defineProperty(decoys, Symbol(), { value: wanted });
  assertEquals(findRefMethod(decoys) as unknown, wanted);
  assertEquals(typeof findRefMethod(), "function");
});
