/**
 * What a pool and its workers say to each other.
 *
 * To a worker goes a flat list of four items a task: its number, the name of
 * the export, the arguments, and {@linkcode FLAGS}. `null` ends a worker that
 * has nothing to do. Back comes a list for each answer: the task's number, one
 * of {@linkcode STATUS}, the value, and how long it ran in milliseconds; or
 * {@linkcode LOOK} for "look at the taskSlots".
 *
 * @module
 */
import type { TaskSlotsMemory } from "./_task_slots.ts";
import type { MailboxMemory } from "./_mailbox.ts";
import type { RunnerKind } from "../runner/runner.ts";

/** How many items make a task. */
export const STRIDE = 4;
/** How many tasks a worker may have at once; a power of two. */
export const SLOTS = 64;
/** Tasks that run no longer than this, in milliseconds, count as tiny. */
export const TINY = 0.25;
/** How much of a mean run time the newest one is. */
export const MEAN_WEIGHT = 1 / 128;

/** What a thread posts for answers that lie on the taskSlots. */
export const LOOK = 0;

/** What is particular to a task; they add up. */
export const FLAGS = {
  /** There are locks or their like in the arguments. */
  packed: 1,
  /** The arguments are items, each for a call of its own. */
  chunk: 2,
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
export interface SharedMemory {
  /** The memory of a `TaskSlots`. */
  taskSlots: TaskSlotsMemory;
  /** The memory of a `Mailbox`. */
  mailbox: MailboxMemory;
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
  shared: SharedMemory | null;
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
