/**
 * The messages between a runner and its owner: numbered frames over a private
 * port, a transferred `MessagePort` or a connection.
 *
 * - The owner says `start` once, first, then any number of `message`.
 * - The runner says `hello` (a thread's, once it holds its Web Lock) and
 *   `ready` (when `main` has been called) at most once each, any number of
 *   `message`, and `exit`, after which nothing counts.
 * - A process and its owner say `share` at any time after `start`: see
 *   `queue/_shares.ts`.
 *
 * @module
 */

import {
  describeValue,
  ModuleImportError,
  RemoteError,
  type RunnerExit,
} from "../base/errors.ts";

/** The kinds of frames, in both directions. */
export const FRAME = {
  message: 0,
  start: 1,
  hello: 2,
  ready: 3,
  exit: 4,
  share: 5,
} as const;

/** A frame as it crosses to or from a thread: its kind and its value. */
export type Frame = readonly [kind: number, value?: unknown];

/** The program's flags. */
export interface LaunchFlags {
  /** The flags of its Deno that a child needs too. */
  flags: string[];
  /** Whether `--unstable-worker-options` is surely on. */
  workerOptions: boolean;
  /** The path of a configuration that may be there, but may not be read. */
  hidden: string | null;
}

/** The value of a `start` frame. */
export interface Start {
  /** The data for `main`. */
  data: unknown;
  /** The program's flags, from the parent. */
  launchFlags: LaunchFlags;
  /** The modules that are being imported where it is started. */
  importing: string[];
}

/** Facts about the program that only the owner knows. */
export const told: {
  launchFlags?: LaunchFlags;
  /** Whether this is a thread with permissions of its own, or started by one. */
  isConfined?: boolean;
} = {};

/** The owner's handling of a runner's frames. */
export interface OwnerActions {
  /** A message for whoever uses the runner. */
  message(value: unknown): void;
  /** The thread holds its lock; a process has none. */
  hello?(): void;
  /** `main` has been called. */
  ready(): void;
  /** A process calls a lock or a similar object. */
  share?(value: unknown): void;
  /** The runner reports its end, or broke the protocol. */
  leave(exit: RunnerExit): void;
}

/** Decodes a runner's frames and checks their order. */
export class RunnerDecoder {
  #actions: OwnerActions;
  #greeted = false;
  #ready = false;
  #left = false;

  constructor(actions: OwnerActions) {
    this.#actions = actions;
  }

  /** Takes a frame; never throws. */
  receive(kind: unknown, value: unknown): void {
    if (this.#left) return;
    if (kind === FRAME.message) return this.#actions.message(value);
    try {
      this.#control(kind, value);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the runner for an invalid message. */
  fail(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new ProtocolError(
      `Cannot handle a message: ${describe(thrown)} was thrown`,
    );
    this.leave({ code: 1, reason: "protocol", error });
  }

  /** Ends the runner, unless it has ended. */
  leave(exit: RunnerExit): void {
    if (this.#left) return;
    this.#left = true;
    this.#actions.leave(exit);
  }

  #control(kind: unknown, value: unknown): void {
    if (kind === FRAME.exit) {
      this.leave(fromExitRecord(value as ExitRecord));
    } else if (kind === FRAME.ready && !this.#ready) {
      this.#ready = true;
      this.#actions.ready();
    } else if (kind === FRAME.share && this.#actions.share) {
      this.#actions.share(value);
    } else if (
      kind === FRAME.hello && !this.#greeted && this.#actions.hello
    ) {
      this.#greeted = true;
      this.#actions.hello();
    } else {
      throw new ProtocolError(
        `A frame of kind ${describe(kind)} is unknown or out of order`,
      );
    }
  }
}

function describe(value: unknown): string {
  return typeof value === "number" ? `${value}` : `a value of ${typeof value}`;
}

/** Thrown when the other end sends an invalid message. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** Causes and errors beyond this depth are left out: a chain may be a ring. */
const MAX_DEPTH = 8;
/** Most causes, and errors of an `AggregateError`, of one error that crosses. */
const MAX_INNER = 64;
/** The longest name, message and stack of an error that crosses. */
const MAX_TEXT = 2 ** 16;
/** The longest text of an error with all within it. */
const MAX_TEXTS = 2 ** 20;
/** The exit reasons that a runner may send; its owner knows the others. */
const OWN_REASONS: readonly string[] = ["returned", "error", "exit", "import"];

// deno-lint-ignore no-control-regex
const COLOR_REGEXP = /\x1b\[[0-9;]*m/g;

/** An error within another, or a value of another kind. */
type InnerRecord = { error: ErrorRecord } | { value: unknown };

/** An error in a form that can be cloned. */
export interface ErrorRecord {
  /** The error's name. */
  name: string;
  /** The error's message. */
  message: string;
  /** The error's stack, where it had one. */
  stack?: string;
  /** The error's cause. */
  cause?: InnerRecord;
  /** The first errors of an `AggregateError`. */
  errors?: InnerRecord[];
}

/** An exit in a form that can be cloned. */
export interface ExitRecord {
  /** As in {@linkcode RunnerExit}. */
  code: number;
  /** As in {@linkcode RunnerExit}. */
  reason: RunnerExit["reason"];
  /** The thrown value. */
  error?: ErrorRecord;
  /** The module that could not be imported. */
  module?: string | null;
}

function cloneable(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return describeValue(value);
  }
}

function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    return false; // a revoked proxy
  }
}

/** How much an error that crosses may still contain, and how deep it is. */
interface Room {
  inner: number;
  text: number;
  depth: number;
}

function newRoom(): Room {
  return { inner: MAX_INNER, text: MAX_TEXTS, depth: 0 };
}

/**
 * Turns a thrown value into a record that can be cloned.
 *
 * @param thrown The thrown value. Its getters may throw.
 * @param room What it may contain.
 * @returns The record.
 */
export function toErrorRecord(thrown: unknown, room = newRoom()): ErrorRecord {
  try {
    return thrown instanceof Error
      ? recordOf(thrown, room)
      : recordOfValue(thrown, room);
  } catch {
    return {
      name: "TypeError",
      message: "Cannot tell what was thrown: it can't be inspected",
    };
  }
}

function recordOfValue(thrown: unknown, room: Room): ErrorRecord {
  return {
    name: "Error",
    message: textOf(
      typeof thrown === "string"
        ? thrown
        : `Threw ${Deno.inspect(thrown, { colors: false, depth: 2 })}`,
      room,
    ),
    cause: { value: cloneable(thrown) },
  };
}

/** A text without colors, cut off where there is no more room. */
function textOf(value: unknown, room: Room): string {
  const text = String(value).slice(0, Math.min(MAX_TEXT, room.text));
  room.text -= text.length;
  return text.replace(COLOR_REGEXP, "");
}

function recordOf(thrown: Error, room: Room): ErrorRecord {
  const record: ErrorRecord = {
    name: textOf(thrown.name, room),
    message: textOf(thrown.message, room),
  };
  if (typeof thrown.stack === "string") {
    record.stack = textOf(thrown.stack, room);
  }
  const { cause } = thrown;
  const [first] = cause === undefined ? [] : innerOf([cause], room);
  if (first !== undefined) record.cause = first;
  if (thrown instanceof AggregateError || thrown instanceof RemoteError) {
    const { errors } = thrown;
    if (Array.isArray(errors)) record.errors = innerOf(errors, room);
  }
  return record;
}

/** Makes records of errors and other values, as many as there is room for. */
function innerOf(values: unknown[], room: Room): InnerRecord[] {
  if (room.depth === MAX_DEPTH) return [];
  const first = values.slice(0, room.inner);
  room.inner -= first.length;
  room.depth++;
  const records = first.map((value): InnerRecord =>
    isError(value)
      ? { error: toErrorRecord(value, room) }
      : { value: cloneable(value) }
  );
  room.depth--;
  return records;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/**
 * Turns a record back into an error. The record may come from hostile code.
 *
 * @param record What {@linkcode toErrorRecord} made.
 * @param room What it may contain.
 * @returns The error.
 * @throws {ProtocolError} If it is no such record.
 */
export function fromErrorRecord(
  record: ErrorRecord,
  room = newRoom(),
): RemoteError {
  const { name, message, stack, cause, errors } = Object(record) as ErrorRecord;
  if (
    !isText(name) || !isText(message) ||
    !(stack === undefined || isText(stack)) ||
    !(errors === undefined ||
      Array.isArray(errors) && errors.length <= MAX_INNER)
  ) throw senseless();
  return new RemoteError({
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause: fromInner(cause, room) }),
    ...(errors === undefined
      ? {}
      : { errors: errors.map((inner) => fromInner(inner, room)) }),
  });
}

function senseless(): ProtocolError {
  return new ProtocolError("An error's record makes no sense");
}

function fromInner(record: InnerRecord, room: Room): unknown {
  const inner = Object(record) as { error: ErrorRecord; value: unknown };
  if (room.inner-- === 0 || room.depth++ === MAX_DEPTH) throw senseless();
  const isError = Object.hasOwn(inner, "error");
  const value = isError ? fromErrorRecord(inner.error, room) : inner.value;
  room.depth--;
  return value;
}

/** Takes from a record what may be unable to cross. */
export function barely({ cause: _, errors: __, ...rest }: ErrorRecord) {
  return rest;
}

/**
 * Sends a record, without causes and inner errors where they can't cross.
 *
 * @param send Sends it, or throws.
 * @param record What {@linkcode toErrorRecord} made.
 */
export function tellRecord(
  send: (record: ErrorRecord) => void,
  record: ErrorRecord,
): void {
  try {
    send(record);
  } catch {
    send(barely(record));
  }
}

/**
 * Makes the exit of a runner that threw.
 *
 * @param thrown What was thrown.
 * @returns The exit, in a form that can be cloned.
 */
export function toExitRecord(thrown: unknown): ExitRecord {
  if (thrown instanceof ModuleImportError) {
    return {
      code: 1,
      reason: "import",
      error: toErrorRecord(thrown),
      module: thrown.module,
    };
  }
  return { code: 1, reason: "error", error: toErrorRecord(thrown) };
}

/**
 * Turns a record back into an exit. The record may come from hostile code.
 *
 * @param record What crossed.
 * @returns The exit.
 * @throws {ProtocolError} If it is no such record.
 */
export function fromExitRecord(record: ExitRecord): RunnerExit {
  const { code, reason, error, module } = Object(record) as ExitRecord;
  if (!Number.isInteger(code) || !OWN_REASONS.includes(reason)) {
    throw new ProtocolError("An exit's record makes no sense");
  }
  if (error === undefined) return { code, reason };
  const thrown = fromErrorRecord(error);
  if (reason !== "import") return { code, reason, error: thrown };
  return {
    code,
    reason,
    error: new ModuleImportError(
      thrown.message,
      isText(module) ? module : null,
      { cause: thrown.cause ?? thrown },
    ),
  };
}
