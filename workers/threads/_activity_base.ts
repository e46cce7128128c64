import {
  type ActivityOptions,
  checkArgs,
  checkDaemon,
  checkModule,
  checkName,
  checkTimeout,
  MAX_TIMEOUT,
  targetName,
} from "./_options.ts";
import type { ActivityStart, Payload } from "./_start.ts";
import { packFor, SHARED_URLS } from "../codec/payload.ts";
import { encode } from "../codec/codec.ts";
import { context, nextIdent } from "./_context.ts";
import { type RunnerExit, RunnerExitError } from "../errors.ts";
import { callExceptHook } from "./_call_except_hook.ts";
import { describeExit } from "../runner/lifecycle.ts";
import { ProtocolError } from "../runner/protocol_error.ts";
import type { Runner, RunnerKind } from "../runner/runner.ts";
import { unpack } from "../codec/share.ts";
import { startRunner } from "../runner/start_runner.ts";

type Target = NonNullable<ActivityOptions["target"]>;

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;
/** How long a process that is disposed of may take to end by itself. */
const KILL_AFTER = 2_000;

/** How the code that runs here takes over the object that stands for it. */
export interface Adoption {
  /** Its number. */
  ident: number | null;
  /** Its name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The function to run. */
  target: ((...args: unknown[]) => unknown) | null;
  /** The function's arguments. */
  args: readonly unknown[];
}

const numbers = { thread: 0, process: 0 };
let bare = false;

let adoptActivity: (activity: Activity, adoption: Adoption) => void;
let runnerOf: (activity: Activity) => Runner | null;
let exitOf: (activity: Activity) => RunnerExit | null;

function canClone(value: unknown, kind: RunnerKind): string | null {
  try {
    const packed = packFor(kind, value);
    if (kind === "thread") structuredClone(packed);
    else encode(packed);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * What a {@linkcode Thread} and a {@linkcode Process} have in common: code
 * that runs beside this one.
 *
 * @typeParam T What the code returns.
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
  #result: PromiseWithResolvers<unknown> = Promise.withResolvers();
  #resultAsked = false;
  #settled = false;
  #ended: PromiseWithResolvers<void> = Promise.withResolvers();
  #waiters = 0;

  static {
    adoptActivity = (activity, adoption) => {
      activity.#ident = adoption.ident;
      activity.#name = adoption.name;
      activity.#daemon = adoption.daemon;
      activity.#target = adoption.target as Target | null;
      activity.#args = adoption.args;
      activity.#state = "running";
    };
    runnerOf = (activity) => activity.#runner;
    exitOf = (activity) => activity.#exit;
  }

  /**
   * Constructs a thread or process that has not been started.
   *
   * @param kind Which of the two.
   * @param options What to run, and how.
   */
  constructor(kind: "thread" | "process", options: ActivityOptions<T>) {
    const { target, args = [], name, daemon, permissions } = options;
    this.#result.promise.catch(() => {});
    this.#permissions = permissions ?? "inherit";
    this.#daemon = daemon === undefined ? context.daemon : checkDaemon(daemon);
    this.#target = target ?? null;
    this.#args = checkArgs(args);
    this.#name = name === undefined ? "" : checkName(name);
    if (bare) return;
    const Class = new.target as { name: string; module?: string | URL };
    const what = this.#describeWork(kind, Class.name);
    this.#module = checkModule(options.module ?? Class.module, what, kind);
    if (name !== undefined) return;
    const prefix = kind === "thread" ? "Thread" : "Process";
    this.#name = `${prefix}-${++numbers[kind]}`;
    if (target !== undefined) this.#name += ` (${targetName(target)})`;
  }

  /** The name, which may be changed at any time. */
  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    this.#name = checkName(name);
  }

  /**
   * Gives the name.
   *
   * @returns The name.
   */
  getName(): string {
    return this.#name;
  }

  /**
   * Changes the name.
   *
   * @param name The name.
   */
  setName(name: string): void {
    this.name = name;
  }

  /**
   * Whether the program may end while this runs; it can be changed until the
   * start.
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

  /** The number that tells it from others, or `null` before the start. */
  get ident(): number | null {
    return this.#ident;
  }

  /** The arguments, copies of the original ones where it runs. */
  get args(): readonly unknown[] {
    return this.#args;
  }

  /**
   * What the code returned. Rejects with a {@linkcode RemoteError} for what it
   * threw, a {@linkcode HandlerImportError} if it could not be imported, and a
   * {@linkcode RunnerExitError} if it ended without a result.
   *
   * Who asks for it before the end answers for its errors; otherwise they go
   * to the hook of {@linkcode setExceptHook}. Waiting for the result of a
   * daemon does not keep the program alive; {@linkcode join} does.
   */
  get result(): Promise<T> {
    this.#resultAsked = true;
    return this.#result.promise as Promise<T>;
  }

  /**
   * Whether it was started and has not ended.
   *
   * @returns Whether it is alive.
   */
  isAlive(): boolean {
    return this.#state === "running";
  }

  /**
   * What runs there: calls the target, unless a subclass overrides it.
   *
   * The subclass's object is not the one that was started but, as with
   * Python's `multiprocessing`, one of the same class that has copies of the
   * original's public fields; no constructor is called.
   *
   * @returns The result.
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
   * Starts it.
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
    const ident = nextIdent();
    const runner = this.#launch(ident);
    this.#runner = runner;
    this.#state = "running";
    this.#ident = this.kind === "process" ? runner.pid ?? ident : ident;
    context.started.add(this);
    if (this.#daemon) runner.unref();
    runner.onmessage = (message) => this.#resolve(message);
    runner.exited.then((exit) => this.#end(exit));
  }

  /**
   * Waits for it to end.
   *
   * @param timeout How long to wait at most, in milliseconds.
   * @returns Whether it has ended.
   * @throws {Error} If it was not started, or is the code that asks.
   * @throws {RangeError} If `timeout` is negative.
   */
  async join(timeout?: number): Promise<boolean> {
    checkTimeout(timeout);
    if (this === context.current || this === context.main) {
      throw new Error(
        `Cannot join ${this.#label()}: it would wait for itself`,
      );
    }
    if (this.#state === "initial") {
      throw new Error(`Cannot join ${this.#label()}: it was not started`);
    }
    if (this.#state === "ended") return true;
    if (timeout === undefined || timeout > MAX_TIMEOUT) {
      await this.#wait(this.#ended.promise);
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeout);
    await this.#wait(Promise.race([this.#ended.promise, promise]));
    clearTimeout(timer);
    return !this.isAlive();
  }

  /** Ends it if it is alive, and waits until it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const runner = this.#runner;
    if (runner === null || this.#state === "ended") return;
    runner.terminate();
    const timer = setTimeout(() => runner.kill(), KILL_AFTER);
    await this.#wait(this.#ended.promise);
    clearTimeout(timer);
  }

  /** Waits, and keeps the program alive for as long. */
  async #wait(moment: Promise<void>): Promise<void> {
    const runner = this.#runner!;
    this.#waiters++;
    runner.ref();
    await moment;
    this.#waiters--;
    if (this.#daemon && this.#waiters === 0) runner.unref();
  }

  /** Names what is to run, which must have a name to be found by. */
  #describeWork(kind: RunnerKind, className: string): string {
    if (this.run === Activity.prototype.run) {
      if (this.#target !== null) return `target "${targetName(this.#target)}"`;
      throw new TypeError(
        `Cannot construct a ${kind}: give it a "target", or override run()`,
      );
    }
    if (className !== "") return `class "${className}"`;
    throw new TypeError(
      `Cannot construct a ${kind} of an anonymous class: it must be exported ` +
        "from its module under its own name",
    );
  }

  #label(): string {
    return `${this.kind} "${this.#name}"`;
  }

  #launch(ident: number): Runner {
    const payload: Payload = {
      args: this.#args,
      fields: Object.fromEntries(Object.entries(this)),
    };
    try {
      const packed = packFor(this.kind, payload);
      return startRunner(this.kind, {
        main: MAIN_URL,
        // The classes of locks take time to load: only where there are some.
        modules: packed === payload
          ? [this.#module]
          : [this.#module, SHARED_URLS[this.kind]],
        data: this.#describeStart(ident, packed),
        name: this.#name,
        permissions: this.#permissions,
      });
    } catch (error) {
      this.#blame(payload);
      throw error;
    }
  }

  #describeStart(ident: number, payload: unknown): ActivityStart {
    const overridden = this.run !== Activity.prototype.run;
    const { kind } = this;
    return {
      module: this.#module,
      className: overridden ? this.constructor.name : null,
      target: this.#target === null ? null : targetName(this.#target),
      payload,
      name: this.#name,
      daemon: this.#daemon,
      ident,
      inDaemonProcess: context.inDaemonProcess ||
        (kind === "process" && this.#daemon),
      lastIdent: kind === "thread" ? context.lastIdent : null,
    };
  }

  /** Throws for the first argument or field that can't be cloned. */
  #blame({ args, fields }: Payload): void {
    const parts = [
      ...args.map((arg, index) => [`argument ${index}`, arg] as const),
      ...Object.entries(fields).map(([key, value]) =>
        [`field "${key}"`, value] as const
      ),
    ];
    for (const [what, value] of parts) {
      const why = canClone(value, this.kind);
      if (why === null) continue;
      throw new TypeError(
        `Cannot pass ${what} to ${this.#label()}: ${why}`,
      );
    }
  }

  #resolve(message: unknown): void {
    if (this.#settled) throw new ProtocolError("A second result came");
    this.#settled = true;
    this.#result.resolve(unpack(message));
  }

  #end(exit: RunnerExit): void {
    this.#exit = exit;
    this.#state = "ended";
    context.started.delete(this);
    if (!this.#settled) this.#result.reject(this.#failure(exit));
    const thrown = exit.reason === "error" || exit.reason === "import";
    if (thrown && exit.error !== undefined && !this.#handled()) {
      callExceptHook({ error: exit.error, thread: this });
    }
    this.#ended.resolve();
  }

  #failure(exit: RunnerExit): Error {
    const thrown = exit.reason === "error" || exit.reason === "import";
    if (thrown && exit.error !== undefined) return exit.error;
    return new RunnerExitError(
      `Cannot get the result of ${this.#label()}: it ${describeExit(exit)}`,
      exit,
    );
  }

  /** Whether what was thrown reaches who asked for the result. */
  #handled(): boolean {
    return this.#resultAsked && !this.#settled;
  }
}

/**
 * Makes an object for code that runs already.
 *
 * @param construct Calls the class's constructor, whose checks are left out.
 * @param adoption What the object stands for.
 * @returns The object.
 */
export function adopt<A extends Activity>(
  construct: () => A,
  adoption: Adoption,
): A {
  bare = true;
  try {
    const activity = construct();
    adoptActivity(activity, adoption);
    return activity;
  } finally {
    bare = false;
  }
}

export { exitOf, runnerOf };
