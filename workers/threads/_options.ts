/**
 * The options of threads and processes, and their checks.
 *
 * @module
 */
import { ModuleImportError } from "../base/errors.ts";
import type { RunnerKind } from "../runner/runner.ts";
import { assertOptions, assertType } from "../base/check.ts";
import type { WaitOptions } from "../locks/wait_options.ts";

/** The longest delay of a timer. */
export const MAX_TIMEOUT = 2 ** 31 - 1;

/**
 * Options of a {@linkcode Thread} or {@linkcode Process}. The compiler checks
 * `args` against the parameters of `target` if that is a function.
 *
 * @typeParam T The type of the result.
 * @typeParam A The parameters of the target; `never[]` if they aren't known.
 */
export type ThreadOptions<
  T = unknown,
  A extends readonly unknown[] = never[],
> =
  & {
    /**
     * The function to run, which `module` exports, or its export's name. Leave it
     * out in a class that overrides `run()`.
     */
    target?: ((...args: [...A]) => T | Promise<T>) | string;
    /**
     * The name.
     *
     * @default {"Thread-N (target)" or "Process-N (target)"}
     */
    name?: string;
    /**
     * Whether the program may end while this runs. Where a version of Deno can't
     * unref a `Worker`, the program also waits for daemon threads.
     *
     * @default {that of the current thread, or of the current process}
     */
    daemon?: boolean;
    /**
     * The module that exports `target` or the class, nearly always
     * `import.meta.url`.
     *
     * @default {the class's `static module`}
     */
    module?: string | URL;
    /**
     * The permissions of the code. For a thread, anything but `"inherit"` needs
     * `--unstable-worker-options`. There it guards against mistakes only: run
     * hostile code in a {@linkcode Process}.
     *
     * @default {"inherit"}
     */
    permissions?: Deno.PermissionOptions;
  }
  & (
    (A extends never[] ? never[] extends A ? true : false : false) extends true
      ? {
        /**
         * The arguments of `target`, copied by structured clone.
         *
         * @default {[]}
         */
        args?: readonly unknown[];
      }
      : [] extends A ? { args?: Readonly<NoInfer<A>> }
      : { args: Readonly<NoInfer<A>> }
  );

/** Checks a name. */
export function checkName(name: unknown): string {
  assertType("name", name, typeof name === "string", "a string");
  return name;
}

/** Checks the option `daemon`. */
export function checkDaemon(daemon: unknown): boolean {
  assertType("daemon", daemon, typeof daemon === "boolean", "a boolean");
  return daemon;
}

/** Checks the arguments for functions and symbols, and copies the array. */
export function checkArgs(args: unknown): readonly unknown[] {
  assertType("args", args, Array.isArray(args), "an array");
  args.forEach((arg, index) => {
    if (typeof arg === "function" || typeof arg === "symbol") {
      throw new TypeError(
        `Cannot pass argument ${index} of "args": a ${typeof arg} ` +
          "cannot be cloned",
      );
    }
  });
  return [...args];
}

/** Checks a module and returns its URL. */
export function checkModule(
  module: unknown,
  what: string,
  kind: RunnerKind,
): string {
  if (module === undefined) {
    throw new ModuleImportError(
      `Cannot run ${what} in a ${kind}: no module was given; add ` +
        "`module: import.meta.url`, or `static readonly module = " +
        "import.meta.url` to the class",
      null,
    );
  }
  const right = typeof module === "string" || module instanceof URL;
  assertType("module", module, right, "a URL");
  if (!URL.canParse(module)) {
    throw new TypeError(
      `Cannot use "${module}" as "module": expected an absolute URL, such as ` +
        "import.meta.url",
    );
  }
  return new URL(module).href;
}

/**
 * Whether a function was written as the option's value: it then has the
 * option's name.
 */
function isInline(target: { name: string }, option: string): boolean {
  if (target.name !== option) return false;
  const declared = new RegExp(
    `^(?:async\\s+)?function\\s*\\*?\\s*${option}\\b`,
  );
  return !declared.test(Function.prototype.toString.call(target));
}

/**
 * Returns the name of a target's export.
 *
 * @param target The function or its name.
 * @param option The option's name, for errors.
 */
export function targetName(target: unknown, option = "target"): string {
  const name = typeof target === "function" ? target.name : target;
  const expected = "an exported function or its name";
  assertType(option, target, typeof name === "string", expected);
  if (name === "" || typeof target === "function" && isInline(target, option)) {
    throw new TypeError(
      `Cannot use an anonymous function as "${option}": it must be exported ` +
        "from its module under its own name (one that is really named " +
        `"${option}" can be given as that string)`,
    );
  }
  return name;
}

/**
 * Describes the code to run, which must have a name.
 *
 * @param kind The kind of runner.
 * @param className The name of the class, if it overrides `run()`.
 * @param target The target, if there is one.
 * @returns The description for errors.
 */
export function describeWork(
  kind: RunnerKind,
  className: string | undefined,
  target: unknown,
): string {
  if (className) return `class "${className}"`;
  if (className === "") {
    throw new TypeError(
      `Cannot construct a ${kind} of an anonymous class: it must be exported ` +
        "from its module under its own name",
    );
  }
  if (target !== undefined) return `target "${targetName(target)}"`;
  throw new TypeError(
    `Cannot construct a ${kind}: give it a "target", or override run()`,
  );
}

/** Throws unless it is a time-out or `undefined`. */
export function checkTimeout(timeout: unknown, option = "timeout"): void {
  if (timeout === undefined) return;
  const right = typeof timeout === "number" && !Number.isNaN(timeout);
  assertType(option, timeout, right, "milliseconds");
  if (timeout < 0) {
    throw new RangeError(
      `Cannot use ${timeout} as "${option}": expected 0 or more`,
    );
  }
}

/** Checks a signal. */
export function checkSignal(value: unknown): void {
  const right = value === undefined || value instanceof AbortSignal;
  assertType("signal", value, right, "an AbortSignal");
}

/** Checks the options of a wait. */
export function checkWait(options: unknown): WaitOptions {
  const wait = typeof options === "object" && options !== null
    ? options as WaitOptions
    : { timeout: options as number };
  assertOptions(wait, "join()", ["timeout", "signal"]);
  checkTimeout(wait.timeout);
  checkSignal(wait.signal);
  return wait;
}
