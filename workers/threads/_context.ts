/**
 * What the code of this thread or process knows of itself.
 *
 * @module
 */
/** The number of every program's, and every process's, main thread. */
export const MAIN_IDENT = 1;

/** A thread or process, as far as its context is concerned. */
export interface Started {
  /** Which of the two it is. */
  readonly kind: "thread" | "process";
  /** Whether the program may end while it runs. */
  readonly daemon: boolean;
  /** Waits for it to end. */
  join(): Promise<boolean>;
}

/** What {@linkcode context} holds. */
export interface Context {
  /** The object for the code that runs here, made when it is asked for. */
  current: Started | null;
  /** The object for the main thread, made when it is asked for. */
  main: Started | null;
  /** Whether this is the main thread of its process. */
  isMain: boolean;
  /** Whether what is started here is a daemon unless told otherwise. */
  daemon: boolean;
  /** Whether this process is a daemon, which has no children. */
  inDaemonProcess: boolean;
  /** The last number given to a thread, shared by all threads. */
  lastIdent: Int32Array;
  /** What was started here and has not ended. */
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
