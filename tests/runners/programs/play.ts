/**
 * A program that the tests run and watch from outside:
 * `deno run -A play.ts SCENE`.
 */
// deno-lint-ignore-file no-console
import { ThreadEvent } from "../../../workers/locks/thread_event.ts";
import { Process } from "../../../workers/threads/process.ts";
import { Thread } from "../../../workers/threads/thread.ts";
import { loopForEver } from "../../support/endless.ts";

const module = import.meta.url;

export class Greeter extends Thread<string> {
  static readonly module = module;
  constructor(public who: string) {
    super();
  }
  override run(): string {
    return `Hello, ${this.who}`;
  }
}

export function crash(): never {
  throw new Error("crashed on purpose");
}

export async function sayLater(word: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  console.log(word);
}

export async function idle(): Promise<void> {
  setInterval(() => {}, 1_000);
  await new Promise(() => {});
}

export async function idleFrom(begun: ThreadEvent): Promise<void> {
  begun.set();
  await idle();
}

export function loopFrom(begun: ThreadEvent): void {
  begun.set();
  loopForEver();
}

export function loop(): void {
  console.log(`looping ${Deno.pid}`);
  loopForEver();
}

/** Starts a child of its own, both in endless loops. */
export async function loopWithChild(): Promise<void> {
  const child = new Process({ target: loop, module });
  child.start();
  // The child can't come in before its parent listens.
  await child.join(1_000);
  loop();
}

export function throwMemory(): never {
  throw new Error("with memory", { cause: new SharedArrayBuffer(8) });
}

export function useUpMemory(): void {
  const kept: unknown[] = [];
  while (true) kept.push(new Array(100_000).fill(0).map(String));
}

export function tellPermissions(): string {
  const names = ["run", "read", "write", "net", "env", "sys", "ffi"] as const;
  return names.filter((name) =>
    Deno.permissions.querySync({ name }).state === "granted"
  ).join(" ");
}

const scenes: Record<string, () => Promise<void>> = {
  async subclass() {
    const greeter = new Greeter("world");
    greeter.start();
    console.log(await greeter.result);
  },

  async crash() {
    const crashing = new Process({ target: crash, name: "crasher", module });
    const sibling = new Process({ target: sayLater, args: ["sib"], module });
    crashing.start();
    sibling.start();
    await crashing.join();
    console.log(`crashed ${crashing.exitCode}`);
    await sibling.join();
    console.log(`sibling ${sibling.exitCode}`);
  },

  waited() {
    console.log("main ends");
    new Thread({ target: sayLater, args: ["thread"], module }).start();
    new Process({ target: sayLater, args: ["process"], module }).start();
    return Promise.resolve();
  },

  async daemons() {
    const options = { target: idle, daemon: true, module };
    const activities = [new Thread(options), new Process(options)];
    for (const activity of activities) activity.start();
    for (const activity of activities) await activity.join(100);
    console.log(`main ends ${activities[1]!.ident}`);
  },

  async children() {
    const processes = [idle, loop, loopWithChild].map((target) =>
      new Process({ target, module })
    );
    for (const process of processes) process.start();
    console.log(`children ${processes.map(({ pid }) => pid).join(" ")}`);
    await Promise.all(processes.map((process) => process.join()));
  },

  async signal() {
    const begun = new ThreadEvent();
    const child = new Process({ target: idleFrom, args: [begun], module });
    child.start();
    await begun.wait();
    Deno.addSignalListener(Deno.args[1] as Deno.Signal, async () => {
      const ended = await child.join(200);
      console.log(ended ? "child died" : "child lives");
      await child[Symbol.asyncDispose]();
      Deno.exit(0);
    });
    console.log("ready");
    await child.join();
  },

  async stuck() {
    const begun = new ThreadEvent();
    const thread = new Thread({ target: loopFrom, args: [begun], module });
    thread.start();
    await begun.wait();
    await thread[Symbol.asyncDispose]();
    const error = await thread.result.catch((error) => error);
    console.log(`${thread.isAlive()} ${error.cause.message}`);
    const other = new Greeter("after");
    other.start();
    console.log(await other.result);
    Deno.exit(0);
  },

  async memory() {
    const greedy = new Process({ target: useUpMemory, module });
    greedy.start();
    await greedy.join();
    const error = await greedy.result.catch((error) => error);
    console.log(`${greedy.exitCode! < 0} ${error.name} ${error.exit.reason}`);
  },

  async permissions() {
    const inheriting = new Process({ target: tellPermissions, module });
    inheriting.start();
    console.log(`has ${await inheriting.result}`);
    await inheriting.join();
    const greedy = new Process({
      target: tellPermissions,
      permissions: { read: true },
      module,
    });
    try {
      greedy.start();
    } catch (error) {
      console.log(`${(error as Error).name}: ${(error as Error).message}`);
    }
  },

  /** Ends while a child starts. */
  leave() {
    new Process({ target: loop, module }).start();
    console.log("started");
    if (Deno.args[1] === "kill") Deno.kill(Deno.pid, "SIGKILL");
    Deno.exit(5);
  },
};

if (import.meta.main) await scenes[Deno.args[0]!]!();
