/**
 * The common interface of a `Worker` and a child process.
 *
 * @module
 */
import type { RunnerExit } from "../errors.ts";

/** The kinds of runner. */
export type RunnerKind = "thread" | "process";

/** The handler of messages. */
export type MessageHandler = (message: unknown) => void;

/** Options of {@linkcode startRunner}. */
export interface RunnerOptions {
  /** The URL of the module of this package whose `main` runs there. */
  main: string;
  /** The URLs of the user's modules, imported before `main` is called. */
  modules?: string[];
  /** A cloneable value for `main`. */
  data?: unknown;
  /**
   * The parts of `data` to move. For a process they are copied.
   */
  transfer?: Transferable[];
  /** The thread's name in tools. */
  name?: string;
  /**
   * The permissions of its code.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
}

/** A thread or process that runs a module of this package. */
export interface Runner {
  /** Which of the two it is. */
  readonly kind: RunnerKind;
  /** Its number, unique in this process. */
  readonly id: number;
  /** The process id of a process. */
  readonly pid?: number;
  /**
   * Settles when the modules are imported and `main` has been called; rejects
   * with a `HandlerImportError` or a `RunnerExitError` otherwise.
   */
  readonly ready: Promise<void>;
  /** How it ended, after it has completely ended. Never rejects. */
  readonly exited: Promise<RunnerExit>;
  /** The number of bytes that wait to be sent; always 0 for a thread. */
  readonly backlog: number;
  /**
   * Called with each message. Earlier messages wait until it is set. An error
   * that it throws ends the runner as `fail()` does.
   */
  onmessage: MessageHandler | null;
  /**
   * Sends a message, in order; does nothing once the runner has ended. Throws
   * a `DataCloneError` for what can't be cloned.
   */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Settles when everything posted has been handed to the system. */
  flushed(): Promise<void>;
  /** Ends it: a thread at once, a process by SIGTERM. */
  terminate(): void;
  /** Ends it: a thread as `terminate()` does, a process by SIGKILL. */
  kill(): void;
  /** Ends it at once for an invalid message, with the reason `"protocol"`. */
  fail(error: unknown): void;
  /** Makes it keep this program alive, as it does from the start. */
  ref(): void;
  /**
   * Lets this program end while it runs.
   *
   * @returns Whether this version of Deno can do it.
   */
  unref(): boolean;
}

/** The runner's own end, given to `main`. */
export interface RunnerPort {
  /** The kind of runner that this is. */
  readonly kind: RunnerKind;
  /** How many bytes wait to be sent; always 0 in a thread. */
  readonly backlog: number;
  /** Called with each message. Earlier messages wait until it is set. */
  onmessage: MessageHandler | null;
  /** Sends a message to the owner, in order. */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Settles when everything posted has been handed to the system. */
  flushed(): Promise<void>;
  /** Ends the runner as having returned, after what was posted is sent. */
  close(): void;
}

/** The exports of a module named in {@linkcode RunnerOptions.main}. */
export type RunnerMain = (
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
) => Promise<void> | void;

let lastId = 0;

/**
 * Numbers the runners.
 *
 * @returns The next number.
 */
export function nextRunnerId(): number {
  return ++lastId;
}
