export { Pool } from "./_pool.ts";
export type {
  PoolMapOptions,
  PoolOptions,
  PoolShutdownOptions,
  PoolStats,
  TimeSummary,
} from "./_pool_options.ts";
