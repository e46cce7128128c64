/** What the threads and processes of the tests run. */
import {
  activeCount,
  currentThread,
  enumerate,
  mainThread,
  Thread,
} from "../../workers/threads/thread.ts";
import type { Lock } from "../../workers/locks/lock.ts";
import type { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { currentProcess, Process } from "../../workers/threads/process.ts";
import { Timer } from "../../workers/threads/timer.ts";
import { loopForEver } from "../support/endless.ts";

const MODULE = import.meta.url;

/** Counts in this thread alone. */
let local = 0;

export const notFunction = 5;

export function listObjects(count: number): unknown[] {
  return Array.from({ length: count }, () => ({}));
}

export function add(a: number, b: number): number {
  return a + b;
}

export function addLocal(by: number): number {
  return local += by;
}

export async function addLater(a: number, b: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return a + b;
}

export function giveBack(...args: unknown[]): unknown[] {
  return args;
}

export function fail(message: string): never {
  throw new RangeError(message, { cause: new TypeError("the cause") });
}

export function exitWith(code: number): void {
  Deno.exit(code);
}

export function giveFunction(): unknown {
  return () => {};
}

export function forever(): Promise<never> {
  setInterval(() => {}, 1_000);
  return new Promise(() => {});
}

/** Says in shared memory that it is there, and waits for leave to go. */
export async function passGate(gate: Int32Array): Promise<void> {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  while (Atomics.load(gate, 1) === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function tellWhoIAm(): unknown {
  const thread = currentThread();
  return {
    name: thread.name,
    ident: thread.ident,
    daemon: thread.daemon,
    alive: thread.isAlive(),
    args: thread.args,
    isThread: thread instanceof Thread,
    main: mainThread().name,
    isMain: thread === mainThread(),
    active: activeCount(),
    listed: enumerate().map(({ name }) => name),
  };
}

export async function joinMyself(): Promise<string> {
  try {
    await currentThread().join();
    return "joined";
  } catch (error) {
    return (error as Error).message;
  }
}

/** Starts a thread here, ends another, and gives the first one's result. */
export async function startOthers(): Promise<unknown> {
  const endless = new Thread({ target: forever, module: MODULE });
  endless.start();
  const thread = new Thread({ target: tellWhoIAm, module: MODULE });
  thread.start();
  const told = await thread.result;
  await endless[Symbol.asyncDispose]();
  return [told, endless.isAlive()];
}

/** Returns before the threads that it started do. */
export function startAndLeave(gate: Int32Array): string {
  const waited = new Thread({ target: passGate, args: [gate], module: MODULE });
  const daemon = new Thread({ target: forever, daemon: true, module: MODULE });
  waited.start();
  daemon.start();
  return "left";
}

export async function startChild(): Promise<unknown> {
  const child = new Process({ target: add, args: [1, 2], module: MODULE });
  try {
    child.start();
  } catch (error) {
    return (error as Error).message;
  }
  return await child.result;
}

/** Whether threads and processes are daemons if nothing is said. */
export function inheritDaemon(): boolean[] {
  return [Thread, Process].map((Class) =>
    new Class({ target: tellWhoIAm, module: MODULE }).daemon
  );
}

/** The current process, as this thread and one that it starts see it. */
export async function tellProcess(deep: boolean): Promise<unknown[]> {
  const { name, daemon, pid, args } = currentProcess();
  const told = [name, daemon, pid, args];
  if (!deep) return [told];
  const inner = new Thread<unknown[]>({
    target: "tellProcess",
    args: [false],
    module: MODULE,
  });
  inner.start();
  return [told, ...await inner.result];
}

export class NamedProcess extends Process<boolean> {
  static readonly module = MODULE;
  override run(): boolean {
    return currentProcess() === this;
  }
}

/** What the permissions leave to be done. */
export async function tryEverything(file: string): Promise<string[]> {
  const attempts: [string, () => unknown][] = [
    ["read", () => Deno.readTextFileSync(file)],
    ["write", () => Deno.writeTextFileSync(`${file}.written`, "")],
    ["net", async () => (await Deno.connect({ port: 9 })).close()],
    ["listen", () => Deno.listen({ port: 0 }).close()],
    ["env", () => Deno.env.get("HOME")],
    ["run", () => new Deno.Command("true").spawn().status],
    ["sys", () => Deno.hostname()],
    ["ffi", () => Deno.dlopen("/lib/none.so", {})],
    ["import", () => import(`${file}`)],
  ];
  const allowed: string[] = [];
  for (const [name, attempt] of attempts) {
    try {
      await attempt();
      allowed.push(name);
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotCapable) &&
        !(error instanceof TypeError)
      ) {
        allowed.push(name);
      }
    }
  }
  return allowed;
}

export class Square extends Thread<number> {
  static readonly module = MODULE;
  factor = 1;
  constructor(public number: number) {
    super();
  }
  override run(): number {
    return this.number * this.number * this.factor;
  }
}

export class SquareProcess extends Process<number> {
  static readonly module = MODULE;
  constructor(public number: number) {
    super();
  }
  override run(): Promise<number> {
    return Promise.resolve(this.number * this.number);
  }
}

export class Failing extends Thread<never> {
  static readonly module = MODULE;
  override run(): never {
    throw new Error(`${this.name} failed, number ${this.ident}`);
  }
}

export function ignoreTermination(told: ThreadEvent): never {
  Deno.addSignalListener("SIGTERM", () => {});
  told.set();
  loopForEver();
}

export function setEvent(event: ThreadEvent): void {
  event.set();
}

/** Takes a lock and keeps it. */
export async function waitForLock(
  { lock }: { lock: Lock },
  same: Lock,
): Promise<string> {
  await lock.acquire();
  return same.locked() ? "locked" : "another lock";
}

export function mayConnect(...hosts: string[]): boolean[] {
  return hosts.map((host) =>
    Deno.permissions.querySync({ name: "net", host }).state === "granted"
  );
}

/** Waits until a file is there, and leaves another. */
export async function awaitAndMark(gate: string, file: string): Promise<void> {
  while (true) {
    try {
      await Deno.stat(gate);
      return await Deno.writeTextFile(file, "done");
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** Gives a pool tasks and returns before they are done. */
export async function submitAndLeave(file: string): Promise<string> {
  const { ThreadPool } = await import("../../workers/pool/pool.ts");
  const pool = new ThreadPool({ module: MODULE, workers: 1 });
  for (let index = 0; index < 3; index++) {
    void pool.submit(appendLater, file);
  }
  return "left";
}

export async function appendLater(file: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  await Deno.writeTextFile(file, "done\n", { append: true });
}

/** Starts a thread that works on, and ends in one of three ways. */
export async function startAndEnd(
  way: string,
  gate: string,
  file: string,
): Promise<string> {
  new Thread({
    target: awaitAndMark,
    args: [gate, file],
    module: MODULE,
  }).start();
  if (way === "throws") throw new RangeError("on purpose");
  if (way === "strays") {
    setTimeout(() => {
      throw new RangeError("on purpose");
    });
    return await new Promise(() => {});
  }
  return "returned";
}

/** What concerns the whole program, as far as it can be reached from here. */
export async function reachOut(nested = false): Promise<unknown[]> {
  const { locks } = navigator as unknown as { locks?: object };
  let signals = "heard";
  try {
    const hear = () => {};
    Deno.addSignalListener("SIGUSR2", hear);
    Deno.removeSignalListener("SIGUSR2", hear);
  } catch (error) {
    signals = (error as Error).name;
  }
  const readable = await Array.fromAsync(Deno.stdin.readable);
  const reached = [
    typeof locks,
    signals,
    await Deno.stdin.read(new Uint8Array(1)),
    Deno.stdin.readSync(new Uint8Array(1)),
    readable.length,
  ];
  if (!nested) return reached;
  const module = MODULE;
  const inner = new Thread({ target: reachOut, module });
  inner.start();
  return await inner.result;
}

export function setTimerAndLeave(file: string): string {
  new Timer(30, () => Deno.writeTextFile(file, "rung")).start();
  const cancelled = new Timer(1_000_000, () => {});
  cancelled.start();
  cancelled.cancel();
  return "left";
}

export function rejectAndLeave(): string {
  Promise.reject(new RangeError("left behind"));
  return "left";
}
