import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { enumerate, Thread } from "../../workers/threads/thread.ts";
import {
  ModuleImportError,
  RemoteError,
  RunnerExitError,
  setExceptHook,
} from "../../workers/base/errors.ts";
import { RLock } from "../../workers/locks/lock.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import {
  activeChildren,
  Process,
  type ProcessOptions,
} from "../../workers/threads/process.ts";
import * as targets from "./targets.ts";
import { createRandom, describe, randomValue } from "./_values.ts";
import "../support/leaks.ts";
import { isRunning, listDescendants } from "../support/system.ts";

const module = new URL("./targets.ts", import.meta.url);

function process<T>(
  target: NonNullable<ProcessOptions<T>["target"]>,
  options: Omit<ProcessOptions<T>, "target"> = {},
): Process<T> {
  return new Process<T>({ target, module, ...options });
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test(name, async () => {
    await run();
    assertEquals(listDescendants(), [], "A child is left");
  });
}

test("Process runs its target and gives the result, exit code 0", async () => {
  const sum = process(targets.add, { args: [1, 2] });
  assertEquals([sum.pid, sum.exitCode, sum.ident], [null, null, null]);
  sum.start();
  assert(sum.isAlive());
  assert(isRunning(sum.pid!));
  assertEquals(sum.ident, sum.pid);
  assertEquals(sum.exitCode, null);
  const result: number = await sum.result;
  assertEquals(result, 3);
  assertEquals(await sum.join(), true);
  assertEquals([sum.exitCode, sum.isAlive()], [0, false]);
});

test("Process gives a result that takes longer to read than its last frames may", async () => {
  const { setTimeout, setImmediate } = globalThis;
  // The process is given up sooner, and what it sends is read more slowly
  globalThis.setTimeout = ((callback: () => void, delay: number) =>
    setTimeout(
      callback,
      delay === 1_000 || delay === 2_000 ? 1 : delay,
    )) as typeof setTimeout;
  globalThis.setImmediate =
    ((callback: () => void) =>
      setTimeout(callback, 100)) as unknown as typeof setImmediate;
  try {
    const listing = process<unknown[]>(targets.listObjects, { args: [50_000] });
    listing.start();
    assertEquals((await listing.result).length, 50_000);
    await listing.join();
  } finally {
    Object.assign(globalThis, { setTimeout, setImmediate });
  }
});

test("Process names: numbered with the target", async () => {
  const first = process(targets.add);
  const [, number] = /^Process-(\d+) \(add\)$/.exec(first.name)!;
  assertEquals(
    process(targets.fail).name,
    `Process-${Number(number) + 1} (fail)`,
  );
  await using _nothing = first;
});

test("Process.exitCode is 1 for an uncaught error, which goes to the hook", async () => {
  const told: unknown[] = [];
  const previous = setExceptHook(({ error, thread }) => {
    told.push(thread, String(error));
  });
  try {
    const failing = process(targets.fail, { args: ["on purpose"] });
    failing.start();
    await failing.join();
    assertEquals(failing.exitCode, 1);
    assertEquals(told, [failing, "RangeError: on purpose"]);
  } finally {
    setExceptHook(previous);
  }
});

test("Process.result rejects with the original's name, message, stack and cause", async () => {
  const failing = process(targets.fail, { args: ["on purpose"] });
  failing.start();
  const error = await assertRejects(() => failing.result, RemoteError);
  assertEquals(String(error), "RangeError: on purpose");
  assertMatch(error.stack ?? "", /at fail \(.*targets\.ts/);
  assertInstanceOf(error.cause, RemoteError);
  assertEquals(String(error.cause), "TypeError: the cause");
  await failing.join();
});

test("Process.exitCode is the n of Deno.exit(n)", async () => {
  for (const code of [0, 7]) {
    const exiting = process(targets.exitWith, { args: [code] });
    exiting.start();
    await exiting.join();
    assertEquals(exiting.exitCode, code);
    const error = await assertRejects(() => exiting.result, RunnerExitError);
    assertEquals(error.exit, { code, reason: "exit" });
  }
});

test("Process.terminate() gives exit code -15, kill() gives -9", async () => {
  for (const [method, code] of [["terminate", -15], ["kill", -9]] as const) {
    const endless = process(targets.forever);
    endless.start();
    endless[method]();
    await endless.join();
    assertEquals(endless.exitCode, code);
    endless[method]();
  }
});

test("Process.terminate() and kill() of an unstarted process are errors", async () => {
  const sum = process(targets.add);
  assertThrows(() => sum.terminate(), Error, "it was not started");
  assertThrows(() => sum.kill(), Error, "it was not started");
  await assertRejects(() => sum.join(), Error, "it was not started");
});

test("Process.start() a second time is an error", async () => {
  const sum = process(targets.add, { args: [1, 2] });
  sum.start();
  assertThrows(() => sum.start(), Error, "it was started already");
  await sum.join();
  assertThrows(() => sum.start(), Error, "it was started already");
});

test("Process.join() tells whether it ended in time", async () => {
  const endless = process(targets.forever);
  endless.start();
  assertEquals(await endless.join(1), false);
  await assertRejects(() => endless.join(-1), RangeError);
  endless.kill();
  assertEquals(await endless.join(30_000), true);
});

test("Process.close() is an error while it runs, and then gives it up", async () => {
  const endless = process(targets.forever);
  endless.start();
  assertThrows(() => endless.close(), Error, "it is running");
  endless.kill();
  await endless.join();
  endless.close();
  endless.close();
  assertThrows(() => endless.exitCode, Error, "it was closed");
  assertThrows(() => endless.pid, Error, "it was closed");
  assertThrows(() => endless.isAlive(), Error, "it was closed");
  await assertRejects(() => endless.join(), Error, "it was closed");
  const unstarted = process(targets.add);
  unstarted.close();
  assertThrows(() => unstarted.start(), Error, "it was closed");
});

test("Process: a daemon may not have children, others may", async () => {
  const childless = process(targets.startChild, { daemon: true });
  childless.start();
  await childless.join();
  assertMatch(
    String(await childless.result),
    /a daemon process may not have children/,
  );
  const parent = process(targets.startChild);
  parent.start();
  assertEquals(await parent.result, 3);
  await parent.join();
});

test("Process.daemon: the threads of a daemon process are none by default", async () => {
  for (const daemon of [true, false]) {
    const asked = process(targets.inheritDaemon, { daemon });
    asked.start();
    await asked.join();
    assertEquals(await asked.result, [false, daemon]);
  }
});

test("currentProcess() has the name of the process, also in its threads", async () => {
  const asked = process(targets.tellProcess, {
    args: [true],
    name: "asked",
    daemon: true,
  });
  asked.start();
  const { pid } = asked;
  await asked.join();
  assertEquals(await asked.result, [["asked", true, pid, [true]], [
    "asked",
    true,
    pid,
    [],
  ]]);
  const named = new targets.NamedProcess();
  named.start();
  assertEquals(await named.result, true);
  await named.join();
});

test("Process: its own main thread is the current one", async () => {
  const asked = process(targets.tellWhoIAm);
  asked.start();
  const told = await asked.result as Record<string, unknown>;
  assertEquals([told["name"], told["isMain"]], ["MainThread", true]);
  await asked.join();
});

test("Process: joining oneself is an error there as well", async () => {
  const joining = process(targets.joinMyself);
  joining.start();
  assertMatch(await joining.result, /it would wait for itself/);
  await joining.join();
});

test("activeChildren() lists the processes that are alive, and no threads", async () => {
  const first = process(targets.forever);
  await using other = new Thread({ target: targets.forever, module });
  other.start();
  assertEquals(activeChildren(), []);
  first.start();
  await using second = process(targets.forever);
  second.start();
  assertEquals(activeChildren(), [first, second]);
  first.kill();
  await first.join();
  assertEquals(activeChildren(), [second]);
});

test("enumerate() lists threads and no processes", async () => {
  const endless = process(targets.forever);
  endless.start();
  assertEquals(enumerate().length, 1);
  await endless[Symbol.asyncDispose]();
});

test("a Process subclass runs with copies of its public fields", async () => {
  const square = new targets.SquareProcess(9);
  square.start();
  assertEquals(await square.result, 81);
  await square.join();
});

test("a process's arguments and result are copied by structured clone", async () => {
  const args = [
    new Map([["a", 1n]]),
    new Date(5),
    undefined,
    new Uint8Array(3),
  ];
  const giving = process(targets.giveBack, { args });
  giving.start();
  assertEquals(await giving.result, args);
  await giving.join();
});

test("Process names the argument that can't cross, and starts nothing", async () => {
  const memory = new Int32Array(new SharedArrayBuffer(4));
  const sharing = process(targets.giveBack, { args: [1, memory] });
  const error = assertThrows(() => sharing.start(), TypeError, "argument 1");
  assertMatch((error as Error).message, /SharedArrayBuffer.* to a process/);
  assertEquals(sharing.isAlive(), false);
  const locking = process(targets.giveBack, { args: [{ lock: new RLock() }] });
  assertThrows(() => locking.start(), TypeError, "argument 0");
  const returning = process(targets.giveFunction);
  returning.start();
  await assertRejects(
    () => returning.result,
    RemoteError,
    "Cannot return the result of process",
  );
  await returning.join();
  assertEquals(returning.exitCode, 1);
});

test("a process whose crash leaves the parent and its siblings running", async () => {
  const siblings = [1, 2].map(() => process(targets.forever));
  for (const sibling of siblings) sibling.start();
  const crashing = process(targets.forever);
  crashing.start();
  Deno.kill(crashing.pid!, "SIGKILL");
  await crashing.join();
  assertEquals(crashing.exitCode, -9);
  assert(siblings.every((sibling) => sibling.isAlive()));
  for (const sibling of siblings) {
    await sibling[Symbol.asyncDispose]();
    assertEquals(sibling.exitCode, -15);
  }
});

test("`await using` kills a process that ignores SIGTERM in a loop", async () => {
  const told = new ThreadEvent();
  const stubborn = process("ignoreTermination", { args: [told] });
  stubborn.start();
  await told.wait();
  await stubborn[Symbol.asyncDispose]();
  assertEquals(stubborn.exitCode, -9);
});

test("Process tells a target that is not exported, exit code 1", async () => {
  const refused = process("missing");
  refused.start();
  await assertRejects(() => refused.result, ModuleImportError, '"missing"');
  await refused.join();
  assertEquals(refused.exitCode, 1);
});

test("Process refuses what Thread refuses", async () => {
  assertThrows(() => process(() => {}), TypeError, "anonymous");
  assertThrows(
    () => new Process({ target: targets.tellWhoIAm }),
    ModuleImportError,
    "import.meta.url",
  );
  await using _nothing = process(targets.add);
});

/** Tells what a process may do, with a file of its own to read. */
async function allowedWith(
  choose: (file: string) => Deno.PermissionOptions,
): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/file.ts`;
  await Deno.writeTextFile(file, "export {};");
  try {
    const restricted = process(targets.tryEverything, {
      args: [file],
      permissions: choose(file),
    });
    restricted.start();
    const allowed = await restricted.result;
    await restricted.join();
    return allowed;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

test('Process with permissions "none" computes, and can do nothing else', async () => {
  assertEquals(await allowedWith(() => "none"), []);
  assertEquals(await allowedWith(() => ({})), []);
});

test("Process with a list of permissions can do what is in it, and nothing else", async () => {
  assertEquals(await allowedWith((file) => ({ read: [file] })), [
    "read",
    "import",
  ]);
  assertEquals(
    await allowedWith((file) => ({ read: [new URL(`file://${file}`)] })),
    ["read", "import"],
  );
  assertEquals(
    await allowedWith(() => ({ env: ["HOME"], sys: true })),
    ["env", "sys"],
  );
});

test("Process with a list that covers the channel's socket keeps it", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.remove(folder);
  const temporary = folder.slice(0, folder.lastIndexOf("/"));
  const up = Deno.cwd().replaceAll(/\/[^/]+/g, "../");
  for (const path of [temporary, `${temporary}/`, up, `${up}.${temporary}`]) {
    assertEquals(
      await allowedWith(() => ({ read: [path] })),
      ["read", "import"],
      path,
    );
  }
  assertEquals(
    await allowedWith(() => ({ env: ["DENO_*", "HOME"] })),
    ["env"],
  );
});

Deno.test("Process with a host that covers the channel's port keeps it", {
  permissions: { net: true, run: true, env: ["DENO_SOCKETSERVER_LINK"] },
}, async () => {
  for (const host of ["127.0.0.1", "127.0.0.0/8"]) {
    const connecting = process(targets.mayConnect, {
      args: ["127.0.0.1:5", "127.0.0.2:5"],
      permissions: { net: [host] },
    });
    connecting.start();
    assertEquals(await connecting.result, [true, host !== "127.0.0.1"]);
    await connecting.join();
  }
});

Deno.test("Process refuses permissions that make no sense", () => {
  for (const permissions of ["nothing", { nett: true }, 5]) {
    const options = { permissions: permissions as Deno.PermissionOptions };
    assertThrows(
      () => process(targets.add, { args: [1, 2], ...options }).start(),
      TypeError,
      "permissions",
    );
  }
  assertEquals(listDescendants(), []);
});

Deno.test("Process refuses a permission that no flag of Deno's can give", () => {
  for (const path of ["/data/a,b", new URL("file:///data/a%2Cb")]) {
    const permissions = { read: [path] };
    assertThrows(
      () => process(targets.add, { permissions }).start(),
      TypeError,
      'the permission "read" for "/data/a,b": a comma',
    );
  }
});

test("Process inherits all permissions", async () => {
  const allowed = await allowedWith(() => "inherit");
  for (const name of ["read", "write", "listen", "env", "run", "sys"]) {
    assert(allowed.includes(name), `It can't "${name}"`);
  }
});

test("Process.result rejects for an error whose cause can't cross", async () => {
  const throwing = new Process({
    target: "throwMemory",
    module: new URL("./programs/play.ts", import.meta.url),
  });
  throwing.start();
  await assertRejects(() => throwing.result, RemoteError, "with memory");
  await throwing.join();
  assertEquals(throwing.exitCode, 1);
});

test("Process gets and gives what structuredClone() gives, for 200 random values", async () => {
  const random = createRandom(11);
  const values = Array.from({ length: 200 }, () => randomValue(random));
  const giving = process(targets.giveBack, { args: values });
  giving.start();
  const received = await giving.result as unknown[];
  assertEquals(describe(received), describe(structuredClone(values)));
  await giving.join();
});

for (
  const [name, permissions] of Object.entries(
    {
      net: { read: true, env: true, run: true, net: false },
      run: { read: true, env: true, net: true, run: false },
    } satisfies Record<string, Deno.PermissionOptions>,
  )
) {
  Deno.test({
    name: `Process.start() tells that it lacks --allow-${name}`,
    permissions,
    fn: () => {
      assertThrows(
        () => process(targets.add, { args: [1, 2] }).start(),
        Deno.errors.NotCapable,
        `Cannot start process "Process-`,
      );
    },
  });
}

Deno.test("Process has an input that is empty, and signals of its own", async () => {
  const process = new Process({ target: "reachOut", module });
  process.start();
  assertEquals(await process.result, ["object", "heard", null, null, 0]);
  await process.join();
});
