import type { Activity } from "./_activity_base.ts";

/** What an {@linkcode ExceptHook} is told. */
export interface ExceptHookArgs {
  /** What was thrown, with the original's name, message, stack and cause. */
  error: Error;
  /** The thread or process that threw it. */
  thread: Activity;
}

/** Called for errors that nobody caught in a thread or process. */
export type ExceptHook = (args: ExceptHookArgs) => unknown;

let current: ExceptHook = printException;

function describe(error: Error): string {
  let text = error.stack ?? String(error);
  let { cause } = error;
  while (cause instanceof Error) {
    text += `\nCaused by: ${cause.stack ?? cause}`;
    cause = cause.cause;
  }
  return cause === undefined
    ? text
    : `${text}\nCaused by: ${Deno.inspect(cause, { colors: false })}`;
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  try {
    Deno.stderr.writeSync(bytes);
  } catch {
    // There is nowhere left to print to.
  }
}

function printException({ error, thread }: ExceptHookArgs): void {
  print(`Exception in ${thread.kind} ${thread.name}:\n${describe(error)}`);
}

function printFailure(error: unknown, { thread }: ExceptHookArgs): void {
  print(
    `Exception in the except hook, called for ${thread.kind} ${thread.name}:\n${
      error instanceof Error ? describe(error) : Deno.inspect(error)
    }`,
  );
}

/**
 * Sets the hook.
 *
 * @param hook The hook, or `null` for the default.
 * @returns What it was so far.
 */
export function exchangeHook(hook: ExceptHook | null): ExceptHook {
  const previous = current;
  current = hook ?? printException;
  return previous;
}

/**
 * Calls the hook, and survives it.
 *
 * @param args What it is told.
 */
export async function callExceptHook(args: ExceptHookArgs): Promise<void> {
  try {
    await current(args);
  } catch (error) {
    printFailure(error, args);
  }
}
