/**
 * The errors of this module that callers catch, as far as threads and
 * processes raise them.
 *
 * @module
 */

/**
 * The base class of every error that this module defines.
 *
 * @example Telling this module's errors from others
 * ```ts
 * import { ServerClosedError, SocketServerError } from "@socketserver/socketserver";
 * import { assert } from "@std/assert";
 *
 * assert(new ServerClosedError("Closed") instanceof SocketServerError);
 * ```
 */
export class SocketServerError extends Error {
  /** The name of the error's class. */
  override name = "SocketServerError";
}

/**
 * Thrown when a handler, a server class or a target cannot be imported where
 * it is to run.
 *
 * @example Usage
 * ```ts
 * import { HandlerImportError } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new HandlerImportError("Cannot import", "file:///handler.ts");
 * assertEquals(error.module, "file:///handler.ts");
 * ```
 */
export class HandlerImportError extends SocketServerError {
  /** The name of the error's class. */
  override name = "HandlerImportError";
  /** The module that was to be imported, or `null` where none was named. */
  readonly module: string | null;

  /**
   * Constructs an error about a module.
   *
   * @param message What failed, why, and the cure.
   * @param module The module that was to be imported.
   * @param options The cause, where there is one.
   */
  constructor(message: string, module: string | null, options?: ErrorOptions) {
    super(message, options);
    this.module = module;
  }
}

/** How a thread or process ended. */
export interface RunnerExit {
  /**
   * The exit code of a process: `0`, the `n` of `Deno.exit(n)`, `1` for an
   * uncaught error, `-N` for the signal number `N`; of a thread, `0` or `1`.
   */
  code: number;
  /**
   * - `"returned"`: the code ran to its end;
   * - `"error"`: an uncaught error or an unhandled rejection;
   * - `"exit"`: it ended itself (`self.close()`, `Deno.exit()`) or vanished;
   * - `"terminated"`: its owner ended it;
   * - `"import"`: its modules could not be imported;
   * - `"protocol"`: it sent something malformed, unknown or out of order, and
   *   was ended for that.
   */
  reason:
    | "returned"
    | "error"
    | "exit"
    | "terminated"
    | "import"
    | "protocol";
  /** What was thrown, where something was; for `"protocol"`, what is wrong. */
  error?: Error;
}

/**
 * Thrown for work that was lost because the thread or process that did it
 * ended before it was done.
 *
 * @example Usage
 * ```ts
 * import { RunnerExitError } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new RunnerExitError("Worker gone", { code: 1, reason: "exit" });
 * assertEquals(error.exit.code, 1);
 * ```
 */
export class RunnerExitError extends SocketServerError {
  /** The name of the error's class. */
  override name = "RunnerExitError";
  /** How the thread or process ended. */
  readonly exit: RunnerExit;

  /**
   * Constructs an error about a runner that ended.
   *
   * @param message What was lost and why.
   * @param exit How the runner ended.
   */
  constructor(message: string, exit: RunnerExit) {
    super(message, exit.error === undefined ? {} : { cause: exit.error });
    this.exit = exit;
  }
}

/**
 * Thrown for tasks that are given to a pool that was shut down, and for those
 * that it could not do any more.
 *
 * @example Usage
 * ```ts
 * import { PoolClosedError, ThreadPool } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * const pool = new ThreadPool({ module: "file:///tasks.ts" });
 * await pool.shutdown();
 * await assertRejects(() => pool.submit("add", 1, 2), PoolClosedError);
 * ```
 */
export class PoolClosedError extends SocketServerError {
  /** The name of the error's class. */
  override name = "PoolClosedError";
}

/**
 * Thrown for tasks that are given to a pool in which as many wait already as
 * its `maxQueue` allows.
 *
 * @example Usage
 * ```ts
 * import { PoolFullError, ThreadPool } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * await using pool = new ThreadPool({
 *   module: "data:text/javascript,export function nothing() {}",
 *   maxQueue: 1,
 * });
 * const first = pool.submit("nothing");
 * await assertRejects(() => pool.submit("nothing"), PoolFullError);
 * await first;
 * ```
 */
export class PoolFullError extends SocketServerError {
  /** The name of the error's class. */
  override name = "PoolFullError";
}

/** The parts of an error that cross from one runner to another. */
export interface RemoteErrorInit {
  /** The name of what was thrown, `"TypeError"` for one. */
  name: string;
  /** Its message. */
  message: string;
  /** Its stack, where it had one. */
  stack?: string;
  /** Its cause, a {@linkcode RemoteError} where it was an error. */
  cause?: unknown;
}

/**
 * What was thrown in a thread or process, as its caller sees it: the name,
 * message, stack and cause are those of the original.
 *
 * @example Usage
 * ```ts
 * import { RemoteError } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new RemoteError({ name: "TypeError", message: "No" });
 * assertEquals(String(error), "TypeError: No");
 * ```
 */
export class RemoteError extends SocketServerError {
  /** The name of what was thrown. */
  override name: string;

  /**
   * Constructs the error from the parts that crossed.
   *
   * @param init The original's name, message, stack and cause.
   */
  constructor(init: RemoteErrorInit) {
    super(init.message, init.cause === undefined ? {} : { cause: init.cause });
    this.name = init.name;
    if (init.stack !== undefined) this.stack = init.stack;
  }
}
