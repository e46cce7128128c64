/** What a pool's thread does in the tests of locks. */
import type { Lock } from "../../workers/locks/lock.ts";

/** Takes a lock, blocking the thread, and keeps it. */
export function keep(lock: Lock): void {
  lock.acquireSync();
}
