/**
 * Sees to it that a file of tests leaves no child, no thread and no socket
 * behind. Whoever imports this module is watched.
 *
 * `deno test --parallel` runs several files in one process, which counts for
 * all of them. What is there at a file's end and was not at its beginning must
 * go, therefore; what other files have, goes with their tests.
 *
 * @module
 */

import { listDescendants, listSockets, listThreads } from "./system.ts";
import { pause } from "./waiting.ts";

/** Longer than any one test of another file. */
const PATIENCE_MS = 50_000;

function listAll(): Set<string> {
  const children = listDescendants(Deno.pid)
    .map(({ pid, command }) => `${pid} ${command.replaceAll("\0", " ")}`);
  const threads = listThreads().map((id) => `thread ${id}`);
  return new Set([...children, ...threads, ...listSockets()]);
}

let before: Set<string>;
Deno.test.beforeAll(() => void (before = listAll()));
Deno.test.afterAll(async () => {
  const deadline = performance.now() + PATIENCE_MS;
  let left = listAll().difference(before);
  while (left.size > 0) {
    if (performance.now() > deadline) {
      throw new Error(`Left behind: ${[...left].join(", ")}`);
    }
    await pause(50);
    left = left.intersection(listAll());
  }
});
