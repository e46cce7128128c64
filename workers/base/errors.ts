/**
 * The errors of threads, processes and pools that callers catch, and the hook for
 * those that nobody caught.
 *
 * @module
 */

/**
 * The base class of this module's errors.
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
 * Thrown when a thread or process can't import a handler, a server class or a
 * target.
 *
 * @example Usage
 * ```ts
 * import { ModuleImportError } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ModuleImportError("Cannot import", "file:///handler.ts");
 * assertEquals(error.module, "file:///handler.ts");
 * ```
 */
export class ModuleImportError extends SocketServerError {
  /** The name of the error's class. */
  override name = "ModuleImportError";
  /** The module to import, or `null` if none was given. */
  readonly module: string | null;

  /**
   * Constructs an error about a module.
   *
   * @param message The failure, its reason and its cure.
   * @param module The module to import.
   * @param options The cause, if there is one.
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
  /** The uncaught error; for `"protocol"`, the violation. */
  error?: Error;
}

/**
 * Thrown for work that was lost because its thread or process ended.
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
   * @param message The lost work and the reason.
   * @param exit How the runner ended.
   */
  constructor(message: string, exit: RunnerExit) {
    super(message, exit.error === undefined ? {} : { cause: exit.error });
    this.exit = exit;
  }
}

/**
 * Thrown for tasks submitted after a pool's shutdown, and for those that it
 * dropped then.
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
 * Thrown for tasks submitted while `maxQueue` tasks wait.
 *
 * @example Usage
 * ```ts
 * import { PoolFullError, ThreadPool } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * await using pool = new ThreadPool({
 *   module: "data:text/javascript,export function nothing() {}",
 *   workers: 1,
 *   maxQueue: 1,
 * });
 * const running = pool.submit("nothing");
 * const waiting = pool.submit("nothing");
 * await assertRejects(() => pool.submit("nothing"), PoolFullError);
 * await Promise.all([running, waiting]);
 * ```
 */
export class PoolFullError extends SocketServerError {
  /** The name of the error's class. */
  override name = "PoolFullError";
}

/** The parts of an error that cross from one runner to another. */
export interface RemoteErrorInit {
  /** The original's name, for example `"TypeError"`. */
  name: string;
  /** Its message. */
  message: string;
  /** Its stack, if it had one. */
  stack?: string;
  /** Its cause; a {@linkcode RemoteError} if it was an error. */
  cause?: unknown;
  /** The errors of an `AggregateError`, as {@linkcode RemoteError}s. */
  errors?: readonly unknown[];
}

/**
 * An error thrown in a thread or process, as the caller sees it. It has the
 * original's name, message, stack and cause, and the `errors` of an
 * `AggregateError`: 64 causes and errors in all.
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
  /** The original's name. */
  override name: string;
  /** The errors of an `AggregateError`, each a `RemoteError` if it was one. */
  declare readonly errors?: readonly unknown[];

  /**
   * Constructs the error from the original's parts.
   *
   * @param init The original's name, message, stack, cause and errors.
   */
  constructor(init: RemoteErrorInit) {
    super(init.message, init.cause === undefined ? {} : { cause: init.cause });
    this.name = init.name;
    if (init.stack !== undefined) this.stack = init.stack;
    if (init.errors !== undefined) this.errors = init.errors;
  }
}

/**
 * Thrown by waits for a barrier that is or becomes broken.
 *
 * @example Usage
 * ```ts
 * import { Barrier, BrokenBarrierError } from "@socketserver/socketserver";
 * import { assertRejects } from "@std/assert";
 *
 * const barrier = new Barrier(2);
 * await assertRejects(() => barrier.wait({ timeout: 10 }), BrokenBarrierError);
 * ```
 */
export class BrokenBarrierError extends SocketServerError {
  /** The name of the error's class. */
  override name = "BrokenBarrierError";
}

/**
 * Thrown by `put()` if there was no room in time.
 *
 * @example Usage
 * ```ts
 * import { QueueFullError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>({ maxSize: 1 });
 * queue.putSync(1);
 * assertThrows(() => queue.putSync(2, { blocking: false }), QueueFullError);
 * ```
 */
export class QueueFullError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueFullError";
}

/**
 * Thrown by `get()` if there was no item in time.
 *
 * @example Usage
 * ```ts
 * import { QueueEmptyError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue();
 * assertThrows(() => queue.getSync({ blocking: false }), QueueEmptyError);
 * ```
 */
export class QueueEmptyError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueEmptyError";
}

/**
 * Thrown by `put()` if the queue is closed, and by `get()` if it is closed and
 * empty.
 *
 * @example Usage
 * ```ts
 * import { QueueClosedError, SharedQueue } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * const queue = new SharedQueue<number>();
 * queue.close();
 * assertThrows(() => queue.putSync(1), QueueClosedError);
 * ```
 */
export class QueueClosedError extends SocketServerError {
  /** The name of the error's class. */
  override name = "QueueClosedError";
}

/** The argument of an {@linkcode ExceptHook}. */
export interface ExceptHookArgs {
  /** The error, with the original's name, message, stack and cause. */
  error: Error;
  /**
   * What threw it: the `Thread` or `Process`, or the kind and name of a timer
   * or of a pool's worker.
   */
  thread: {
    readonly kind: "thread" | "process" | "timer";
    readonly name: string;
  };
}

/** Handles errors that nobody caught in a thread, process or timer. */
export type ExceptHook = (args: ExceptHookArgs) => unknown;

let current: ExceptHook = printException;

const CAUSED_BY = "\nCaused by: ";
/** Stands where an error has no description. */
const UNKNOWN = "what can't be described: that throws as well";
/** Most causes to show: a chain of causes may have no end. */
const MAX_CAUSES = 16;
/** The longest text in a value that is shown in full. */
const MAX_SHOWN = 1_000;

/**
 * Describes a value that is no error, for a report. Hostile code can make a
 * short value that would take hours to show in full.
 *
 * @param value The value.
 * @returns The description.
 */
export function describeValue(value: unknown): string {
  try {
    return Deno.inspect(value, {
      colors: false,
      depth: 1,
      strAbbreviateSize: MAX_SHOWN,
    });
  } catch {
    return UNKNOWN;
  }
}

/**
 * Describes what was thrown and its causes, for a report. Never throws.
 *
 * @param thrown What was thrown.
 * @param withoutStack Whether no stack can be had.
 * @returns The description.
 */
export function describe(thrown: unknown, withoutStack = false): string {
  const texts: string[] = [];
  // A cause may be one of the errors before it
  const seen = new Set<unknown>();
  try {
    let next = thrown;
    while (next instanceof Error && !seen.has(next)) {
      if (seen.size === MAX_CAUSES) return [...texts, "more"].join(CAUSED_BY);
      seen.add(next);
      const { name, message } = next;
      // Code may have replaced the stack by anything
      texts.push(
        withoutStack
          ? `${name}: ${message} (no file descriptor is free: no stack)`
          : String(next.stack ?? `${name}: ${message}`),
      );
      next = next.cause;
    }
    if (texts.length === 0 || next !== undefined && !seen.has(next)) {
      texts.push(typeof next === "string" ? next : describeValue(next));
    }
  } catch {
    texts.push(UNKNOWN);
  }
  return texts.join(CAUSED_BY);
}

/** Prints an error in one write. */
function print(where: string, error: unknown): void {
  try {
    const text = `Exception in ${where.trim()}:\n${describe(error)}\n`;
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  } catch {
    // Nowhere to print to.
  }
}

function printException({ error, thread: { kind, name } }: ExceptHookArgs) {
  print(`${kind} ${name}`, error);
}

/**
 * Sets the hook for errors that nobody handles: Python's
 * `threading.excepthook`. It gets the error that ended
 *
 * - a thread or process that was started here, if nobody read its `result`;
 * - a worker of a pool, if it ran no task;
 * - a pool that can't start its workers, if no task waits;
 * - the function of a {@linkcode Timer}, if nobody read `finished`.
 *
 * The default hook prints the error to stderr in one write. A hook that throws
 * is reported there, and does no other harm.
 *
 * @param hook The hook, or `null` for the default.
 * @returns The previous hook.
 *
 * @example Replacing and restoring the hook
 * ```ts
 * import { setExceptHook } from "@socketserver/socketserver";
 * import { assertEquals, assertStrictEquals } from "@std/assert";
 *
 * const names: string[] = [];
 * const hook = (args: { thread: { name: string } }) => {
 *   names.push(args.thread.name);
 * };
 * const previous = setExceptHook(hook);
 * assertStrictEquals(setExceptHook(previous), hook);
 * assertEquals(names, []);
 * ```
 */
export function setExceptHook(hook: ExceptHook | null): ExceptHook {
  if (hook !== null && typeof hook !== "function") {
    throw new TypeError("Cannot set the except hook: expected a function");
  }
  const previous = current;
  current = hook ?? printException;
  return previous;
}

/**
 * Calls the hook. Never throws.
 *
 * @param args Its arguments.
 */
export async function callExceptHook(args: ExceptHookArgs): Promise<void> {
  try {
    await current(args);
  } catch (error) {
    const { kind, name } = args.thread;
    print(`the except hook, called for ${kind} ${name}`, error);
  }
}

/**
 * Returns the message of an error.
 *
 * @param thrown The thrown value.
 * @returns Its message.
 */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
