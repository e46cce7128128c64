/**
 * The process.
 *
 * @module
 */

import { Activity, attach, exitOf, runnerOf } from "./_activity_base.ts";
import type { ProcessOptions } from "./thread_options.ts";
import { context, type Started } from "../runner/context.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import type { Runner } from "../runner/runner.ts";

export type { ProcessOptions } from "./thread_options.ts";

/**
 * Code that runs in its own process: Python's `multiprocessing.Process`.
 *
 * Processes share no memory; arguments and results are copied. The process uses
 * this program's stdout and stderr; its stdin is empty. It never outlives this
 * program, however the program ends. The terminal's signals for an interrupt and a
 * hang-up (SIGINT, SIGHUP) have an effect only on this program.
 *
 * @typeParam T The type of the result.
 * @typeParam A The parameters of the target; `args` is checked against them.
 *
 * @example A process that crashes without harm
 * ```ts ignore
 * import { Process } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * export function crash(): void {
 *   Deno.exit(3);
 * }
 *
 * if (import.meta.main) {
 *   const process = new Process({ target: crash, module: import.meta.url });
 *   process.start();
 *   await process.join();
 *   assertEquals(process.exitCode, 3);
 * }
 * ```
 *
 * @example A target that is refused
 * ```ts
 * import { ModuleImportError, Process } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * function work() {}
 *
 * assertThrows(() => new Process({ target: work }), ModuleImportError);
 * ```
 */
export class Process<
  T = unknown,
  A extends readonly unknown[] = never[],
> extends Activity<T> {
  #closed = false;

  /**
   * The kind.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * assertEquals(new Process({ target: "work", module }).kind, "process");
   * ```
   */
  get kind(): "process" {
    return "process";
  }

  /**
   * Constructs a process that is not started.
   *
   * @param options The target and its settings.
   * @throws {TypeError} If an option has the wrong shape, or the target has no
   * name.
   * @throws {ModuleImportError} If no module was given.
   */
  constructor(options: ProcessOptions<T, A> = {} as ProcessOptions<T, A>) {
    super("process", options as ProcessOptions<T>);
  }

  /**
   * The process id; `null` before the start.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assert, assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const process = new Process({ target: "work", module });
   * assertEquals(process.pid, null);
   * process.start();
   * assert(process.pid! > 0);
   * await process.join();
   * ```
   */
  get pid(): number | null {
    this.#check("look up the id of");
    return this.ident;
  }

  /**
   * The exit code: `0`, the `n` of `Deno.exit(n)`, `1` for an uncaught error,
   * or `-N` for the signal number `N`. It is `null` before the end.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function leave() { Deno.exit(3); }";
   * const process = new Process({ target: "leave", module });
   * process.start();
   * await process.join();
   * assertEquals(process.exitCode, 3);
   * ```
   */
  get exitCode(): number | null {
    this.#check("look up the exit code of");
    return exitOf(this)?.code ?? null;
  }

  /**
   * Starts the process.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const process = new Process<number>({
   *   target: "half",
   *   args: [4],
   *   module: "data:text/javascript,export function half(x) { return x / 2; }",
   * });
   * process.start();
   * assertEquals(await process.result, 2);
   * await process.join();
   * ```
   *
   * @throws {Error} If it was started already, or this is a daemon process,
   * which may not have children.
   * @throws {TypeError} If an argument or a field can't be cloned.
   */
  override start(): void {
    this.#check("start");
    if (context.process.daemon) {
      throw new Error(
        `Cannot start process "${this.name}": a daemon process may not have ` +
          "children",
      );
    }
    super.start();
  }

  /**
   * Waits until the process has ended.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const process = new Process({ target: "work", module });
   * process.start();
   * assertEquals(await process.join(), true);
   * ```
   *
   * @param options The time-out in milliseconds, or an object with a time-out
   * and a signal.
   * @returns Whether it has ended.
   * @throws {Error} If it was not started, or was closed.
   * @throws {RangeError} If the time-out is negative.
   */
  override async join(options: number | WaitOptions = {}): Promise<boolean> {
    this.#check("join");
    return await super.join(options);
  }

  /**
   * Returns whether the process was started and has not ended.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const process = new Process({ target: "work", module });
   * process.start();
   * assertEquals(process.isAlive(), true);
   * await process.join();
   * assertEquals(process.isAlive(), false);
   * ```
   *
   * @returns `true` while it is alive.
   */
  override isAlive(): boolean {
    this.#check("look at");
    return super.isAlive();
  }

  /**
   * Ends the process by SIGTERM. Does nothing if it has ended.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module =
   *   "data:text/javascript,export function never() { return new Promise(() => {}); }";
   * const process = new Process({ target: "never", module });
   * process.start();
   * process.terminate();
   * assertEquals(await process.join(), true);
   * ```
   *
   * @throws {Error} If it was not started, or was closed.
   */
  terminate(): void {
    this.#runner("terminate").terminate();
  }

  /**
   * Ends the process by SIGKILL. Does nothing if it has ended.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const module = "data:text/javascript,export function endless() { while (true); }";
   * const process = new Process({ target: "endless", module });
   * process.start();
   * process.kill();
   * await process.join();
   * assertEquals(process.exitCode, -9);
   * ```
   *
   * @throws {Error} If it was not started, or was closed.
   */
  kill(): void {
    this.#runner("kill").kill();
  }

  /**
   * Closes the object. From then on its methods throw.
   *
   * @example Usage
   * ```ts
   * import { Process } from "@socketserver/socketserver";
   * import { assertThrows } from "@std/assert";
   *
   * const module = "data:text/javascript,export function work() {}";
   * const process = new Process({ target: "work", module });
   * process.close();
   * assertThrows(() => process.start(), Error, "closed");
   * ```
   *
   * @throws {Error} If the process is running.
   */
  close(): void {
    if (!this.#closed && super.isAlive()) {
      throw new Error(
        `Cannot close process "${this.name}": it is running; terminate() and ` +
          "join() it first",
      );
    }
    this.#closed = true;
  }

  #runner(doing: string): Runner {
    this.#check(doing);
    const runner = runnerOf(this);
    if (runner === null) {
      throw new Error(
        `Cannot ${doing} process "${this.name}": it was not started`,
      );
    }
    return runner;
  }

  #check(doing: string): void {
    if (this.#closed) {
      throw new Error(
        `Cannot ${doing} process "${this.name}": it was closed`,
      );
    }
  }
}

context.attach.process = (identity, Class) => attach(Process, identity, Class);

/**
 * Returns the process that this code runs in: Python's
 * `multiprocessing.current_process()`.
 *
 * In a started process, it is the object that `run()` was called on. Elsewhere
 * it has the process's name and id.
 *
 * @returns The current process.
 *
 * @example Usage
 * ```ts
 * import { currentProcess } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(currentProcess().name, "MainProcess");
 * assertEquals(currentProcess().pid, Deno.pid);
 * ```
 */
export function currentProcess(): Process {
  if (context.current instanceof Process) return context.current;
  context.mainProcess ??= attach(Process, {
    args: [],
    fields: {},
    ...(context.isMain && context.identity),
    ...context.process,
    ident: Deno.pid,
  });
  return context.mainProcess as Process;
}

function isProcess(started: Started): started is Process {
  return started.kind === "process";
}

/**
 * Lists the live processes that this thread started: Python's
 * `multiprocessing.active_children()`.
 *
 * @returns The processes, in the order of their starts.
 *
 * @example Usage
 * ```ts
 * import { activeChildren } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(activeChildren(), []);
 * ```
 */
export function activeChildren(): Process[] {
  return [...context.started].filter(isProcess);
}
