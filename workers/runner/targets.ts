/**
 * What a thread or process runs: the exports of the user's module.
 *
 * @module
 */

import { ModuleImportError } from "../base/errors.ts";

/** A function or class of the user's. */
export type Call = (...args: unknown[]) => unknown;

/**
 * Finds a function or class in a module.
 *
 * @param module The module's exports.
 * @param name The name of the export.
 * @param what What it should be.
 * @param url The module's URL.
 * @returns The function or class.
 * @throws {ModuleImportError} If the module does not export it.
 */
export function findExport(
  module: Record<string, unknown>,
  name: string,
  what: "function" | "class",
  url: string,
): Call {
  const isExported = Object.hasOwn(module, name);
  const value = isExported ? module[name] : undefined;
  if (typeof value === "function") return value as Call;
  throw new ModuleImportError(
    `Cannot run ${what} "${name}": ` +
      (isExported
        ? `"${url}" exports it, but it is not a ${what}`
        : `"${url}" does not export it; add \`export\` to it, under this name`),
    url,
  );
}
