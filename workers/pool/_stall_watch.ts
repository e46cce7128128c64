/**
 * Takes tasks back that wait behind a long one.
 *
 * @module
 */

import { STALLED_AFTER, type WorkerHandle } from "./_worker_handle.ts";

/**
 * Keeps tasks of a thread from waiting behind a long one: neither a finished
 * task's answer nor a task that an idle thread could run.
 */
export class StallWatch {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Watches while a thread has several tasks.
   *
   * @param workers The threads.
   * @param recall Called with a thread that must return its tasks.
   */
  watch(
    workers: WorkerHandle[],
    recall: (worker: WorkerHandle) => void,
  ): void {
    if (this.#timer !== undefined) return;
    if (!workers.some(({ load }) => load > 1)) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      const stalled = workers.filter((worker) => worker.isStalled(now));
      for (const worker of stalled) worker.look();
      if (workers.some(({ ready, load }) => ready && load === 0)) {
        for (const worker of stalled) if (worker.load > 1) recall(worker);
      }
      this.watch(workers, recall);
    }, STALLED_AFTER);
  }

  /** Stops for good. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
