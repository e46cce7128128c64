/**
 * Records of errors and exits, which cross between runners.
 *
 * @module
 */
import { HandlerImportError, RemoteError, type RunnerExit } from "../errors.ts";
import { ProtocolError } from "./protocol_error.ts";

/** Causes beyond this depth are left out: a chain may be a ring. */
const MAX_CAUSES = 8;
/** The exit reasons that a runner may send; its owner knows the others. */
const OWN_REASONS: readonly string[] = ["returned", "error", "exit", "import"];

// deno-lint-ignore no-control-regex
const COLOR_REGEXP = /\x1b\[[0-9;]*m/g;

/** An error in a form that can be cloned. */
export interface ErrorRecord {
  /** The error's name. */
  name: string;
  /** The error's message. */
  message: string;
  /** The error's stack, where it had one. */
  stack?: string;
  /** The error's cause: another error, or a value of another kind. */
  cause?: { error: ErrorRecord } | { value: unknown };
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
    return String(value);
  }
}

/**
 * Turns a thrown value into a record that can be cloned.
 *
 * @param thrown The thrown value.
 * @param depth How many causes led here.
 * @returns The record.
 */
export function toErrorRecord(thrown: unknown, depth = 0): ErrorRecord {
  if (!(thrown instanceof Error)) {
    return {
      name: "Error",
      message: typeof thrown === "string"
        ? thrown
        : `Threw ${Deno.inspect(thrown, { colors: false, depth: 2 })}`,
      cause: { value: cloneable(thrown) },
    };
  }
  const record: ErrorRecord = {
    name: String(thrown.name),
    message: String(thrown.message).replace(COLOR_REGEXP, ""),
  };
  if (typeof thrown.stack === "string") {
    record.stack = thrown.stack.replace(COLOR_REGEXP, "");
  }
  const { cause } = thrown;
  if (cause !== undefined && depth < MAX_CAUSES) {
    record.cause = cause instanceof Error
      ? { error: toErrorRecord(cause, depth + 1) }
      : { value: cloneable(cause) };
  }
  return record;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/**
 * Turns a record back into an error. The record may come from hostile code.
 *
 * @param record What {@linkcode toErrorRecord} made.
 * @param depth How many causes led here.
 * @returns The error.
 * @throws {ProtocolError} If it is no such record.
 */
export function fromErrorRecord(record: ErrorRecord, depth = 0): RemoteError {
  const { name, message, stack, cause } = Object(record) as ErrorRecord;
  if (
    !isText(name) || !isText(message) ||
    !(stack === undefined || isText(stack)) || depth > MAX_CAUSES
  ) {
    throw new ProtocolError("An error's record makes no sense");
  }
  return new RemoteError({
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : {
      cause: "error" in Object(cause)
        ? fromErrorRecord((cause as { error: ErrorRecord }).error, depth + 1)
        : (Object(cause) as { value: unknown }).value,
    }),
  });
}

/**
 * Sends a record, without the cause where that can't cross.
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
    const { cause: _, ...rest } = record;
    send(rest);
  }
}

/**
 * Makes the exit of a runner that threw.
 *
 * @param thrown What was thrown.
 * @returns The exit, in a form that can be cloned.
 */
export function toExitRecord(thrown: unknown): ExitRecord {
  if (thrown instanceof HandlerImportError) {
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
    error: new HandlerImportError(
      thrown.message,
      isText(module) ? module : null,
      { cause: thrown.cause ?? thrown },
    ),
  };
}
