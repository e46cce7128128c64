/**
 * How errors and exits cross between runners.
 *
 * @module
 */
import { HandlerImportError, RemoteError, type RunnerExit } from "../errors.ts";

/** Causes beyond this depth are left out: a chain may be a ring. */
const MAX_CAUSES = 8;

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
  /** What was thrown. */
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
 * Turns what was thrown into a record that can be cloned.
 *
 * @param thrown What was thrown, an error or not.
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

/**
 * Turns a record back into an error.
 *
 * @param record What {@linkcode toErrorRecord} made.
 * @returns The error.
 */
export function fromErrorRecord(record: ErrorRecord): RemoteError {
  const { name, message, stack, cause } = record;
  return new RemoteError({
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : {
      cause: "error" in cause ? fromErrorRecord(cause.error) : cause.value,
    }),
  });
}

/**
 * Says how a runner ends that threw.
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
 * Turns a record back into an exit.
 *
 * @param record What crossed.
 * @returns The exit.
 */
export function fromExitRecord(record: ExitRecord): RunnerExit {
  const { code, reason } = record;
  if (record.error === undefined) return { code, reason };
  const error = fromErrorRecord(record.error);
  if (reason !== "import") return { code, reason, error };
  return {
    code,
    reason,
    error: new HandlerImportError(error.message, record.module ?? null, {
      cause: error.cause ?? error,
    }),
  };
}
