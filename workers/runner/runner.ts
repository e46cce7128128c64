/**
 * The common interface of a `Worker` and a child process, and what both are
 * made of.
 *
 * @module
 */

import {
  ModuleImportError,
  type RunnerExit,
  RunnerExitError,
} from "../base/errors.ts";

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
  /** The thread's name in tools. */
  name?: string;
  /**
   * The permissions of its code.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
  /** Whether it is a replica, whose messages are short. */
  isReplica?: boolean;
}

/** A thread or process that runs a module of this package. */
export interface Runner {
  /** Which of the two it is. */
  readonly kind: RunnerKind;
  /** The process id of a process. */
  readonly pid?: number;
  /**
   * Settles when the modules are imported and `main` has been called; rejects
   * with a `ModuleImportError` or a `RunnerExitError` otherwise.
   */
  readonly ready: Promise<void>;
  /** How it ended, after it has completely ended. Never rejects. */
  readonly exited: Promise<RunnerExit>;
  /**
   * Called with each message. Earlier messages wait until it is set. An error
   * that it throws ends the runner as `fail()` does.
   */
  onmessage: MessageHandler | null;
  /** How many bytes wait to be sent; always 0 to a thread. */
  readonly backlog: number;
  /**
   * Sends a message, in order; does nothing once the runner has ended. Throws
   * a `DataCloneError` for what can't be cloned.
   */
  post(message: unknown, transfer?: Transferable[]): void;
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
  /**
   * Called with an error that nobody caught. Without it, the runner ends at
   * once.
   */
  onerror?: ((thrown: unknown) => void) | null;
  /** Sends a message to the owner, in order. */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Settles when everything posted has been handed to the system. */
  flushed(): Promise<void>;
  /** Hands what was posted to the system before this task ends. */
  sendNow(): void;
  /** Ends the runner as having returned, after what was posted is sent. */
  close(): void;
}

/** The exports of a module named in {@linkcode RunnerOptions.main}. */
export type RunnerMain = (
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
) => Promise<void> | void;

/** Receives messages; keeps them in order until there is a handler. */
export class Inbox {
  #fault: (thrown: unknown) => void;
  #handler: MessageHandler | null = null;
  #waiting: unknown[] = [];

  /**
   * Constructs an empty inbox.
   *
   * @param fault Called with an error of the handler.
   */
  constructor(fault: (thrown: unknown) => void) {
    this.#fault = fault;
  }

  /** The handler of the messages. */
  get onmessage(): MessageHandler | null {
    return this.#handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.#handler = handler;
    // Not at once: the caller may not have set up the rest.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#flush());
  }

  /**
   * Delivers a message, after those that wait.
   *
   * @param message The message.
   */
  deliver(message: unknown): void {
    if (this.#handler !== null && this.#waiting.length === 0) {
      this.#handle(this.#handler, message);
    } else {
      this.#waiting.push(message);
    }
  }

  #handle(handler: MessageHandler, message: unknown): void {
    try {
      handler(message);
    } catch (error) {
      this.#fault(error);
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    let handled = 0;
    while (handled < waiting.length && this.#handler !== null) {
      this.#handle(this.#handler, waiting[handled++]);
    }
    this.#waiting = waiting.slice(handled);
  }
}

/**
 * Describes how a runner ended.
 *
 * @param exit How it ended.
 * @returns The description, to follow "the thread" or "the process".
 */
export function describeExit(exit: RunnerExit): string {
  const { code, reason, error } = exit;
  const why = error?.message ?? "unknown";
  switch (reason) {
    case "returned":
      return "had ended";
    case "terminated":
      return "was terminated";
    case "exit":
      return code < 0
        ? `was killed by signal ${-code}`
        : `exited with code ${code}`;
    case "protocol":
      return `was ended for a protocol error: ${why}`;
    case "import":
    case "error":
      return `ended by an error: ${why}`;
  }
}

/** The start and the end of a runner, as promises. */
export class Lifecycle {
  #kind: RunnerKind;
  #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  #exited: PromiseWithResolvers<RunnerExit> = Promise.withResolvers();
  /** Settles when `main` has been called. */
  readonly ready: Promise<void> = this.#ready.promise;
  /** Settles when the runner has completely ended. */
  readonly exited: Promise<RunnerExit> = this.#exited.promise;
  /** Whether the runner has ended. */
  ended = false;

  /**
   * Constructs the moments of one runner.
   *
   * @param kind Its kind, for errors.
   */
  constructor(kind: RunnerKind) {
    this.#kind = kind;
    // `ready` may go unread: `exited` reports the same.
    this.ready.catch(() => {});
  }

  /** Reports that `main` has been called. */
  becomeReady(): void {
    this.#ready.resolve();
  }

  /**
   * Reports that the runner has ended.
   *
   * @param exit How.
   */
  end(exit: RunnerExit): void {
    if (this.ended) return;
    this.ended = true;
    const how = describeExit(exit);
    this.#ready.reject(
      exit.error instanceof ModuleImportError
        ? exit.error
        : new RunnerExitError(
          `Cannot use the ${this.#kind}: it ${how} before it was ready`,
          exit,
        ),
    );
    this.#exited.resolve(exit);
  }
}

/** The part of the Web Locks that this package uses. */
interface WebLocks {
  /** Calls back while holding the lock, for as long as that takes. */
  request(
    name: string,
    options: { ifAvailable?: boolean; signal?: AbortSignal },
    callback: (lock: unknown) => unknown,
  ): Promise<unknown>;
}

let locks: WebLocks | undefined;

/**
 * The Web Locks, of which each thread holds one while it lives: Deno has them,
 * its types don't, and the first look is slow.
 */
export function webLocks(): WebLocks {
  return locks ??= (navigator as unknown as { locks: WebLocks }).locks;
}
