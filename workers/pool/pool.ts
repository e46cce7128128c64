/**
 * The public part of the pools' common code.
 *
 * @module
 */

export { Pool } from "./_pool_base.ts";
export type {
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
  PoolShutdownOptions,
  PoolStats,
  TimeSummary,
} from "./_options.ts";
