/** Threads whose random numbers are the same, by `--seed`. */
// deno-lint-ignore-file no-console
import { Lock, RLock, Thread } from "../../../mod.ts";

export function take(_: Lock, lock: RLock): [boolean, boolean, Lock] {
  return [lock.owned(), lock.acquireSync({ blocking: false }), new Lock()];
}

if (import.meta.main) {
  const [first, rlock] = [new Lock(), new RLock()];
  rlock.acquireSync();
  const { url: module } = import.meta;
  const thread = new Thread({ target: take, args: [first, rlock], module });
  thread.start();
  const [owned, taken, second] = await thread.result;
  console.log(owned, taken, second === first);
}
