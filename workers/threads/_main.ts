/**
 * The program of a thread or process that a `Thread` or `Process` started.
 *
 * @module
 */
import { type Activity, adopt } from "./_activity_base.ts";
import type { ActivityStart, Payload } from "./_run.ts";
import { packFor, unpack } from "../codec/share.ts";
import { context } from "./_context.ts";
import { HandlerImportError } from "../errors.ts";
import { Process } from "./process.ts";
import type { RunnerKind, RunnerPort } from "../runner/runner.ts";
import { Thread } from "./thread.ts";

function findExport(
  module: Record<string, unknown>,
  name: string,
  what: string,
  url: string,
): unknown {
  const value = module[name];
  if (typeof value === "function") return value;
  throw new HandlerImportError(
    `Cannot run ${what} "${name}": ` +
      (name in module
        ? `"${url}" exports it, but it is not a ${what}`
        : `"${url}" does not export it; add \`export\` to it, under this name`),
    url,
  );
}

function revive(
  kind: RunnerKind,
  module: Record<string, unknown>,
  start: ActivityStart,
): Activity {
  const { className, target, module: url } = start;
  const Base = kind === "thread" ? Thread : Process;
  let prototype: Activity = Base.prototype;
  if (className !== null) {
    const Class = findExport(module, className, "class", url) as typeof Base;
    prototype = Class.prototype;
    if (!(prototype instanceof Base)) {
      throw new HandlerImportError(
        `Cannot run class "${className}": what "${url}" exports is no ` +
          `${Base.name} of the same version of this package`,
        url,
      );
    }
  }
  const { args, fields } = unpack(start.payload) as Payload;
  const activity: Activity = adopt<Activity>(() => new Base(), {
    ident: kind === "thread" ? start.ident : Deno.pid,
    name: start.name,
    daemon: start.daemon,
    target: className !== null || target === null
      ? null
      : findExport(module, target, "function", url) as () => unknown,
    args,
  });
  Object.setPrototypeOf(activity, prototype);
  for (const [key, value] of Object.entries(fields)) {
    Reflect.set(activity, key, value);
  }
  return activity;
}

async function work(activity: Activity, port: RunnerPort): Promise<void> {
  const result = await activity.run();
  try {
    port.post(packFor(port.kind, result));
  } catch (error) {
    throw new TypeError(
      `Cannot return the result of ${activity.kind} "${activity.name}": ${
        error instanceof Error ? error.message : error
      }`,
      { cause: error },
    );
  }
  await joinStarted();
  port.close();
}

/**
 * Waits for the threads and processes started here, as Python does before a
 * process ends.
 */
async function joinStarted(): Promise<void> {
  while (true) {
    const waited = [...context.started].filter(({ daemon }) => !daemon);
    if (waited.length === 0) return;
    await Promise.all(waited.map((activity) => activity.join()));
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
  context.daemon = start.daemon;
  context.inDaemonProcess = start.inDaemonProcess;
  const activity = revive(port.kind, modules[0] ?? {}, start);
  context.isMain = port.kind === "process";
  context.current = activity;
  return work(activity, port);
}
