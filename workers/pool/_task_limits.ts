/**
 * Ends a task by its signal or its time-out.
 *
 * @module
 */

import type { PoolTask } from "./_task.ts";
import { MAX_TIMEOUT } from "../threads/_options.ts";

/** The limits of a task. */
export interface TaskLimitOptions {
  /** Ends it when it is aborted. */
  signal?: AbortSignal | undefined;
  /** The time-out in milliseconds. */
  timeout?: number | undefined;
}

/**
 * Ends a task by its signal or its time-out.
 *
 * @param task The task.
 * @param options Its limits; the signal is not aborted yet.
 * @param end Called with the reason, once at most.
 */
export function limitTask(
  { target, promise }: PoolTask,
  { signal, timeout = Infinity }: TaskLimitOptions,
  end: (reason: unknown) => void,
): void {
  const abort = () => end(signal!.reason);
  signal?.addEventListener("abort", abort);
  const timer = timeout > MAX_TIMEOUT ? undefined : setTimeout(() => {
    end(
      new DOMException(
        `Cannot get the result of "${target.name}": it took longer than ${timeout} ms`,
        "TimeoutError",
      ),
    );
  }, timeout);
  function release(): void {
    signal?.removeEventListener("abort", abort);
    clearTimeout(timer);
  }
  promise.then(release, release);
}
