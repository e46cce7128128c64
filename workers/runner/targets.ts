/**
 * Targets of threads and processes, as their owner checks them.
 *
 * @module
 */

import { assertType } from "../base/check.ts";
import { ModuleImportError } from "../base/errors.ts";
import type { RunnerKind } from "./runner.ts";

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

/**
 * The modules of this package's own classes. They have no static property for
 * it, because subclasses would then have to declare theirs with `override`.
 */
const registry: WeakMap<object, string> = new WeakMap();

/** Registers the module that exports a class. */
export function setModule(subject: object, url: string): void {
  registry.set(subject, url);
}

/** The module that exports a class of this package. */
export function moduleOf(subject: object): string | undefined {
  return registry.get(subject);
}
