/**
 * The messages that start a thread or process.
 *
 * @module
 */

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
export interface Payload {
  /** The arguments. */
  args: readonly unknown[];
  /** The public fields. */
  fields: Record<string, unknown>;
}

/** The data of the object that stands for the code that runs here. */
export interface Adoption {
  /** Its number. */
  ident: number | null;
  /** Its name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The function to run. */
  target: ((...args: unknown[]) => unknown) | null;
  /** The function's arguments. */
  args: readonly unknown[];
}
