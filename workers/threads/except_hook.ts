import type { Activity } from "./_activity_base.ts";
import { exchangeHook } from "./_call_except_hook.ts";

/** What an {@linkcode ExceptHook} is told. */
export interface ExceptHookArgs {
  /** What was thrown, with the original's name, message, stack and cause. */
  error: Error;
  /** The thread or process that threw it. */
  thread: Activity;
}

/** Called for errors that nobody caught in a thread or process. */
export type ExceptHook = (args: ExceptHookArgs) => unknown;

/**
 * Sets what is called when a thread or process that was started here ends by
 * an error, and nobody has asked for its `result`. Python's
 * `threading.excepthook`.
 *
 * From the start, and again after `setExceptHook(null)`, the error is printed
 * to stderr, in one write. A hook that fails is reported there and does no
 * other harm.
 *
 * @param hook What to call, or `null` for the default.
 * @returns What was called so far.
 *
 * @example Setting a hook and putting back what was there
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
  return exchangeHook(hook) as ExceptHook;
}
