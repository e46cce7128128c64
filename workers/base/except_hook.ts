/**
 * The hook for errors that nobody caught.
 *
 * @module
 */

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

function describe(error: unknown): string {
  if (!(error instanceof Error)) return Deno.inspect(error, { colors: false });
  const { stack = String(error), cause } = error;
  return cause === undefined
    ? stack
    : `${stack}\nCaused by: ${describe(cause)}`;
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
