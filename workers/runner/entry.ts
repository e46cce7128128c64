/**
 * The common part of the entry modules of threads and processes.
 *
 * @module
 */
import { HandlerImportError } from "../errors.ts";
import { type ExitRecord, tellRecord, toExitRecord } from "./error_record.ts";
import { adoptLaunchFlags } from "./process/launch_flags.ts";
import { decodeStart } from "./protocol.ts";
import type { RunnerMain, RunnerPort } from "./runner.ts";

/** A module and the literal `import()` of it. */
export type ModuleLoader = [
  url: string,
  load: () => Promise<Record<string, unknown>>,
];

/** Options of {@linkcode runMain}. */
export interface EntryOptions {
  /** The user's modules. */
  modules: ModuleLoader[];
  /** The module of this package that exports `main`. */
  main: ModuleLoader;
  /** The runner's end of the channel. */
  port: RunnerPort;
  /** The first frame's kind. */
  kind: unknown;
  /** The first frame's value. */
  value: unknown;
  /** Called when `main` has been called. */
  ready: () => void;
  /** Ends the runner. */
  end: (exit: ExitRecord) => void;
}

async function load([url, importIt]: ModuleLoader): Promise<
  Record<string, unknown>
> {
  try {
    return await importIt();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HandlerImportError(`Cannot import "${url}": ${why}`, url, {
      cause: error,
    });
  }
}

/**
 * Imports everything and calls `main`.
 *
 * @param options The modules and the callbacks.
 */
export async function runMain(options: EntryOptions): Promise<void> {
  const { port, ready, end } = options;
  try {
    const { data, launchFlags } = decodeStart(options.kind, options.value);
    adoptLaunchFlags(launchFlags);
    const modules: Record<string, unknown>[] = [];
    for (const loader of options.modules) modules.push(await load(loader));
    const { main } = await load(options.main) as { main: RunnerMain };
    const done = main(port, modules, data);
    ready();
    await done;
  } catch (error) {
    end(toExitRecord(error));
  }
}

/**
 * Sends the owner the runner's exit, also if a cause of its error can't cross.
 *
 * @param send Sends the record.
 * @param exit The record.
 */
export function tellExit(
  send: (exit: ExitRecord) => void,
  exit: ExitRecord,
): void {
  const { error } = exit;
  if (error === undefined) return send(exit);
  tellRecord((error) => send({ ...exit, error }), error);
}

/**
 * Ends the runner for an uncaught error, as Deno would. The error goes to the
 * parent instead of stderr.
 *
 * @param end Ends the runner.
 */
export function watchUncaught(end: (exit: ExitRecord) => void): void {
  function watch(event: Event, thrown: unknown): void {
    event.preventDefault();
    let handled = false;
    // The user's own handler may yet claim the error, after this one.
    Object.defineProperty(event, "preventDefault", {
      value: () => {
        handled = true;
      },
    });
    queueMicrotask(() => {
      if (!handled) end(toExitRecord(thrown));
    });
  }
  globalThis.addEventListener(
    "error",
    (event) => watch(event, event.error ?? new Error(event.message)),
  );
  globalThis.addEventListener(
    "unhandledrejection",
    (event) => watch(event, event.reason),
  );
}
