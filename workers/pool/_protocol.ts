/**
 * The messages between a pool and its workers.
 *
 * The pool sends a flat list with four items per task: its number, the name of
 * the export, the arguments, and {@linkcode FLAGS}. `null` ends an idle worker.
 * The worker sends {@linkcode READY} once, then one list per answer (the task's
 * number, one of {@linkcode STATUS}, the value, and the run time in
 * milliseconds), or {@linkcode LOOK} for "look at the task slots".
 *
 * @module
 */
import { HandlerImportError } from "../errors.ts";
import { type ErrorRecord, fromErrorRecord } from "../runner/protocol.ts";
import { unpack } from "../codec/share.ts";

/** The number of items per task. */
export const STRIDE = 4;
/** Most tasks of a worker at once; a power of two. */
export const SLOTS = 64;
/** The longest run time of a tiny task in milliseconds. */
export const TINY = 0.25;

/** The worker has left answers on the task slots. */
export const LOOK = 0;
/** The worker can take tasks. */
export const READY = 1;

/** Properties of a task, to be added up. */
export const FLAGS = {
  /** The arguments contain locks or similar objects. */
  packed: 1,
  /** The arguments are items, each for a call of its own. */
  chunk: 2,
  /** Each item of a chunk is a list of arguments. */
  spread: 4,
  /** The arguments are a pair: the arguments, and the moved objects. */
  moved: 8,
} as const;

/** The outcome of a task. */
export const STATUS = {
  /** The value is the result. */
  done: 0,
  /** The value is the result and contains locks or similar objects. */
  donePacked: 1,
  /** The value is an `ErrorRecord` of the error. */
  thrown: 2,
  /** The value is the reason why the function does not exist. */
  missing: 3,
  /** It was taken back before it ran. */
  skipped: 4,
} as const;

/** One of {@linkcode STATUS}. */
export type Status = typeof STATUS[keyof typeof STATUS];

/** The memory that a pool shares with one of its threads. */
export interface TaskSlotsMemory {
  /** The state of each task, then two common words. */
  states: Int32Array;
  /** The status and length of each answer. */
  heads: Int32Array;
  /** The run time of each task. */
  times: Float64Array;
  /** The values of the answers. */
  bytes: Uint8Array;
}

/** A function that each worker calls first. */
export interface Initializer {
  /** The name of the export. */
  name: string;
  /** The arguments, ready to cross. */
  args: unknown[];
}

/** The data of a worker's start. */
export interface PoolStart {
  /** The URL of the user's module. */
  module: string;
  /** The worker's name. */
  name: string;
  /** The worker's number among threads. */
  ident: number;
  /** The last number given to a thread, if memory is shared. */
  lastIdent: Int32Array | null;
  /** `null` in a process. */
  taskSlots: TaskSlotsMemory | null;
  /** The initializer. */
  initializer: Initializer | null;
}

/** An answer of a worker. */
export interface Answer {
  /** The outcome of the task. */
  status: Status;
  /** The value. */
  value: unknown;
  /** The run time in milliseconds. */
  time: number;
}

/** The outcome of a task that ran. */
export interface Outcome {
  /** Whether it returned. */
  end: "completed" | "failed";
  /** The result, or the error. */
  value: unknown;
}

/**
 * Decodes an answer. The worker may be hostile.
 *
 * @param answer The answer.
 * @param module The URL of the user's module.
 * @returns The outcome, or `null` for a task that was taken back.
 * @throws If the answer is malformed.
 */
export function outcomeOf(
  { status, value, time }: Answer,
  module: string,
): Outcome | null {
  if (typeof time !== "number" || !(time >= 0)) throw new TypeError("No time");
  switch (status) {
    case STATUS.done:
      return { end: "completed", value };
    case STATUS.donePacked:
      return { end: "completed", value: unpack(value) };
    case STATUS.thrown:
      return { end: "failed", value: fromErrorRecord(value as ErrorRecord) };
    case STATUS.missing: {
      const error = new HandlerImportError(String(value), module);
      return { end: "failed", value: error };
    }
    case STATUS.skipped:
      return null;
    default:
      throw new TypeError("No status");
  }
}

const MAX_TEXT = 256;
const MAX_ITEMS = 16;
const MAX_DEPTH = 2;

/**
 * Returns whether a value is small and plain: it then needs no packing and is
 * quickly written.
 *
 * @param value The value.
 * @param depth How deep it is in another one.
 * @returns Whether it is small and plain.
 */
export function isPlain(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case "number":
    case "boolean":
    case "undefined":
      return true;
    case "string":
      return value.length <= MAX_TEXT;
    case "object":
      return value === null ||
        depth < MAX_DEPTH && isPlainObject(value, depth + 1);
    default:
      return false;
  }
}

/**
 * Returns whether a value is bytes, which contain no locks.
 *
 * @param value The value.
 * @returns Whether it is bytes.
 */
export function isBytes(value: unknown): boolean {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function isPlainObject(value: object, depth: number): boolean {
  if (Array.isArray(value)) {
    return value.length <= MAX_ITEMS &&
      value.every((item) => isPlain(item, depth));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  let count = 0;
  for (const key in value) {
    if (++count > MAX_ITEMS) return false;
    if (!isPlain((value as Record<string, unknown>)[key], depth)) return false;
  }
  return true;
}

/**
 * Returns the message of an error.
 *
 * @param thrown The thrown value.
 * @returns Its message.
 */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
