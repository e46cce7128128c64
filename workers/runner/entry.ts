/**
 * The common part of the entry modules of threads and processes.
 *
 * @module
 */

import { HandlerImportError } from "../errors.ts";
import { adoptLaunchFlags } from "./launch.ts";
import {
  decodeStart,
  type ExitRecord,
  tellRecord,
  toExitRecord,
} from "./protocol.ts";
import {
  Inbox,
  type MessageHandler,
  type RunnerKind,
  type RunnerMain,
  type RunnerPort,
} from "./runner.ts";

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

/** The connection of a {@linkcode Port}. */
export interface PortLine {
  /** The kind of runner that this is. */
  readonly kind: RunnerKind;
  /** The number of bytes that wait to be sent. */
  backlog(): number;
  /** Sends a message. */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Settles when everything has been handed to the system. */
  flushed(): Promise<void>;
  /** Ends the runner. */
  end(exit: ExitRecord): void;
}

/** A runner's end of its connection. */
export class Port implements RunnerPort {
  readonly kind: RunnerKind;
  /** The received messages. */
  readonly inbox: Inbox;
  readonly post: RunnerPort["post"];
  readonly flushed: RunnerPort["flushed"];
  #line: PortLine;

  constructor(line: PortLine) {
    this.kind = line.kind;
    this.inbox = new Inbox((error) => line.end(toExitRecord(error)));
    this.post = line.post;
    this.flushed = line.flushed;
    this.#line = line;
  }

  get backlog(): number {
    return this.#line.backlog();
  }

  get onmessage(): MessageHandler | null {
    return this.inbox.handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.inbox.handler = handler;
  }

  close(): void {
    const code = this.kind === "process" ? Deno.exitCode : 0;
    this.#line.end({ code, reason: "returned" });
  }
}
