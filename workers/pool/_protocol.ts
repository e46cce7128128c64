/**
 * The messages and the shared memory between a pool and its workers.
 *
 * The pool sends a flat list with four items per task: its number, the name of
 * the export, the arguments, and {@linkcode FLAGS}. A list of three aborts a
 * signal: the task's number, the signal's place among the task's signals, and
 * the reason. `null` ends an idle worker.
 *
 * The worker sends {@linkcode READY} once, then a list per answer (the task's
 * number, and the items of {@linkcode Answer}), or {@linkcode LOOK} for "look
 * at the task slots". A list of one, an `ErrorRecord`, says that an error that
 * nobody caught ends it. If it waits for what its tasks started, it says
 * {@linkcode WAITS}.
 *
 * @module
 */
import { ByteWriter, decode, encodeInto } from "../codec/codec.ts";
import { packFor } from "../codec/share.ts";
import type { ProcessContext } from "../runner/context.ts";
import type { RunnerKind } from "../runner/runner.ts";

/** The number of items per task. */
export const STRIDE = 4;
/** Most tasks of a worker at once. */
export const SLOTS = 64;
/** The longest run time of a tiny task in milliseconds. */
export const TINY = 0.25;

/** The worker has left answers on the task slots. */
export const LOOK = 0;
/** The worker can take tasks. */
export const READY = 1;
/** The worker ends, but waits for the threads that its tasks started. */
export const WAITS = 2;

/** Properties of a task, to be added up. */
export const FLAGS = {
  /** The arguments contain locks or similar objects. */
  packed: 1,
  /** The arguments are items, each for a call of its own. */
  chunk: 2,
  /** Each item of a chunk is a list of arguments. */
  spread: 4,
  /**
   * The arguments are a list: the arguments, the moved objects, and of each
   * signal the indices that lead to it and, if it is aborted, the reason.
   */
  wrapped: 8,
  /** A chunk goes on after an item that fails. */
  settled: 16,
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
  /**
   * Items of a chunk failed. The value is a pair: the results, packed, and for
   * each of those items its index and an `ErrorRecord`.
   */
  partly: 5,
} as const;

/** One of {@linkcode STATUS}. */
export type Status = typeof STATUS[keyof typeof STATUS];

/** An answer of a worker. The time is the run time in milliseconds. */
export type Answer = [status: Status, value: unknown, time: number];

/** The results of a chunk, and the errors of some of its items. */
export class ChunkResults {
  /** The results, with gaps; they end before an item that ended the chunk. */
  readonly results: unknown[];
  /** The errors, by the index of the item. */
  readonly errors: ReadonlyMap<number, unknown>;

  constructor(results: unknown[], errors: ReadonlyMap<number, unknown>) {
    this.results = results;
    this.errors = errors;
  }
}

/** A function that each worker calls first. */
export interface Initializer {
  /** The name of the export. */
  name: string;
  /** The arguments, ready to cross. */
  args: unknown[];
  /** Whether they contain locks or similar objects. */
  isPacked: boolean;
}

/** The data of a worker's start. */
export interface PoolStart {
  /** The URL of the user's module. */
  module: string;
  /** The worker's name. */
  name: string;
  /** The process that it is, or is in. */
  process: ProcessContext;
  /** The worker's number among threads. */
  ident: number;
  /** The last number given to a thread, if memory is shared. */
  lastIdent: Int32Array | null;
  /** `null` in a process. */
  taskSlots: TaskSlotsMemory | null;
  /** Most tasks that it runs at once. */
  concurrency: number;
  /** The initializer. */
  initializer: Initializer | null;
}

/** The memory that a pool shares with one of its threads. */
export interface TaskSlotsMemory {
  /** The state of each task, then the number of messages to the thread. */
  states: Int32Array;
  /** The run time of each answer. */
  times: Float64Array;
  /** The status and value of each answer. */
  bytes: Uint8Array;
}

/** The size of the largest small answer in bytes. */
const AREA = 256;
/** The number of messages that the pool has posted. */
const POSTED = SLOTS;

/** The states of a task in a thread. */
const STATE = {
  /** It waits. */
  waiting: 0,
  /** The thread has begun with it. */
  begun: 1,
  /** The pool has taken it back. */
  recalled: 2,
  /** Its answer lies here. The state is this plus the length of the answer. */
  answered: 3,
} as const;

/**
 * Memory that a pool shares with a thread, with a slot for each task. Through
 * it the pool can take back tasks that have not begun, and knows the tasks that
 * a dead thread had begun. It also gets small answers while the thread runs the
 * next task, even if that task blocks. One notification covers many answers.
 */
export class TaskSlots {
  #memory: TaskSlotsMemory;
  #local = new ByteWriter(AREA);

  /**
   * Constructs one end.
   *
   * @param memory The memory, the same at both ends.
   */
  constructor(memory: TaskSlotsMemory) {
    this.#memory = memory;
  }

  /** Makes the memory. */
  static memory(): TaskSlotsMemory {
    return {
      states: new Int32Array(new SharedArrayBuffer(4 * (SLOTS + 1))),
      times: new Float64Array(new SharedArrayBuffer(8 * SLOTS)),
      bytes: new Uint8Array(new SharedArrayBuffer(AREA * SLOTS)),
    };
  }

  /**
   * Prepares a slot for a task.
   *
   * @param id The task's number.
   */
  reset(id: number): void {
    Atomics.store(this.#memory.states, id % SLOTS, STATE.waiting);
  }

  /**
   * Begins with a task, in the thread.
   *
   * @param id Its number.
   * @returns Whether the pool has not taken it back.
   */
  begin(id: number): boolean {
    return this.#change(id, STATE.begun);
  }

  /** Whether the thread runs a task now, for the pool. */
  isRunning(id: number): boolean {
    return Atomics.load(this.#memory.states, id % SLOTS) === STATE.begun;
  }

  /**
   * Takes a task back, in the pool. An abandoned thread that wakes up does not
   * begin it either.
   *
   * @param id Its number.
   * @returns Whether the thread had not begun it.
   */
  recall(id: number): boolean {
    return this.#change(id, STATE.recalled);
  }

  /**
   * Leaves an answer, in the thread.
   *
   * @param id The task's number.
   * @param answer The answer.
   * @returns Whether it was small enough. Otherwise post it.
   */
  answer(id: number, [status, value, time]: Answer): boolean {
    if (!isPlain(value)) return false;
    const local = this.#local;
    const { states, times, bytes } = this.#memory;
    local.length = 0;
    local.byte(status);
    encodeInto(local, value);
    const { length } = local;
    if (length > AREA) return false;
    const slot = id % SLOTS;
    const from = slot * AREA;
    for (let at = 0; at < length; at++) bytes[from + at] = local.bytes[at]!;
    times[slot] = time;
    Atomics.store(states, slot, STATE.answered + length);
    return true;
  }

  /**
   * Looks for an answer, in the pool.
   *
   * @param id The task's number.
   * @returns The answer, or `null` if there is none.
   */
  take(id: number): Answer | null {
    const local = this.#local.bytes;
    const { states, times, bytes } = this.#memory;
    const slot = id % SLOTS;
    const length = Atomics.load(states, slot) - STATE.answered;
    if (length < 0) return null;
    const from = slot * AREA;
    // TextDecoder refuses shared memory, so the bytes are copied.
    for (let at = 0; at < length; at++) local[at] = bytes[from + at]!;
    return [local[0] as Status, decode(local, 1, length), times[slot]!];
  }

  /** Counts, in the pool, a posted message. */
  announce(): void {
    Atomics.add(this.#memory.states, POSTED, 1);
  }

  /** The number of messages that the pool has posted, for the thread. */
  get posted(): number {
    return Atomics.load(this.#memory.states, POSTED);
  }

  #change(id: number, state: number): boolean {
    const { states } = this.#memory;
    const { waiting } = STATE;
    return waiting ===
      Atomics.compareExchange(states, id % SLOTS, waiting, state);
  }
}

const MAX_TEXT = 256;
const MAX_ITEMS = 16;
const MAX_DEPTH = 2;

/** Whether a value is small and plain, and so quickly written. */
function isPlain(value: unknown, depth = 0): boolean {
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
 * Makes an argument or a result ready to cross.
 *
 * @param kind The kind of the pool's workers.
 * @param value The value.
 * @param isResult Whether it goes from a worker to the pool.
 * @returns The value itself, if it contains no locks or similar objects.
 * @throws {TypeError} If it contains shared memory that can't cross.
 */
export function packValue(
  kind: RunnerKind,
  value: unknown,
  isResult = false,
): unknown {
  if (isPlain(value)) return value;
  const isBytes = value instanceof ArrayBuffer || ArrayBuffer.isView(value);
  return kind === "thread" && isBytes ? value : packFor(kind, value, isResult);
}
