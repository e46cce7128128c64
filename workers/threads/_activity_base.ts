/**
 * The base class of threads and processes, with their start and their end.
 *
 * @module
 */

import { packFor, registerBound, SHARED_URLS, unpack } from "../codec/share.ts";
import { checkModule, describeWork, targetName } from "../runner/targets.ts";
import {
  assertOptions,
  assertType,
  checkName,
  checkSignal,
  checkTimeout,
  MAX_TIMEOUT,
} from "../base/check.ts";
import {
  type ActivityStart,
  context,
  type Identity,
  MESSAGE,
  nextIdent,
  type Payload,
} from "../runner/context.ts";
import {
  callExceptHook,
  reasonOf,
  type RunnerExit,
  RunnerExitError,
} from "../base/errors.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import type { ThreadOptions } from "./thread_options.ts";
import {
  describeExit,
  type Runner,
  type RunnerKind,
} from "../runner/runner.ts";
import { assertCrosses } from "../codec/codec.ts";
import { fromErrorRecord, ProtocolError } from "../line/dialect.ts";
import { startRunner } from "../runner/supervisor.ts";

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

/**
 * Starts a thread or process.
 *
 * @param kind Which of the two.
 * @param start Its data, not packed yet.
 * @param permissions Its permissions.
 * @returns Its runner, which is starting.
 * @throws {TypeError} If an argument or a field can't be cloned.
 */
export function launch(
  kind: RunnerKind,
  start: ActivityStart & { payload: Payload },
  permissions: Deno.PermissionOptions,
): Runner {
  const { module, name, payload } = start;
  try {
    const packed = packFor(kind, payload);
    return startRunner(kind, {
      main: MAIN_URL,
      // The classes of locks take time to load: only if there are locks.
      modules: packed === payload ? [module] : [module, SHARED_URLS[kind]],
      data: { ...start, payload: packed },
      name,
      permissions,
    });
  } catch (error) {
    blame(kind, name, payload);
    throw error;
  }
}

/** Throws for the first argument or field that can't be cloned. */
function blame(kind: RunnerKind, name: string, { args, fields }: Payload) {
  const parts = [
    ...args.map((arg, index) => [`argument ${index}`, arg] as const),
    ...Object.entries(fields).map(([key, value]) =>
      [`field "${key}"`, value] as const
    ),
  ];
  for (const [part, value] of parts) {
    try {
      assertCrosses(kind, packFor(kind, value));
    } catch (error) {
      throw new TypeError(
        `Cannot pass ${part} to ${kind} "${name}": ${reasonOf(error)}`,
      );
    }
  }
}

/** The end of a thread or process, and its result. */
export class Ending {
  #result: PromiseWithResolvers<unknown> = Promise.withResolvers();
  #isAsked = false;
  #hasResult = false;
  #hasFailed = false;
  #joiners: Set<() => void> = new Set();

  constructor() {
    this.#result.promise.catch(() => {});
  }

  /** Returns the result. The caller handles its errors. */
  ask(): Promise<unknown> {
    this.#isAsked = true;
    return this.#result.promise;
  }

  /**
   * A message has arrived.
   *
   * @param message The message; its sender may be hostile.
   * @returns The error, if no caller gets it.
   */
  receive(message: unknown): Error | undefined {
    const [kind, value] = Array.isArray(message) ? message : [];
    const settled = this.#hasResult || this.#hasFailed;
    if (kind === MESSAGE.result && !settled) {
      this.#hasResult = true;
      this.#result.resolve(unpack(value));
    } else if (kind === MESSAGE.error && !this.#hasFailed) {
      return this.#fail(fromErrorRecord(value));
    } else {
      throw new ProtocolError("A message makes no sense here");
    }
  }

  /**
   * It has ended.
   *
   * @param exit How it ended.
   * @param label Its name in errors.
   * @returns The error, if no caller gets it.
   */
  end(exit: RunnerExit, label: string): Error | undefined {
    for (const resolve of this.#joiners) resolve();
    const { reason, error } = exit;
    if (error && (reason === "error" || reason === "import")) {
      return this.#fail(error);
    }
    this.#result.reject(
      new RunnerExitError(
        `Cannot get the result of ${label}: it ${describeExit(exit)}`,
        exit,
      ),
    );
  }

  #fail(error: Error): Error | undefined {
    if (this.#hasFailed) return undefined;
    this.#hasFailed = true;
    this.#result.reject(error);
    return this.#isAsked && !this.#hasResult ? undefined : error;
  }

  /**
   * Waits for the end and keeps the program alive meanwhile.
   *
   * @param runner Its runner.
   * @param daemon Whether it lets the program end otherwise.
   * @param options How long to wait.
   */
  async wait(
    runner: Runner,
    daemon: boolean,
    options: WaitOptions = {},
  ): Promise<void> {
    const { timeout = Infinity, signal } = options;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal!.reason);
    const timer = timeout > MAX_TIMEOUT
      ? undefined
      : setTimeout(resolve, timeout);
    signal?.addEventListener("abort", abort);
    this.#joiners.add(resolve);
    runner.ref();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#joiners.delete(resolve);
      if (daemon && this.#joiners.size === 0) runner.unref();
    }
  }
}

/** Checks the option `daemon`. */
export function checkDaemon(daemon: unknown): boolean {
  assertType("daemon", daemon, typeof daemon === "boolean", "a boolean");
  return daemon;
}

/** Checks the arguments for functions and symbols, and copies the array. */
export function checkArgs(args: unknown): readonly unknown[] {
  assertType("args", args, Array.isArray(args), "an array");
  args.forEach((arg, index) => {
    if (typeof arg === "function" || typeof arg === "symbol") {
      throw new TypeError(
        `Cannot pass argument ${index} of "args": a ${typeof arg} ` +
          "cannot be cloned",
      );
    }
  });
  return [...args];
}

/** Checks the options of a wait. */
export function checkWait(options: unknown): WaitOptions {
  const wait = typeof options === "object" && options !== null
    ? options as WaitOptions
    : { timeout: options as number };
  assertOptions(wait, "join()", ["timeout", "signal"]);
  checkTimeout(wait.timeout);
  checkSignal(wait.signal);
  return wait;
}

type Target = NonNullable<ThreadOptions["target"]>;

/** How long a process that is disposed of may take to end by itself. */
const KILL_AFTER = 2_000;

const OPTIONS = ["target", "args", "name", "daemon", "module", "permissions"];

const numbers = { thread: 0, process: 0 };
let isAttaching = false;

let identify: (activity: Activity, identity: Identity) => void;
let runnerOf: (activity: Activity) => Runner | null;
let exitOf: (activity: Activity) => RunnerExit | null;

/**
 * The base of {@linkcode Thread} and {@linkcode Process}: code that runs beside
 * the program.
 *
 * @example Either kind
 * ```ts
 * import { Process, Thread } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const options = {
 *   target: "half",
 *   args: [4],
 *   module: "data:text/javascript,export function half(x) { return x / 2; }",
 * };
 * for (const activity of [new Thread(options), new Process(options)]) {
 *   activity.start();
 *   assertEquals(await activity.result, 2);
 *   await activity.join();
 * }
 * ```
 *
 * @typeParam T The type of the result.
 */
export abstract class Activity<T = unknown> implements AsyncDisposable {
  /** Whether it is a thread or a process. */
  abstract readonly kind: "thread" | "process";
  #name: string;
  #daemon: boolean;
  #target: Target | null;
  #args: readonly unknown[];
  #module = "";
  #permissions: Deno.PermissionOptions;
  #ident: number | null = null;
  #state: "initial" | "running" | "ended" = "initial";
  #runner: Runner | null = null;
  #exit: RunnerExit | null = null;
  #ending: Ending = new Ending();

  static {
    identify = (activity, identity) => {
      activity.#ident = identity.ident;
      activity.#name = identity.name;
      activity.#daemon = identity.daemon;
      activity.#args = identity.args;
      activity.#state = "running";
    };
    runnerOf = (activity) => activity.#runner;
    exitOf = (activity) => activity.#exit;
  }

  /**
   * Constructs a thread or process that is not started.
   *
   * @param kind Which of the two.
   * @param options The target and its settings.
   */
  constructor(kind: "thread" | "process", options: ThreadOptions<T>) {
    const className = kind === "thread" ? "Thread" : "Process";
    assertOptions(options, `a ${className}`, OPTIONS);
    const { target, args = [], name, daemon, permissions } = options;
    this.#permissions = permissions ?? "inherit";
    const own = kind === "thread" ? context.daemon : context.process.daemon;
    this.#daemon = daemon === undefined ? own : checkDaemon(daemon);
    this.#target = target ?? null;
    this.#args = checkArgs(args);
    this.#name = name === undefined ? "" : checkName(name);
    if (isAttaching) return;
    const Class = new.target as { name: string; module?: string | URL };
    const what = describeWork(
      kind,
      this.run === Activity.prototype.run ? undefined : Class.name,
      target,
    );
    this.#module = checkModule(options.module ?? Class.module, what, kind);
    if (name !== undefined) return;
    const prefix = kind === "thread" ? "Thread" : "Process";
    this.#name = `${prefix}-${++numbers[kind]}`;
    if (target !== undefined) this.#name += ` (${targetName(target)})`;
  }

  /**
   * The name. You may change it at any time.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * thread.name = "worker";
   * assertEquals(thread.name, "worker");
   * ```
   */
  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    this.#name = checkName(name);
  }

  /**
   * Returns the name, as `name` does.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module, name: "worker" });
   * assertEquals(thread.getName(), "worker");
   * ```
   *
   * @returns The name.
   */
  getName(): string {
    return this.#name;
  }

  /**
   * Sets the name, as assigning to `name` does.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * thread.setName("worker");
   * assertEquals(thread.name, "worker");
   * ```
   *
   * @param name The name.
   */
  setName(name: string): void {
    this.name = name;
  }

  /**
   * Whether the program may end while this runs. You may change it before the
   * start.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * thread.daemon = true;
   * assertEquals(thread.daemon, true);
   * ```
   */
  get daemon(): boolean {
    return this.#daemon;
  }

  set daemon(daemon: boolean) {
    checkDaemon(daemon);
    if (this.#state !== "initial") {
      throw new Error(
        `Cannot change "daemon" of ${this.#label()}: it was started already`,
      );
    }
    this.#daemon = daemon;
  }

  /**
   * The identification number; `null` before the start.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * assertEquals(thread.ident, null);
   * ```
   */
  get ident(): number | null {
    return this.#ident;
  }

  /**
   * The arguments. In the thread or process they are copies.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", args: [1, "a"], module });
   * assertEquals(thread.args, [1, "a"]);
   * ```
   */
  get args(): readonly unknown[] {
    return this.#args;
  }

  /**
   * The code's result. Rejects with a {@linkcode RemoteError} if the code
   * threw, a {@linkcode ModuleImportError} if the import failed, and a
   * {@linkcode RunnerExitError} if it ended without a result.
   *
   * If you read it before the end, handle its rejection; otherwise the hook of
   * {@linkcode setExceptHook} gets the error. Awaiting the result of a daemon
   * does not keep the program alive; {@linkcode join} does.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const thread = new Thread<number>({
   *   target: "half",
   *   args: [4],
   *   module: "data:text/javascript,export function half(x) { return x / 2; }",
   * });
   * thread.start();
   * assertEquals(await thread.result, 2);
   * await thread.join();
   * ```
   */
  get result(): Promise<T> {
    return this.#ending.ask() as Promise<T>;
  }

  /**
   * Returns whether it was started and has not ended.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * thread.start();
   * assertEquals(thread.isAlive(), true);
   * await thread.join();
   * assertEquals(thread.isAlive(), false);
   * ```
   *
   * @returns `true` while it is alive.
   */
  isAlive(): boolean {
    return this.#state === "running";
  }

  /**
   * Runs in the thread or process. It calls the target, unless a subclass
   * overrides it.
   *
   * As with Python's `multiprocessing`, `this` is not the object that was
   * started. It is another one of the same class, with copies of the original's
   * public fields. No constructor is called.
   *
   * @example Usage
   * ```ts ignore
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * export class Doubler extends Thread<number> {
   *   static readonly module = import.meta.url;
   *   number = 21;
   *   override run(): number {
   *     return this.number * 2;
   *   }
   * }
   *
   * if (import.meta.main) {
   *   const thread = new Doubler();
   *   thread.start();
   *   assertEquals(await thread.result, 42);
   * }
   * ```
   *
   * @returns The result.
   * @throws {TypeError} If it is called here and the target is only a name.
   */
  run(): T | Promise<T> {
    const target = this.#target as ((...args: unknown[]) => T) | string | null;
    if (typeof target !== "function") {
      throw new TypeError(
        `Cannot run ${this.#label()} here: its target is only a name`,
      );
    }
    return target(...this.#args);
  }

  /**
   * Starts the thread or process.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const thread = new Thread({ target: "work", module });
   * thread.start();
   * assertThrows(() => thread.start(), Error, "started already");
   * assertEquals(await thread.join(), true);
   * ```
   *
   * @throws {Error} If it was started already.
   * @throws {TypeError} If an argument or a field can't be cloned.
   */
  start(): void {
    if (this.#state !== "initial") {
      throw new Error(
        `Cannot start ${this.#label()}: it was started already, and can be ` +
          "only once",
      );
    }
    const { kind } = this;
    const ident = nextIdent();
    const overridden = this.run !== Activity.prototype.run;
    const runner = launch(kind, {
      module: this.#module,
      className: overridden ? this.constructor.name : null,
      target: this.#target === null ? null : targetName(this.#target),
      payload: {
        args: this.#args,
        fields: Object.fromEntries(Object.entries(this)),
      },
      name: this.#name,
      daemon: this.#daemon,
      ident,
      process: kind === "process"
        ? { name: this.#name, daemon: this.#daemon }
        : context.process,
      lastIdent: kind === "thread" ? context.lastIdent : null,
    }, this.#permissions);
    this.#runner = runner;
    this.#state = "running";
    this.#ident = this.kind === "process" ? runner.pid ?? ident : ident;
    context.started.add(this);
    if (this.#daemon) runner.unref();
    runner.onmessage = (message) => this.#report(this.#ending.receive(message));
    runner.exited.then((exit) => this.#end(exit));
  }

  /**
   * Waits until it has ended.
   *
   * @example With a time-out
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module =
   *   "data:text/javascript,export function never() { return new Promise(() => {}); }";
   * await using thread = new Thread({ target: "never", module });
   * thread.start();
   * assertEquals(await thread.join(10), false);
   * ```
   *
   * @param options The time-out in milliseconds, or an object with a time-out
   * and a signal.
   * @returns Whether it has ended.
   * @throws {Error} If it was not started, or would wait for itself.
   * @throws {RangeError} If the time-out is negative.
   */
  async join(options: number | WaitOptions = {}): Promise<boolean> {
    const wait = checkWait(options);
    if (this.#state === "initial") {
      throw new Error(`Cannot join ${this.#label()}: it was not started`);
    }
    if (this.#runner === null) {
      throw new Error(
        `Cannot join ${this.#label()}: it would wait for itself`,
      );
    }
    if (this.#state === "running") {
      await this.#ending.wait(this.#runner, this.#daemon, wait);
    }
    return this.#state === "ended";
  }

  /**
   * Terminates it if it is alive, and waits until it has ended.
   *
   * @example Usage
   * ```ts
   * import { Thread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module =
   *   "data:text/javascript,export function never() { return new Promise(() => {}); }";
   * const thread = new Thread({ target: "never", module });
   * {
   *   await using _ending = thread;
   *   thread.start();
   * }
   * assertEquals(thread.isAlive(), false);
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const runner = this.#runner;
    if (runner === null || this.#state === "ended") return;
    runner.terminate();
    const timer = setTimeout(() => runner.kill(), KILL_AFTER);
    await this.#ending.wait(runner, this.#daemon);
    clearTimeout(timer);
  }

  #label(): string {
    return `${this.kind} "${this.#name}"`;
  }

  #end(exit: RunnerExit): void {
    this.#exit = exit;
    this.#state = "ended";
    context.started.delete(this);
    this.#report(this.#ending.end(exit, this.#label()));
  }

  /** Reports an error that no caller gets. */
  #report(error: Error | undefined): void {
    if (error !== undefined) void callExceptHook({ error, thread: this });
  }
}

/**
 * Makes an object for code that already runs.
 *
 * @param Base The class's base, whose constructor skips its checks.
 * @param identity What is known of that code.
 * @param Class The class, whose own constructor is not called.
 * @returns The object, or `null` if the class does not extend the base.
 */
export function attach<A extends Activity>(
  Base: new () => A,
  identity: Identity,
  Class: { prototype: object } = Base,
): A | null {
  if (Class !== Base && !(Class.prototype instanceof Base)) return null;
  isAttaching = true;
  try {
    const activity: A = Reflect.construct(Base, [], Class as typeof Base);
    identify(activity, identity);
    for (const [key, value] of Object.entries(identity.fields)) {
      Reflect.set(activity, key, value);
    }
    return activity;
  } finally {
    isAttaching = false;
  }
}

export { exitOf, runnerOf };

registerBound(Activity);
