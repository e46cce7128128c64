/**
 * What the code of this thread or process knows of itself.
 *
 * @module
 */
import type { Activity } from "./_activity_base.ts";

/** The number of every program's, and every process's, main thread. */
export const MAIN_IDENT = 1;

/** What {@linkcode context} holds. */
export interface Context {
  /** The object for the code that runs here, made when it is asked for. */
  current: Activity | null;
  /** The object for the main thread, made when it is asked for. */
  main: Activity | null;
  /** Whether this is the main thread of its process. */
  isMain: boolean;
  /** Whether what is started here is a daemon unless told otherwise. */
  daemon: boolean;
  /** Whether this process is a daemon, which has no children. */
  inDaemonProcess: boolean;
  /** The last number given to a thread, shared by all threads. */
  lastIdent: Int32Array;
  /** What was started here and has not ended. */
  started: Set<Activity>;
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
