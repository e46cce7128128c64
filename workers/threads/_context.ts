/**
 * The context of the current thread or process, and its hook for errors that
 * nobody caught.
 *
 * @module
 */

/** The number of the main thread of every process. */
export const MAIN_IDENT = 1;

/** A thread or process, as its context sees it. */
export interface Started {
  /** Which of the two it is. */
  readonly kind: "thread" | "process";
  /** Whether the program may end while it runs. */
  readonly daemon: boolean;
  /** Waits for it to end. */
  join(): Promise<boolean>;
}

/** The type of {@linkcode context}. */
export interface Context {
  /** The object for the code that runs here, made at its first use. */
  current: Started | null;
  /** The object for the main thread, made at its first use. */
  main: Started | null;
  /** Whether this is the main thread of its process. */
  isMain: boolean;
  /** Whether threads and processes started here are daemons by default. */
  daemon: boolean;
  /** Whether this process is a daemon, which has no children. */
  inDaemonProcess: boolean;
  /** The last number given to a thread, shared by all threads. */
  lastIdent: Int32Array;
  /** The threads and processes that were started here and have not ended. */
  started: Set<Started>;
}

/** The context of this thread or process. */
export const context: Context = {
  current: null,
  main: null,
  isMain: true,
  daemon: false,
  inDaemonProcess: false,
  lastIdent: new Int32Array(new SharedArrayBuffer(4)).fill(MAIN_IDENT),
  started: new Set(),
};

/**
 * Numbers a thread.
 *
 * @returns A number that no other thread of this process has.
 */
export function nextIdent(): number {
  return Atomics.add(context.lastIdent, 0, 1) + 1;
}

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
