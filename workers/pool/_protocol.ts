/**
 * What a pool and its workers say to each other.
 *
 * To a worker goes a flat list of four items a task: its number, the name of
 * the export, the arguments, and {@linkcode FLAGS}. `null` ends a worker that
 * has nothing to do. Back comes {@linkcode READY} once; then a list for each
 * answer (the task's number, one of {@linkcode STATUS}, the value, and how long
 * it ran in milliseconds), or {@linkcode LOOK} for "look at the task slots".
 *
 * @module
 */
import { type ErrorRecord, fromErrorRecord } from "../runner/error_record.ts";
import type { RunnerKind } from "../runner/runner.ts";
import { unpack } from "../codec/share.ts";

/** How many items make a task. */
export const STRIDE = 4;
/** How many tasks a worker may have at once; a power of two. */
export const SLOTS = 64;
/** Tasks that run no longer than this, in milliseconds, count as tiny. */
export const TINY = 0.25;

/** What a worker posts for answers that lie on the task slots. */
export const LOOK = 0;
/** What a worker posts when it can be given tasks. */
export const READY = 1;

/** What is particular to a task; they add up. */
export const FLAGS = {
  /** There are locks or their like in the arguments. */
  packed: 1,
  /** The arguments are items, each for a call of its own. */
  chunk: 2,
  /** Each item of a chunk is a list of arguments. */
  spread: 4,
  /** Instead of the arguments: a list of them, and one of what was moved. */
  moved: 8,
} as const;

/** What became of a task. */
export const STATUS = {
  /** The value is the result. */
  done: 0,
  /** The value is the result, with locks or their like in it. */
  donePacked: 1,
  /** The value is an `ErrorRecord` of what was thrown. */
  thrown: 2,
  /** The value says why there is no such function. */
  missing: 3,
  /** It was taken back before it ran. */
  skipped: 4,
} as const;

/** One of {@linkcode STATUS}. */
export type Status = typeof STATUS[keyof typeof STATUS];

/** The memory that a pool and a thread of it have in common. */
export interface TaskSlotsMemory {
  /** How far each task has come, then two words for both sides. */
  states: Int32Array;
  /** The status and length of each answer. */
  heads: Int32Array;
  /** How long each task ran. */
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

/** What a worker of a pool is told first. */
export interface PoolStart {
  /** The URL of the user's module. */
  module: string;
  /** The worker's name. */
  name: string;
  /** The worker's number among threads. */
  ident: number;
  /** The last number given to a thread, where that can be shared. */
  lastIdent: Int32Array | null;
  /** `null` in a process. */
  taskSlots: TaskSlotsMemory | null;
  /** What to call first. */
  initializer: Initializer | null;
}

/** An answer of a worker. */
export interface Answer {
  /** What became of the task. */
  status: Status;
  /** The value that goes with it. */
  value: unknown;
  /** How long it ran. */
  time: number;
}

/** What became of a task that ran. */
export type Outcome =
  | { kind: "done"; value: unknown }
  | { kind: "thrown"; error: Error }
  | { kind: "missing"; why: string };

/**
 * Makes out what an answer says; whoever sent it may have made it up.
 *
 * @param answer The answer.
 * @returns What became of the task; `null` for one that was taken back.
 * @throws If the answer is malformed.
 */
export function outcomeOf({ status, value, time }: Answer): Outcome | null {
  if (typeof time !== "number" || !(time >= 0)) throw new TypeError("No time");
  switch (status) {
    case STATUS.done:
      return { kind: "done", value };
    case STATUS.donePacked:
      return { kind: "done", value: unpack(value) };
    case STATUS.thrown:
      return { kind: "thrown", error: fromErrorRecord(value as ErrorRecord) };
    case STATUS.missing:
      return { kind: "missing", why: String(value) };
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
 * Tells whether a value is small and made of numbers, texts and the like: then
 * there is nothing in it that must be packed, and its bytes are soon written.
 *
 * @param value The value.
 * @param depth How deep it is in another one.
 * @returns Whether it is.
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
 * Tells whether a value is bytes, in which there are no locks.
 *
 * @param value The value.
 * @returns Whether it is.
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
 * Says why something that was thrown happened.
 *
 * @param thrown What was thrown.
 * @returns Its message.
 */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * Names what a pool's workers are.
 *
 * @param kind The kind of runner.
 * @returns The name of the pool's class.
 */
export function poolClassName(kind: RunnerKind): string {
  return kind === "thread" ? "ThreadPool" : "ProcessPool";
}
