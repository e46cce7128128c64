/**
 * Sees to it that a file of tests leaves no child and no thread behind.
 * Whoever imports this module is watched.
 *
 * `deno test --parallel` runs several files in one process, each on a thread:
 * what counts is what this file has started. Of sockets, a file's own are the
 * test's resources, which Deno checks, and others end with their thread or
 * child. A child that lost its parent is found by `tests/run.ts`.
 *
 * @module
 */

import { listDescendants, listTasks, listThreads } from "./system.ts";
import { until } from "./waiting.ts";

/** The threads that came up with each of this file's workers. */
const started: number[][] = [];

// A subclass would have another prototype, in which the module looks for methods
globalThis.Worker = new Proxy(Worker, {
  construct(target, args, newTarget) {
    const before = new Set(listTasks());
    const worker = Reflect.construct(target, args, newTarget);
    const added = listTasks().filter((task) => !before.has(task));
    const threads = listThreads(added);
    if (threads.length > 0) started.push(threads);
    return worker;
  },
});

/** What is there and belongs to this file. */
function listOwn(): string[] {
  const alive = new Set(listThreads());
  // Another file may have started a thread in the same moment
  const threads = started.filter((ids) => ids.every((id) => alive.has(id)))
    .map((ids) => `thread ${ids.join(" or ")}`);
  const children = listDescendants()
    .map(({ pid, command }) => `${pid} ${command.replaceAll("\0", " ")}`);
  return [...threads, ...children];
}

Deno.test.afterAll(async () => {
  let left: string[] = [];
  await until(() => (left = listOwn()).length === 0, "nothing is left")
    .catch(() => {
      throw new Error(`Left behind: ${left.join(", ")}`);
    });
});
