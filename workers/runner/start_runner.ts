/**
 * Starts a runner of either kind.
 *
 * @module
 */

import { ChildRunner } from "./child.ts";
import { imports } from "./context.ts";
import type { Runner, RunnerKind, RunnerOptions } from "./runner.ts";
import { WorkerRunner } from "./thread.ts";

/**
 * Starts a runner: the one place that knows the two kinds.
 *
 * @param kind Which kind.
 * @param options What runs there.
 * @returns The runner, which is starting.
 * @throws {ModuleImportError} If one of its modules is being imported here.
 */
export function startRunner(kind: RunnerKind, options: RunnerOptions): Runner {
  const { modules = [], name = "" } = options;
  imports.refuse(modules, `${kind} "${name}"`);
  return kind === "thread"
    ? new WorkerRunner(options)
    : new ChildRunner(options);
}
