/**
 * The context of the current thread or process. The program of one that starts
 * none loads this, and not the classes.
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
  /** Runs its code here. */
  run(): unknown;
}

/** What is known of code that already runs. */
export interface Adoption {
  /** Its number. */
  ident: number;
  /** Its name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The arguments. */
  args: readonly unknown[];
  /** The public fields of the object that was started. */
  fields: Record<string, unknown>;
}

/** Makes an object for code that already runs; `null` if it is no such class. */
type Adopt = (adoption: Adoption, Class?: { prototype: object }) =>
  | Started
  | null;

/** The type of {@linkcode context}. */
export interface Context {
  /** What runs here; `null` in the main thread of a program. */
  adoption: Adoption | null;
  /** The object for it, made at its first use. */
  current: Started | null;
  /** The object for the main thread, made at its first use. */
  main: Started | null;
  /** How to make such objects, once their class is loaded. */
  adopt: { thread?: Adopt; process?: Adopt };
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
  adoption: null,
  current: null,
  main: null,
  adopt: {},
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

/** The data of a start. */
export interface ActivityStart {
  /** The URL of the module. */
  module: string;
  /** The class that overrides `run()`, or `null`. */
  className: string | null;
  /** The export that is the target, or `null`. */
  target: string | null;
  /** A {@linkcode Payload}, packed. */
  payload: unknown;
  /** The name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The number. */
  ident: number;
  /** Whether it is in a daemon process. */
  inDaemonProcess: boolean;
  /** The last number given to a thread, if memory is shared. */
  lastIdent: Int32Array | null;
}

/** The caller's values in a start. */
export type Payload = Pick<Adoption, "args" | "fields">;
