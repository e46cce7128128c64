/**
 * Waits without a lock, then takes it again.
 *
 * @module
 */

import { sleep, TICK } from "./_async_wait.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import type { Deadline } from "./_deadline.ts";
import type { InnerLock } from "./_inner_lock.ts";
import { isStopped } from "./_stop_word.ts";
import type { WaitQueue } from "./_wait_queue.ts";

/**
 * Releases the caller's lock, waits on the event loop for a notification, and
 * takes the lock again.
 *
 * @param waiters The wait queue.
 * @param lock The lock. The caller owns it before and after.
 * @param deadline When to give up.
 * @returns Whether a notification has come.
 */
export async function waitUnlocked(
  waiters: WaitQueue,
  lock: InnerLock,
  deadline: Deadline,
): Promise<boolean> {
  if (deadline.signal?.aborted && checkpointDue(true)) await checkpoint();
  deadline.signal?.throwIfAborted();
  const slot = waiters.enrol(waiters.takeTicket(false));
  // It sleeps before the lock is free, so that a notification can distinguish
  // this waiter from one whose thread has ended.
  const asleep = sleep(slot, deadline);
  const depth = lock.releaseAll();
  let aborted = true;
  let notified = false;
  try {
    await asleep;
    aborted = false;
  } finally {
    notified = !waiters.cancel(slot);
    await lock.restore(depth);
    if (aborted && notified) waiters.wake(1);
  }
  return notified;
}

/**
 * As {@linkcode waitUnlocked}, blocking the thread.
 *
 * @param waiters The wait queue.
 * @param lock The lock. The caller owns it before and after.
 * @param deadline When to give up.
 * @returns Whether a notification has come.
 * @throws {DOMException} An `AbortError` if the thread was terminated. The
 * caller does not own the lock then.
 */
export function waitUnlockedSync(
  waiters: WaitQueue,
  lock: InnerLock,
  deadline: Deadline,
): boolean {
  const slot = waiters.enrol(waiters.takeTicket(true));
  const { words, index, value } = slot;
  const depth = lock.releaseAll();
  while (Atomics.load(words, index) === value && !isStopped()) {
    const left = deadline.at - performance.now();
    if (left <= 0) break;
    Atomics.wait(words, index, value, Math.min(left, TICK));
  }
  const notified = !waiters.cancel(slot);
  try {
    lock.restoreSync(depth);
  } catch (error) {
    // The thread was terminated: its guards must not release another's lock.
    lock.forfeit();
    if (notified) waiters.wake(1);
    throw error;
  }
  return notified;
}
