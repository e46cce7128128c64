/**
 * Calls the hook for errors that nobody caught.
 *
 * @module
 */

/** The arguments of a hook that the default one uses. */
interface HookArgs {
  readonly error: Error;
  readonly thread: { readonly kind: string; readonly name: string };
}

/** A hook with any type of thread. */
export type Hook = (args: never) => unknown;

let current: Hook = printException;

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
    // Nowhere to print to.
  }
}

function printException({ error, thread }: HookArgs): void {
  print(`Exception in ${thread.kind} ${thread.name}:\n${describe(error)}`);
}

function printFailure(error: unknown, { thread }: HookArgs): void {
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
 * @returns The previous hook.
 */
export function exchangeHook(hook: Hook | null): Hook {
  const previous = current;
  current = hook ?? printException;
  return previous;
}

/**
 * Calls the hook. Never throws.
 *
 * @param args Its arguments.
 */
export async function callExceptHook(args: HookArgs): Promise<void> {
  try {
    await (current as (args: HookArgs) => unknown)(args);
  } catch (error) {
    printFailure(error, args);
  }
}
