/**
 * Waits in a wait queue until an attempt succeeds.
 *
 * @module
 */

import { sleep, TICK } from "./_async_wait.ts";
import { checkpoint, checkpointDue } from "./_checkpoint.ts";
import { type Deadline, FOREVER } from "./_deadline.ts";
import { isStopped, throwIfStopped } from "./_stop_word.ts";
import type { WaitQueue } from "./_wait_queue.ts";
import { Waiter } from "./_waiter.ts";

/**
 * Whether to try at once: no waiter comes first, and no yield is due.
 *
 * @param queue The wait queue.
 * @param deadline When to give up.
 * @param takes Whether a success takes something that a terminated thread would
 * keep. If not, the caller yields afterwards.
 * @returns If not, or the attempt fails, go on with `until()`.
 */
export function mayTry(
  queue: WaitQueue,
  deadline: Deadline = FOREVER,
  takes: boolean = queue.fair,
): boolean {
  if (isStopped() || deadline.signal?.aborted) return false;
  if (deadline.at !== -Infinity && !queue.mayOvertake()) return false;
  return !(takes && checkpointDue());
}

/**
 * Waits on the event loop until an attempt succeeds. In a thread that was
 * terminated it never settles.
 *
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns Whether an attempt succeeded.
 */
export async function until(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline = FOREVER,
): Promise<boolean> {
  try {
    if (deadline.at !== -Infinity) return await wait(queue, attempt, deadline);
    if (checkpointDue()) await checkpoint();
    deadline.signal?.throwIfAborted();
    throwIfStopped();
    return attempt();
  } catch (error) {
    if (isStopped()) await new Promise(() => {});
    // A loop may catch it
    if (checkpointDue()) await checkpoint();
    throw error;
  }
}

async function wait(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline,
): Promise<boolean> {
  deadline.signal?.throwIfAborted();
  const waiter = new Waiter(queue, attempt, false);
  let success = false;
  try {
    success = waiter.enter();
    while (!success) {
      const outcome = await sleep(waiter.slot, deadline, () => waiter.tick());
      if (outcome === "timed-out") return success = waiter.expire();
      success = outcome === "ticked" || waiter.enter();
    }
    return success;
  } finally {
    waiter.leave(success);
  }
}

/**
 * Blocks the thread until an attempt succeeds.
 *
 * @param queue The wait queue.
 * @param attempt Tries; returns `false` if it fails.
 * @param deadline When to give up.
 * @returns Whether an attempt succeeded.
 * @throws {DOMException} An `AbortError` if the thread was terminated.
 */
export function untilSync(
  queue: WaitQueue,
  attempt: () => boolean,
  deadline: Deadline = FOREVER,
): boolean {
  throwIfStopped();
  const once = deadline.at === -Infinity;
  if ((once || queue.mayOvertake()) && attempt()) return true;
  if (once) return false;
  const waiter = new Waiter(queue, attempt, true);
  let success = false;
  try {
    success = waiter.enter();
    while (!success) {
      const left = deadline.at - performance.now();
      if (left <= 0) return success = waiter.expire();
      const { words, index, value } = waiter.slot;
      Atomics.wait(words, index, value, Math.min(left, TICK));
      success = Atomics.load(words, index) === value
        ? waiter.tick()
        : waiter.enter();
    }
    return success;
  } finally {
    waiter.leave(success);
  }
}
