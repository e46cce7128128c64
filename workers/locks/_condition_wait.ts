/**
 * Waits without a lock, then takes it again.
 *
 * @module
 */
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, sleep, TICK } from "./_sleep.ts";
import { isStopped } from "./_stop_word.ts";
import type { WaitQueue } from "./_wait_queue.ts";

/** The operations of a condition on its lock. */
export interface InnerLock {
  /** Whether the caller counts as its owner. */
  owned(): boolean;
  /** Releases it at any depth. Returns the depth. */
  releaseAll(): number;
  /** Takes it again at that depth. */
  restore(depth: number): Promise<void>;
  /** As `restore()`, blocking the thread. */
  restoreSync(depth: number): void;
  /** Keeps this thread, which was terminated without it, from releasing it. */
  forfeit(): void;
}

type Constructor<T> = abstract new (...args: never[]) => T;

const openers: [Constructor<object>, (lock: never) => InnerLock][] = [];

/**
 * Registers a kind of lock for conditions.
 *
 * @param type The lock's class.
 * @param open Returns the operations of an instance.
 */
export function registerInnerLock<T extends object>(
  type: Constructor<T>,
  open: (lock: T) => InnerLock,
): void {
  openers.push([type, open]);
}

/**
 * Returns the operations of a lock.
 *
 * @param lock A lock of a registered kind.
 * @returns Its operations.
 */
export function innerLockOf(lock: object): InnerLock {
  for (const [type, open] of openers) {
    if (lock instanceof type) return open(lock as never);
  }
  throw new TypeError(
    'Cannot make a condition: "lock" must be a Lock or an RLock',
  );
}

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
