/**
 * The hook for errors that nobody caught.
 *
 * @module
 */

import type { Activity } from "./_activity_base.ts";
import { exchangeHook } from "./_run.ts";

/** The argument of an {@linkcode ExceptHook}. */
export interface ExceptHookArgs {
  /** The error, with the original's name, message, stack and cause. */
  error: Error;
  /** The thread or process that threw it. */
  thread: Activity;
}

/** Handles errors that nobody caught in a thread or process. */
export type ExceptHook = (args: ExceptHookArgs) => unknown;

/**
 * Sets the hook for a thread or process that was started here, ended by an
 * error, and whose `result` nobody read: Python's `threading.excepthook`.
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
  return exchangeHook(hook) as ExceptHook;
}
