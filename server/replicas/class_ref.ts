/**
 * Classes, named so that a replica can import them.
 *
 * @module
 */

import { moduleOf } from "../../workers/threads/_class_registry.ts";
import { HandlerImportError } from "../../workers/errors.ts";

/** A class by its module and its name there. */
export interface ClassRef {
  module: string;
  name: string;
}

// deno-lint-ignore ban-types -- any class, whatever its constructor
type Class = Function & { readonly module?: string | URL };

/**
 * Names a class for a replica.
 *
 * @param subject The class.
 * @param module The module that exports it, if it does not say so itself.
 * @throws {HandlerImportError} If a replica could not import it.
 */
export function refer(
  subject: Class,
  module: string | URL | undefined,
): ClassRef {
  const { name } = subject;
  // An inherited `module` is the parent class's
  const own = moduleOf(subject) ??
    (Object.hasOwn(subject, "module") ? subject.module : module);
  if (name === "") {
    throw new HandlerImportError(
      "Cannot run a class without a name in a replica: give it a name and export it from its module",
      null,
    );
  }
  if (own === undefined) {
    throw new HandlerImportError(
      `Cannot run class "${name}" in a replica: nothing tells which module exports it; give the server the option "module: import.meta.url", or the class "static readonly module = import.meta.url"`,
      null,
    );
  }
  if (!URL.canParse(own)) {
    throw new HandlerImportError(
      `Cannot run class "${name}" in a replica: its module "${own}" is not an absolute URL; use import.meta.url`,
      String(own),
    );
  }
  return { module: new URL(own).href, name };
}

/**
 * Finds a class in its module.
 *
 * @param ref The class's name.
 * @param exported What its module exports.
 * @throws {HandlerImportError} If it exports no such class.
 */
export function resolve(
  ref: ClassRef,
  exported: Record<string, unknown>,
): unknown {
  const found = typeof exported[ref.name] === "function"
    ? exported[ref.name]
    : Object.values(exported).find((value) =>
      typeof value === "function" && value.name === ref.name
    );
  if (found !== undefined) return found;
  throw new HandlerImportError(
    `Cannot run class "${ref.name}" in a replica: "${ref.module}" exports no class of that name; write "export class ${ref.name}"`,
    ref.module,
  );
}
