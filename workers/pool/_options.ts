/**
 * The checks of the options and arguments of pools.
 *
 * @module
 */
import { packFor } from "../codec/share.ts";
import { checkModule, targetName } from "../runner/targets.ts";
import {
  assertInteger,
  assertOptions,
  assertPositiveInteger,
  assertType,
  checkName,
  checkSignal,
  checkTimeout,
  quote,
} from "../base/check.ts";
import { reasonOf } from "../base/errors.ts";
import type { Initializer } from "./_protocol.ts";
import type { RunnerKind } from "../runner/runner.ts";
import type {
  PoolMapOptions,
  PoolOptions,
  PoolRunOptions,
} from "./pool_options.ts";

/** Options that have been checked. */
export interface PoolSettings
  extends Required<Omit<PoolOptions, "initializer" | "initializerArgs">> {
  /** The kind of workers. */
  kind: RunnerKind;
  /** The URL of the module that a worker runs. */
  main: string;
  /** A URL. */
  module: string;
  /** The initializer, with its arguments. */
  initializer: Initializer | null;
  /** A process calls locks that stay here. The pool keeps those that it got. */
  kept: readonly unknown[];
}

const MAIN_URL = new URL("./_main.ts", import.meta.url).href;

const numbers = { thread: 0, process: 0 };

const POOL_OPTIONS: (keyof PoolOptions)[] = [
  "module",
  "workers",
  "minWorkers",
  "idleTimeout",
  "concurrentTasksPerWorker",
  "maxQueue",
  "retries",
  "initializer",
  "initializerArgs",
  "maxTasksPerWorker",
  "permissions",
  "name",
];
const RUN_OPTIONS: (keyof PoolRunOptions)[] = [
  "signal",
  "timeout",
  "abortTimeout",
  "transfer",
];

function checkArray(name: string, value: unknown): void {
  assertType(name, value, Array.isArray(value), "an array");
}

function checkInitializer(
  kind: RunnerKind,
  { initializer, initializerArgs = [] }: PoolOptions,
): Initializer | null {
  if (initializer === undefined) return null;
  const name = targetName(initializer, "initializer");
  checkArray("initializerArgs", initializerArgs);
  try {
    const given = [...initializerArgs];
    const packed = packFor(kind, given);
    const args = structuredClone(packed) as unknown[];
    return { name, args, isPacked: packed !== given };
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
    minWorkers = 0,
    idleTimeout = Infinity,
    concurrentTasksPerWorker = 1,
    maxQueue = Infinity,
    maxTasksPerWorker = Infinity,
    retries = 0,
    permissions = "inherit",
  } = options;
  assertPositiveInteger("workers", workers);
  assertInteger("minWorkers", minWorkers, 0, workers);
  checkTimeout(idleTimeout, "idleTimeout");
  assertPositiveInteger("concurrentTasksPerWorker", concurrentTasksPerWorker);
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
    minWorkers,
    idleTimeout,
    concurrentTasksPerWorker,
    maxQueue,
    retries,
    maxTasksPerWorker,
    initializer: checkInitializer(kind, options),
    kept: [...options.initializerArgs ?? []],
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
  const { signal, timeout, abortTimeout, transfer } = options;
  checkSignal(signal);
  checkTimeout(timeout);
  checkTimeout(abortTimeout, "abortTimeout");
  if (transfer !== undefined) checkArray("transfer", transfer);
}

/** Options of a `map()` that have been checked. */
export interface MapSettings extends Required<Omit<PoolMapOptions, "signal">> {
  /** Whether each item is a list of arguments. */
  spread: boolean;
  /** Whether an error is a result. */
  settled: boolean;
  /** As in {@linkcode PoolMapOptions}. */
  signal: AbortSignal | undefined;
}

/** The items of a `map()`. */
export type MapItems = Iterable<unknown> | AsyncIterable<unknown>;

const MAP_OPTIONS: (keyof PoolMapOptions)[] = [
  "chunkSize",
  "ordered",
  "concurrency",
  "signal",
  "kill",
];

function checkBoolean(name: string, value: unknown): void {
  assertType(name, value, typeof value === "boolean", "a boolean");
}

/** Checks the options of a `map()` and adds the defaults. */
export function checkMapOptions(
  { kind, workers }: PoolSettings,
  options: PoolMapOptions,
  spread: boolean,
): Omit<MapSettings, "settled"> {
  assertOptions(options, "map()", MAP_OPTIONS);
  const { chunkSize = 1, concurrency = 8 * workers, kill = false } = options;
  const { signal, ordered = true } = options;
  assertPositiveInteger("chunkSize", chunkSize);
  assertPositiveInteger("concurrency", concurrency);
  checkSignal(signal);
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
  const iterable = Object(items) as Partial<Record<symbol, unknown>>;
  const make = iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator];
  if (typeof make === "function") return;
  throw new TypeError(
    `Cannot map over ${quote(items)}: expected an Iterable or AsyncIterable`,
  );
}
