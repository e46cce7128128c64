/** What the pools of the tests run. */
import type { Lock } from "../../workers/locks/lock.ts";
import type { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { block as stand, loopForEver } from "../support/endless.ts";

type Scope = typeof globalThis & { close(): void };

export const notFunction = 5;
let calls = 0;

export function add(a: number, b: number): number {
  return a + b;
}

export async function addLater(a: number, b: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return a + b;
}

export function square(x: number): number {
  return x * x;
}

export function giveBack(...args: unknown[]): unknown[] {
  return args;
}

export function giveTexts(...args: unknown[]): string[] {
  return args.map(String);
}

export function countCalls(): number {
  return ++calls;
}

export function fail(message: string): never {
  throw new RangeError(message, { cause: new TypeError("the cause") });
}

export function failOdd(item: number): number {
  if (item % 2 === 1) throw new RangeError(`No ${item}`);
  return item;
}

export function giveFunction(): unknown {
  return () => {};
}

export function exit(code: number): void {
  Deno.exit(code);
}

export function closeSelf(): void {
  (globalThis as Scope).close();
}

/** Exits if told to; a tiny task otherwise. */
export function addOrExit(a: number, b: number, exits: boolean): number {
  if (exits) Deno.exit(1);
  return a + b;
}

/** Says in shared memory that it has begun, and blocks until let go. */
export function block(gate: Int32Array): string {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  Atomics.wait(gate, 1, 0);
  return "let go";
}

/** Blocks only if told to. */
export function blockIf(gate: Int32Array | null): string {
  return gate === null ? "passed" : block(gate);
}

export function forever(): never {
  loopForEver();
}

/** Leaves a line in a file and waits for ever. */
export async function hang(path: string): Promise<never> {
  await Deno.writeTextFile(path, `${Deno.pid}\n`, { append: true });
  setInterval(() => {}, 1_000);
  return await new Promise(() => {});
}

/** Leaves a line in a file and takes its time. */
export async function noteAndNap(path: string, time: number): Promise<void> {
  await Deno.writeTextFile(path, "begun\n");
  await new Promise((resolve) => setTimeout(resolve, time));
}

/** Dies at its first run, which a file tells it. */
export function dieOnce(path: string): string {
  Deno.writeTextFileSync(path, "ran\n", { append: true });
  const runs = Deno.readTextFileSync(path).split("\n").length - 1;
  if (runs === 1) Deno.exit(1);
  return `run ${runs}`;
}

export async function increment(
  { lock, counter }: { lock: Lock; counter: Int32Array },
  times: number,
): Promise<void> {
  for (let index = 0; index < times; index++) {
    using _guard = await lock.hold();
    const value = counter[0]!;
    if (index % 10 === 0) await undefined;
    counter[0] = value + 1;
  }
}

export async function putAll(
  queue: SharedQueue<number>,
  numbers: number[],
): Promise<SharedQueue<number>> {
  for (const number of numbers) await queue.put(number);
  return queue;
}

/** Loads threads when it is run: most workers of tests need none of them. */
function threads() {
  return import("../../workers/threads/thread.ts");
}

export async function tellName(): Promise<unknown> {
  const { currentThread, Thread } = await threads();
  const thread = currentThread();
  return [thread.name, thread instanceof Thread, thread.isAlive()];
}

/** A timer that a task leaves behind. */
export function startTimer(flag: Int32Array): void {
  setTimeout(() => {
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  }, 1);
}

export function rejectAndHang(): Promise<never> {
  Promise.reject(new TypeError("Left behind"));
  return new Promise(() => {});
}

/** Gives a number back, with the process that did. */
export function sign(id: number): [number, number] {
  return [id, Deno.pid];
}

export async function signLater(id: number): Promise<[number, number]> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return [id, Deno.pid];
}

export function pid(): number {
  return Deno.pid;
}

export async function nap(time: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, time));
  return time;
}

export async function napAndTellPid(time: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, time));
  return Deno.pid;
}

/** Makes garbage enough for a full collection. */
export function collectGarbage(): void {
  for (let round = 0; round < 40; round++) new Array(1_000_000).fill(round);
}

let prepared: unknown[] = [];

export async function prepare(...args: unknown[]): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
  prepared = args;
}

/** As an initializer: the worker is ready, and fails before its first task. */
export function failAside(): void {
  Promise.reject(new Error("aside"));
}

export function tellPrepared(): unknown[] {
  return prepared;
}

/** Takes bytes, and gives them back with one more. */
export function addByte(bytes: Uint8Array): Uint8Array {
  bytes[0]!++;
  return bytes;
}

let taken: ArrayBuffer | null = null;

/** Keeps a buffer. */
export function keepBuffer(buffer: ArrayBuffer): number {
  taken = buffer;
  return buffer.byteLength;
}

export function tellKept(): [size: number, detached: boolean] {
  return [taken!.byteLength, taken!.detached];
}

/** Sends back over a port, and gives the port back. */
export function sayAndReturn(port: MessagePort): MessagePort {
  port.postMessage("said");
  return port;
}

export function giveKept(): ArrayBuffer {
  return taken!;
}

export function keepAndGiveBuffer(buffer: ArrayBuffer): ArrayBuffer {
  return taken = buffer;
}

/** Says in shared memory that it has begun, and loops until let go. */
export function loopUntil(gate: Int32Array): void {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  while (Atomics.load(gate, 1) === 0) stand(5);
}

export function never(): Promise<never> {
  setInterval(() => {}, 1_000);
  return new Promise(() => {});
}

/** Dies of a timer before it is done. */
export function failLater(): Promise<never> {
  setTimeout(() => {
    throw new TypeError("Too late");
  });
  return new Promise(() => {});
}

/** Waits until a file is gone, and gives its name back. */
export async function awaitEnd(file: string): Promise<string> {
  while (true) {
    try {
      await Deno.stat(file);
    } catch {
      return file;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Throws what is hard to describe, or to pass on. */
export function throwOdd(kind: string): never {
  const thrown: Record<string, unknown> = {
    "a function": () => {},
    "a symbol": Symbol("odd"),
    "nothing": undefined,
    "an error with a function as its cause": new Error("x", {
      cause: () => {},
    }),
    "an error with a ring of causes": (() => {
      const error = new Error("x");
      error.cause = error;
      return error;
    })(),
    "an error whose message throws": Object.defineProperty(
      new Error(),
      "message",
      {
        get() {
          throw new Error("No message");
        },
      },
    ),
    "an object that can't be inspected": {
      [Symbol.for("Deno.customInspect")]() {
        throw new Error("No look");
      },
    },
    "a revoked proxy": revoked(),
    "an error with shared memory as its cause": new Error("x", {
      cause: new SharedArrayBuffer(1),
    }),
  };
  throw thrown[kind];
}

class NoErrors extends TypeError {
  get errors(): never {
    throw new Error("No errors");
  }
}

/** Throws an error whose "errors" are its own affair. */
export function throwWithoutErrors(message: string): never {
  throw new NoErrors(message, { cause: revoked() });
}

/** Throws an error of many. */
export function throwMany(kind: string): never {
  const error = new AggregateError([], kind);
  const cause = new TypeError("the cause");
  const errors: Record<string, unknown[]> = {
    "some": [new RangeError("first", { cause }), "second"],
    "many": Array.from({ length: 1_000 }, (_, index) => index),
    "unfit": [new SharedArrayBuffer(1)],
    "a ring": [error],
    "two rings": [error, error],
    "odd": [Object.assign(Object.create(null), { a() {} }), revoked()],
  };
  error.errors.push(...errors[kind]!);
  throw error;
}

/** Returns what is hard to pass on. */
export function giveOdd(kind: string): unknown {
  const given: Record<string, unknown> = {
    "a function": () => {},
    "a symbol": Symbol("odd"),
    "a weak map": new WeakMap(),
    "a deep function": [{ deep: new Map([[1, () => {}]]) }],
    "a getter that throws": {
      get value() {
        throw new Error("No value");
      },
    },
    "a then that throws": {
      get then() {
        throw new Error("No then");
      },
    },
    "a then that throws when called": {
      then() {
        throw new Error("No then");
      },
    },
    "a revoked proxy": revoked(),
    "a port": new MessageChannel().port1,
    "a detached buffer": (() => {
      const buffer = new ArrayBuffer(8);
      buffer.transfer();
      return [buffer];
    })(),
  };
  return given[kind];
}

/** Ends its worker after it has answered. */
export function exitLater(way: string): string {
  setTimeout(() => {
    if (way === "throw") throw new TypeError("Left behind");
    if (way === "reject") Promise.reject(new TypeError("Left behind"));
    else Deno.exit(0);
  });
  return "answered";
}

export function addOne(x: number): number {
  return x + 1;
}

/** A function that can also be awaited, as some query builders are. */
export function giveCallableThenable(): PromiseLike<string> {
  return Object.assign(() => {}, {
    then: (resolve: (value: string) => void) => resolve("awaited"),
  }) as unknown as PromiseLike<string>;
}

/** Waits, without its event loop, until a file is there; or does nothing. */
export function waitForFile(file: string | null): string {
  if (file === null) return "passed";
  Deno.writeTextFileSync(`${file}.begun`, "");
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (true) {
    try {
      Deno.statSync(file);
      return "let go";
    } catch {
      Atomics.wait(cell, 0, 0, 2);
    }
  }
}

export function waitForFileWith(file: string | null, _: ArrayBuffer): string {
  return waitForFile(file);
}

let hasArrived = Promise.withResolvers<void>();

/** Ends when another call has come, in the same worker. */
export async function meet(): Promise<string> {
  const { promise, resolve } = hasArrived;
  if (arrived++ % 2 === 0) await promise;
  else {
    resolve();
    hasArrived = Promise.withResolvers();
  }
  return "met";
}

let arrived = 0;

/** Gives back what a signal was aborted with, once it is. */
export async function reasonOf(signal: AbortSignal): Promise<string> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
  return String(signal.reason);
}

/** Waits for a signal, and says why it was aborted. */
export function obey(file: string, signal: AbortSignal): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const done = () => {
    Deno.writeTextFileSync(file, `${signal.reason.name}\n`, { append: true });
    resolve(signal.reason.name);
  };
  if (signal.aborted) done();
  else signal.addEventListener("abort", done);
  Deno.writeTextFileSync(file, "begun\n", { append: true });
  return promise;
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

/** Starts a thread that works on; then nobody catches an error, if asked. */
export async function startThread(
  gate: string,
  file: string,
  strays: boolean,
): Promise<string> {
  const { Thread } = await threads();
  const module = import.meta.url;
  new Thread({ target: awaitAndMark, args: [gate, file], module }).start();
  if (strays) {
    setTimeout(() => {
      throw new RangeError("on purpose");
    });
  }
  return "started";
}

export async function holdLock(lock: Lock, file: string): Promise<string> {
  await Deno.writeTextFile(file, "begun");
  while ((await Deno.stat(file)).size > 0) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  using _guard = await lock.hold();
  return "held";
}

let given: Lock;

export function keepLock(lock: Lock): void {
  given = lock;
}

export async function useLock(): Promise<string> {
  using _guard = await given.hold();
  return "held";
}

/** Waits until a file is gone; or fails once somebody waits for `after`. */
export async function awaitEndOrFail(
  { file, after }: { file?: string; after?: string },
): Promise<string> {
  if (file !== undefined) {
    await Deno.writeTextFile(file, "begun", { create: false }).catch(() => {});
    return await awaitEnd(file);
  }
  while ((await Deno.stat(after!)).size === 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new RangeError("No file");
}

/** Waits, with its event loop, until let go; or does nothing. */
export async function awaitGate(gate: Int32Array | null): Promise<void> {
  if (gate === null) return;
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  while (Atomics.load(gate, 1) === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

export function areAborted(
  first: number,
  ...signals: AbortSignal[]
): unknown[] {
  return [first, ...signals.map(({ aborted }) => aborted)];
}

export function ignoreSignal(): void {
  Deno.addSignalListener("SIGTERM", () => {});
}

export function giveOddOrThrow(kind: string): unknown {
  if (kind === "throw") throw new RangeError("No throw", { cause: () => {} });
  return giveOdd(kind) ?? kind;
}
