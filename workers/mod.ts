/**
 * Threads, processes, locks, queues and pools, without the servers. A module
 * that runs in a thread or process imports this entry: it starts faster than
 * with all of the package.
 *
 * ```ts ignore
 * import { ThreadPool } from "@socketserver/socketserver/workers";
 *
 * export function square(x: number): number {
 *   return x * x;
 * }
 *
 * if (import.meta.main) {
 *   await using pool = new ThreadPool({ module: import.meta.url });
 *   console.log(await pool.map(square, [1, 2, 3])); // [1, 4, 9]
 * }
 * ```
 *
 * @module
 */

export {
  BrokenBarrierError,
  type ExceptHook,
  type ExceptHookArgs,
  ModuleImportError,
  PoolClosedError,
  PoolFullError,
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  RemoteError,
  type RemoteErrorInit,
  type RunnerExit,
  RunnerExitError,
  setExceptHook,
  SocketServerError,
} from "./base/errors.ts";
export * from "./locks/barrier.ts";
export * from "./locks/condition.ts";
export * from "./locks/lock.ts";
export * from "./locks/semaphore.ts";
export * from "./locks/thread_event.ts";
export * from "./threads/timer.ts";
export type * from "./locks/wait_options.ts";
export {
  type Pool,
  type PoolMapOptions,
  type PoolOptions,
  type PoolRunOptions,
  type PoolShutdownOptions,
  type PoolStats,
  ProcessPool,
  ThreadPool,
  type TimeSummary,
} from "./pool/pool.ts";
export { PoolMap } from "./pool/pool_map.ts";
export * from "./queue/pipe.ts";
export * from "./queue/shared_queue.ts";
export type { Activity } from "./threads/_activity_base.ts";
export * from "./threads/thread.ts";
export * from "./threads/process.ts";
