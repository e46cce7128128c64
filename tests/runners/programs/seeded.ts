/** Threads whose random numbers are the same, by `--seed`. */
// deno-lint-ignore-file no-console
import { Lock, RLock, Thread } from "../../../mod.ts";

const module = import.meta.url;

export function take(_: Lock, lock: RLock): [boolean, boolean, Lock] {
  return [lock.owned(), lock.acquireSync({ blocking: false }), new Lock()];
}

/** How many threads hold what tells that they live. */
export async function countLiving(): Promise<number> {
  const { locks } = navigator as unknown as {
    locks: { query(): Promise<{ held: unknown[] }> };
  };
  return (await locks.query()).held.length;
}

export async function nest(): Promise<number> {
  // As many as were drawn in the main thread before it started this one
  for (let drawn = 0; drawn < 3; drawn++) crypto.randomUUID();
  const thread = new Thread({ target: countLiving, module });
  thread.start();
  return await thread.result;
}

if (import.meta.main) {
  const [first, rlock] = [new Lock(), new RLock()];
  rlock.acquireSync();
  const thread = new Thread({ target: take, args: [first, rlock], module });
  thread.start();
  const [owned, taken, second] = await thread.result;
  await thread.join();
  const outer = new Thread({ target: nest, module });
  outer.start();
  console.log(owned, taken, second === first, await outer.result);
}
