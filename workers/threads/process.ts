import { Activity, exitOf, runnerOf } from "./_activity_base.ts";
import type { ActivityOptions } from "./_options.ts";
import { context, type Started } from "./_context.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import type { Runner } from "../runner/runner.ts";

/** Options of a {@linkcode Process}. */
export type ProcessOptions<
  T = unknown,
  A extends readonly unknown[] = never[],
> = ActivityOptions<T, A>;

/**
 * Code that runs in a process of its own: Python's `multiprocessing.Process`.
 *
 * Nothing is shared: arguments and the result are copied. The process reads
 * and writes this program's stdin, stdout and stderr. It never outlives this
 * program, however that ends. An interrupt from the terminal (SIGINT) is left
 * to this program to handle.
 *
 * @typeParam T What the target returns.
 * @typeParam A The target's parameters, which `args` is checked against.
 *
 * @example A process whose crash harms nobody
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
 * @example What is refused
 * ```ts
 * import { HandlerImportError, Process } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * function work() {}
 *
 * assertThrows(() => new Process({ target: work }), HandlerImportError);
 * ```
 */
export class Process<
  T = unknown,
  A extends readonly unknown[] = never[],
> extends Activity<T> {
  #closed = false;

  /** Says that it is a process. */
  get kind(): "process" {
    return "process";
  }

  /**
   * Constructs a process that has not been started.
   *
   * @param options What to run, and how.
   * @throws {TypeError} If an option has the wrong shape, or the target has no
   * name.
   * @throws {HandlerImportError} If no module was given.
   */
  constructor(options: ProcessOptions<T, A> = {} as ProcessOptions<T, A>) {
    super("process", options as ProcessOptions<T>);
  }

  /** The process id, or `null` before the start. */
  get pid(): number | null {
    this.#check("tell the id of");
    return runnerOf(this)?.pid ?? null;
  }

  /**
   * How it ended: `0`, the `n` of `Deno.exit(n)`, `1` for an uncaught error,
   * `-N` for the signal number `N`; `null` before it has ended.
   */
  get exitCode(): number | null {
    this.#check("tell the exit code of");
    return exitOf(this)?.code ?? null;
  }

  /**
   * Starts it.
   *
   * @throws {Error} If it was started already, or this is a daemon process,
   * which may not have children.
   * @throws {TypeError} If an argument or a field can't be cloned.
   */
  override start(): void {
    this.#check("start");
    if (context.inDaemonProcess) {
      throw new Error(
        `Cannot start process "${this.name}": a daemon process may not have ` +
          "children",
      );
    }
    super.start();
  }

  /**
   * Waits for it to end.
   *
   * @param options How long to wait at most, in milliseconds, or that and a
   * signal that ends the wait.
   * @returns Whether it has ended.
   * @throws {Error} If it was not started, or was closed.
   * @throws {RangeError} If the time is negative.
   */
  override async join(options: number | WaitOptions = {}): Promise<boolean> {
    this.#check("join");
    return await super.join(options);
  }

  /**
   * Whether it was started and has not ended.
   *
   * @returns Whether it is alive.
   */
  override isAlive(): boolean {
    this.#check("look at");
    return super.isAlive();
  }

  /**
   * Ends it by SIGTERM; does nothing if it has ended.
   *
   * @throws {Error} If it was not started, or was closed.
   */
  terminate(): void {
    this.#runner("terminate").terminate();
  }

  /**
   * Ends it by SIGKILL; does nothing if it has ended.
   *
   * @throws {Error} If it was not started, or was closed.
   */
  kill(): void {
    this.#runner("kill").kill();
  }

  /**
   * Gives the object up: whatever is done with it from now on throws.
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

function isProcess(started: Started): started is Process {
  return started.kind === "process";
}

/**
 * Lists the processes that this thread started and that are alive: Python's
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
