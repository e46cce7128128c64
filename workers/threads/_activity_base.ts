import {
  type ActivityOptions,
  checkArgs,
  checkDaemon,
  checkModule,
  checkName,
  checkWait,
  describeWork,
  targetName,
} from "./_options.ts";
import { callExceptHook } from "./_call_except_hook.ts";
import { context, nextIdent } from "./_context.ts";
import { Ending } from "./_ending.ts";
import { launch } from "./_launch.ts";
import type { Adoption } from "./_start.ts";
import type { RunnerExit } from "../errors.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import type { Runner } from "../runner/runner.ts";

type Target = NonNullable<ActivityOptions["target"]>;

/** How long a process that is disposed of may take to end by itself. */
const KILL_AFTER = 2_000;

const numbers = { thread: 0, process: 0 };
let bare = false;

let adoptActivity: (activity: Activity, adoption: Adoption) => void;
let runnerOf: (activity: Activity) => Runner | null;
let exitOf: (activity: Activity) => RunnerExit | null;

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
  #ending: Ending = new Ending();

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
    this.#permissions = permissions ?? "inherit";
    this.#daemon = daemon === undefined ? context.daemon : checkDaemon(daemon);
    this.#target = target ?? null;
    this.#args = checkArgs(args);
    this.#name = name === undefined ? "" : checkName(name);
    if (bare) return;
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
   * If you read it before the end, handle its rejection; otherwise the hook of
   * {@linkcode setExceptHook} gets the error. Waiting for the result of a
   * daemon does not keep the program alive; {@linkcode join} does.
   */
  get result(): Promise<T> {
    return this.#ending.ask() as Promise<T>;
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
    const overridden = this.run !== Activity.prototype.run;
    const runner = launch({
      kind: this.kind,
      label: this.#label(),
      module: this.#module,
      className: overridden ? this.constructor.name : null,
      target: this.#target === null ? null : targetName(this.#target),
      payload: {
        args: this.#args,
        fields: Object.fromEntries(Object.entries(this)),
      },
      name: this.#name,
      daemon: this.#daemon,
      permissions: this.#permissions,
      ident,
    });
    this.#runner = runner;
    this.#state = "running";
    this.#ident = this.kind === "process" ? runner.pid ?? ident : ident;
    context.started.add(this);
    if (this.#daemon) runner.unref();
    runner.onmessage = (message) => this.#ending.settle(message);
    runner.exited.then((exit) => this.#end(exit));
  }

  /**
   * Waits for it to end.
   *
   * @param options How long to wait at most, in milliseconds, or that and a
   * signal that ends the wait.
   * @returns Whether it has ended.
   * @throws {Error} If it was not started, or is the code that asks.
   * @throws {RangeError} If the time is negative.
   */
  async join(options: number | WaitOptions = {}): Promise<boolean> {
    const wait = checkWait(options);
    if (this === context.current || this === context.main) {
      throw new Error(
        `Cannot join ${this.#label()}: it would wait for itself`,
      );
    }
    if (this.#state === "initial") {
      throw new Error(`Cannot join ${this.#label()}: it was not started`);
    }
    if (this.#state === "running") {
      await this.#ending.wait(this.#runner!, this.#daemon, wait);
    }
    return this.#state === "ended";
  }

  /** Ends it if it is alive, and waits until it has ended. */
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
    const error = this.#ending.end(exit, this.#label());
    if (error !== undefined) callExceptHook({ error, thread: this });
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
