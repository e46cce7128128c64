/**
 * Checks the options and arguments of pools.
 *
 * @module
 */
import { packFor } from "../codec/share.ts";
import {
  checkModule,
  checkName,
  checkTimeout,
  targetName,
} from "../threads/_options.ts";
import type {
  MapSettings,
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
  PoolSettings,
} from "./_options.ts";
import { type Initializer, reasonOf } from "./_protocol.ts";
import type { RunnerKind } from "../runner/runner.ts";
import {
  assertInteger,
  assertOptions,
  assertPositiveInteger,
  assertType,
  quote,
} from "../_validate.ts";

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

const numbers = { thread: 0, process: 0 };

const POOL_OPTIONS: (keyof PoolOptions)[] = [
  "module",
  "workers",
  "maxQueue",
  "retries",
  "initializer",
  "initializerArgs",
  "maxTasksPerWorker",
  "permissions",
  "name",
];
const RUN_OPTIONS: (keyof PoolRunOptions)[] = ["signal", "timeout", "transfer"];
const MAP_OPTIONS: (keyof PoolMapOptions)[] = [
  "chunkSize",
  "ordered",
  "concurrency",
  "signal",
  "kill",
];

function checkArray(name: string, value: unknown): void {
  assertType(name, value, Array.isArray(value), "an array");
}

function checkBoolean(name: string, value: unknown): void {
  assertType(name, value, typeof value === "boolean", "a boolean");
}

function checkSignal(value: unknown): void {
  assertType("signal", value, value instanceof AbortSignal, "an AbortSignal");
}

function checkInitializer(
  kind: RunnerKind,
  { initializer, initializerArgs = [] }: PoolOptions,
): Initializer | null {
  if (initializer === undefined) return null;
  const name = targetName(initializer);
  checkArray("initializerArgs", initializerArgs);
  try {
    const args = structuredClone(packFor(kind, [...initializerArgs]));
    return { name, args: args as unknown[] };
  } catch (error) {
    throw new TypeError(
      `Cannot pass "initializerArgs" to "${name}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/** Checks a pool's options. */
export function checkPoolOptions(
  kind: RunnerKind,
  options: PoolOptions,
): PoolSettings {
  const className = kind === "thread" ? "ThreadPool" : "ProcessPool";
  assertOptions(options, `a ${className}`, POOL_OPTIONS);
  const {
    workers = navigator.hardwareConcurrency,
    maxQueue = Infinity,
    maxTasksPerWorker = Infinity,
    retries = 0,
    permissions = "inherit",
  } = options;
  assertPositiveInteger("workers", workers);
  if (maxQueue !== Infinity) assertPositiveInteger("maxQueue", maxQueue);
  if (maxTasksPerWorker !== Infinity) {
    assertPositiveInteger("maxTasksPerWorker", maxTasksPerWorker);
  }
  assertInteger("retries", retries, 0);
  const module = checkModule(options.module, "the tasks of a pool", kind);
  const name = options.name === undefined
    ? `${className}-${++numbers[kind]}`
    : checkName(options.name);
  return {
    kind,
    main: MAIN_URL,
    module,
    workers,
    maxQueue,
    retries,
    maxTasksPerWorker,
    initializer: checkInitializer(kind, options),
    permissions,
    name,
  };
}

/** Checks the options of a `run()`. */
export function checkRunOptions(
  args: readonly unknown[],
  options: PoolRunOptions,
): void {
  checkArray("args", args);
  assertOptions(options, "run()", RUN_OPTIONS);
  const { signal, timeout, transfer } = options;
  if (signal !== undefined) checkSignal(signal);
  checkTimeout(timeout);
  if (transfer !== undefined) checkArray("transfer", transfer);
}

/** Checks the options of a `map()` and adds the defaults. */
export function checkMapOptions(
  { kind, workers }: PoolSettings,
  options: PoolMapOptions,
  spread: boolean,
): MapSettings {
  assertOptions(options, "map()", MAP_OPTIONS);
  const { chunkSize = 1, concurrency = 8 * workers, kill = false } = options;
  const { signal = null, ordered = true } = options;
  assertPositiveInteger("chunkSize", chunkSize);
  assertPositiveInteger("concurrency", concurrency);
  if (signal !== null) checkSignal(signal);
  checkBoolean("ordered", ordered);
  checkBoolean("kill", kill);
  if (kill && kind === "thread") {
    throw new TypeError(
      'Cannot use "kill" with a ThreadPool: a function that runs in a thread ' +
        "can't be stopped; use a ProcessPool",
    );
  }
  return { chunkSize, ordered, spread, concurrency, signal, kill };
}

/** Checks the items of a `map()`. */
export function checkItems(items: unknown): void {
  const iterable = items as Partial<
    & AsyncIterable<unknown>
    & Iterable<unknown>
  >;
  if (
    items !== null && items !== undefined &&
    (typeof iterable[Symbol.asyncIterator] === "function" ||
      typeof iterable[Symbol.iterator] === "function")
  ) return;
  throw new TypeError(
    `Cannot map over ${quote(items)}: expected an Iterable or AsyncIterable`,
  );
}
