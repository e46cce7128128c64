/**
 * The program of a thread or process that a `Thread` or `Process` started.
 *
 * @module
 */

import { packFor, unpack } from "../codec/share.ts";
import { ModuleImportError, reasonOf } from "../base/errors.ts";
import { tellRecord, toErrorRecord } from "../line/dialect.ts";
import type { RunnerPort } from "../runner/runner.ts";
import {
  type ActivityStart,
  context,
  findExport,
  imports,
  joinStarted,
  MESSAGE,
  type Payload,
} from "../runner/context.ts";

/** Finds what to run. A class's module has loaded the classes it extends. */
function findWork(
  { kind }: RunnerPort,
  module: Record<string, unknown>,
  start: ActivityStart,
): () => unknown {
  const { className, target, module: url, name, daemon } = start;
  const { args, fields } = unpack(start.payload) as Payload;
  const ident = kind === "thread" ? start.ident : Deno.pid;
  const identity = { ident, name, daemon, args, fields };
  context.identity = identity;
  if (className === null) {
    const call = findExport(module, target!, "function", url);
    return () => call(...args);
  }
  const Class = findExport(module, className, "class", url);
  const activity = context.attach[kind]?.(identity, Class) ?? null;
  if (activity === null) {
    const Base = kind === "thread" ? "Thread" : "Process";
    throw new ModuleImportError(
      `Cannot run class "${className}": what "${url}" exports is no ${Base} ` +
        "of the same version of this package",
      url,
    );
  }
  context.current = activity;
  return () => activity.run();
}

/**
 * Runs the code, reports its result or its error, waits for what it started,
 * and ends. An error that nobody caught counts as the code's own.
 */
async function work(
  run: () => unknown,
  name: string,
  port: RunnerPort,
): Promise<void> {
  imports.begin();
  let failure: { thrown: unknown } | null = null;
  const failed = Promise.withResolvers<void>();
  function fail(thrown: unknown): void {
    if (failure !== null) return;
    failure = { thrown };
    tellRecord(
      (record) => port.post([MESSAGE.error, record]),
      toErrorRecord(thrown),
    );
    failed.resolve();
  }
  async function finish(): Promise<void> {
    try {
      const result = await run();
      if (failure === null) postResult(result, name, port);
    } catch (error) {
      fail(error);
    }
  }
  port.onerror = fail;
  await Promise.race([finish(), failed.promise]);
  // At the end of this turn Deno reports rejections that nobody handled.
  await new Promise((resolve) => setTimeout(resolve));
  await joinStarted();
  if (failure !== null) throw (failure as { thrown: unknown }).thrown;
  port.close();
}

function postResult(result: unknown, name: string, port: RunnerPort): void {
  try {
    port.post([MESSAGE.result, packFor(port.kind, result, true)]);
  } catch (error) {
    const why = reasonOf(error);
    throw new TypeError(
      `Cannot return the result of ${port.kind} "${name}": ${why}`,
      { cause: error },
    );
  }
}

/**
 * Runs a target or a class's `run()`.
 *
 * @param port The channel, for the result.
 * @param modules The user's module.
 * @param data An {@linkcode ActivityStart}.
 * @returns A promise that settles when it has run.
 */
export function main(
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
): Promise<void> {
  const start = data as ActivityStart;
  if (start.lastIdent !== null) context.lastIdent = start.lastIdent;
  context.daemon = port.kind === "thread" && start.daemon;
  context.process = start.process;
  context.isMain = port.kind === "process";
  return work(findWork(port, modules[0] ?? {}, start), start.name, port);
}
